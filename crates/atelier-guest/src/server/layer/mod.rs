//! `GET /layer`: what a machine has changed over its image, as a layer of one. Whoever asks takes it for
//! what a stranger sends; nobody outside ever mounts a disk that a machine has written to.

mod archive;
mod marks;
mod still;
mod tar;

use std::cell::{Cell, RefCell};
use std::io::{self, Read};
use std::rc::Rc;
use std::time::Duration;

use hyper::{Response, StatusCode};

use self::archive::Archive;
use self::still::Still;
use super::file_body::FileBody;
use super::reply::{self, Reply};
use super::state::Server;

/// Whoever reads nothing for so long is gone: nobody is held still for it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Answers with the archive, during which the sandbox's processes hold still.
pub(super) async fn send(server: &Server) -> Response<Reply> {
    let Some(upper) = &server.options.layer else {
        return reply::problem(StatusCode::NOT_FOUND, "what this sandbox changed lies outside");
    };
    // Only in a machine of our own are all processes ours to hold.
    let machine = server.options.set_clock && std::process::id() == 1;
    let still = if machine { Still::hold().await.map(Some) } else { Ok(None) };
    let still = match still {
        Ok(still) => still,
        Err(error) => return reply::problem(StatusCode::CONFLICT, &error.to_string()),
    };
    let held = Held { archive: Archive::new(upper.clone()), watch: Watch::new(still) };
    Response::new(Reply::File(FileBody::new(Box::new(held), None)))
}

/// The archive, and those who hold still as long as it is read.
struct Held {
    archive: Archive,
    watch: Watch,
}

impl Read for Held {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if !self.watch.goes_on() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "nobody read on for too long"));
        }
        self.archive.read(into)
    }
}

/// Lets processes go when nobody reads any more.
struct Watch {
    /// Empty when they were let go.
    still: Rc<RefCell<Option<Option<Still>>>>,
    reads: Rc<Cell<u64>>,
    task: tokio::task::JoinHandle<()>,
}

impl Watch {
    fn new(still: Option<Still>) -> Self {
        let (still, reads) = (Rc::new(RefCell::new(Some(still))), Rc::new(Cell::new(0)));
        let (held, seen) = (Rc::clone(&still), Rc::clone(&reads));
        let task = tokio::task::spawn_local(async move {
            let mut before = u64::MAX;
            while before != seen.get() {
                before = seen.get();
                tokio::time::sleep(PATIENCE).await;
            }
            held.take();
        });
        Self { still, reads, task }
    }

    /// Whether they still hold still.
    fn goes_on(&self) -> bool {
        self.reads.set(self.reads.get() + 1);
        self.still.borrow().is_some()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
        self.still.take();
    }
}
