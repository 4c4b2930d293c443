//! The stack's side of the control socket ([`crate::control`]).

use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

use super::Stack;
use crate::control::{Answer, LONGEST, Request};

/// How long a connection may say nothing.
const IDLE: Duration = Duration::from_secs(30);
/// The pause after a connection that could not be accepted: descriptors have run out.
const PAUSE: Duration = Duration::from_millis(100);

/// Takes orders for as long as the stack runs.
pub(super) async fn serve(stack: Rc<Stack>, listener: UnixListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::task::spawn_local(talk(stack.clone(), stream))),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn talk(stack: Rc<Stack>, mut stream: UnixStream) {
    let (read, mut write) = stream.split();
    let mut read = BufReader::new(read);
    while let Ok(Ok(Some(line))) = tokio::time::timeout(IDLE, read_line(&mut read)).await {
        let answer = match serde_json::from_slice(&line) {
            Ok(request) => carry_out(&stack, request),
            Err(error) => Answer::Failed { error: error.to_string() },
        };
        let Ok(mut line) = serde_json::to_vec(&answer) else { return };
        line.push(b'\n');
        if write.write_all(&line).await.is_err() {
            return;
        }
    }
}

async fn read_line<R: AsyncBufReadExt + Unpin>(from: &mut R) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    from.take(LONGEST as u64).read_until(b'\n', &mut line).await?;
    Ok((line.last() == Some(&b'\n')).then_some(line))
}

fn carry_out(stack: &Rc<Stack>, request: Request) -> Answer {
    match request {
        Request::Policy(policy) => {
            stack.replace_policy(policy);
            Answer::Done { ok: true }
        }
        Request::Cut {} => {
            stack.tcp.cut();
            Answer::Done { ok: true }
        }
        Request::Counters {} => Answer::Counters(stack.port.counters.read(stack.denials.count())),
    }
}
