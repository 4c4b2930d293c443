//! Wakes a task for the futures inside it, but not for what they tell one another while it is polling them:
//! the scheduler would run the task once more, and wake another thread for it.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

const RESTING: u8 = 0;
const POLLING: u8 = 1;
const WOKEN: u8 = 2;

/// Between that many turns the task lets others run: what it has used up of its share is not given back
/// before.
const TURNS: usize = 4;

#[derive(Debug, Default)]
pub(crate) struct Relay {
    state: AtomicU8,
    task: Mutex<Option<Waker>>,
}

impl Relay {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Polls something of the task that `cx` is of, until it is ready or has nothing more to do.
    pub(crate) fn poll<T>(
        self: Arc<Self>,
        cx: &mut Context<'_>,
        mut turn: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.listen(cx.waker());
        let waker = Waker::from(self.clone());
        let mut inner = Context::from_waker(&waker);
        for _ in 0..TURNS {
            self.state.store(POLLING, Ordering::SeqCst);
            if let Poll::Ready(value) = turn(&mut inner) {
                self.state.store(RESTING, Ordering::SeqCst);
                return Poll::Ready(value);
            }
            let rested =
                self.state.compare_exchange(POLLING, RESTING, Ordering::SeqCst, Ordering::SeqCst);
            if rested.is_ok() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn listen(&self, waker: &Waker) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *task {
            Some(task) => task.clone_from(waker),
            None => *task = Some(waker.clone()),
        }
    }
}

impl Wake for Relay {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.swap(WOKEN, Ordering::SeqCst) == RESTING {
            let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if let Some(task) = task {
                task.wake();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn wakes_during_a_poll_are_another_turn_and_not_another_run() {
        let (count, relay) = (Arc::new(Count::default()), Relay::new());
        let waker = Waker::from(count.clone());
        let mut turns = 0;
        let polled = relay.poll(&mut Context::from_waker(&waker), |cx| {
            turns += 1;
            if turns < 3 {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(turns)
        });
        assert_eq!(polled, Poll::Ready(3));
        assert_eq!(count.0.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn wakes_between_polls_reach_the_task_once() {
        let (count, relay) = (Arc::new(Count::default()), Relay::new());
        let waker = Waker::from(count.clone());
        for run in 1..3 {
            let mut kept = None;
            let polled: Poll<()> = relay.clone().poll(&mut Context::from_waker(&waker), |cx| {
                kept = Some(cx.waker().clone());
                Poll::Pending
            });
            assert!(polled.is_pending());
            kept.iter().cycle().take(5).for_each(Waker::wake_by_ref);
            assert_eq!(count.0.load(Ordering::SeqCst), run);
        }
    }

    #[test]
    fn what_wakes_itself_without_end_lets_others_run() {
        let (count, relay) = (Arc::new(Count::default()), Relay::new());
        let waker = Waker::from(count.clone());
        let polled: Poll<()> = relay.poll(&mut Context::from_waker(&waker), |cx| {
            cx.waker().wake_by_ref();
            Poll::Pending
        });
        assert!(polled.is_pending());
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
    }
}
