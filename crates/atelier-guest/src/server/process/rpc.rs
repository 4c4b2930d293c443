//! `process.Process`: what callers ask for.

use std::rc::Rc;

use hyper::body::Incoming;
use hyper::{Request, Response};
use tokio::sync::mpsc;

use super::super::reply::{self, Reply};
use super::super::rpc::{keepalive, single, time_limit, unary};
use super::super::state::Server;
use super::follow::Follow;
use super::spool::From;
use super::{input, signal, spawn, start};
use crate::wire::{
    Code, ConnectError, ConnectRequest, Empty, ListRequest, ListResponse, SelectorMessage,
    SendInputRequest, SendSignalRequest, StartRequest, UpdateRequest, encode, end_frame,
};

/// Messages that wait for a slow reader; what is behind them waits in the spool.
const QUEUE: usize = 2;
/// How long the answer to a kill waits for the process's end.
const KILL_WAIT: std::time::Duration = std::time::Duration::from_millis(500);
/// The highest signal number of Linux.
const LAST_SIGNAL: i32 = 64;

/// A unary call.
pub(in super::super) async fn call(
    server: &Rc<Server>,
    method: &str,
    body: Incoming,
) -> Result<Response<Reply>, ConnectError> {
    match method {
        "List" => {
            let request: ListRequest = unary(body).await?;
            let processes = server.processes.list(request.ended);
            return Ok(reply::json(hyper::StatusCode::OK, &ListResponse { processes }));
        }
        "Update" => update(server, &unary(body).await?)?,
        "SendInput" => {
            let request: SendInputRequest = unary(body).await?;
            input::send(&*server.processes.find(&request.process)?, &request.input).await?;
        }
        "SendSignal" => send_signal(server, &unary(body).await?).await?,
        "CloseStdin" => {
            let request: SelectorMessage = unary(body).await?;
            input::close(&*server.processes.find(&request.process)?).await?;
        }
        _ => return Err(ConnectError::new(Code::Unimplemented, format!("no method {method}"))),
    }
    Ok(reply::json(hyper::StatusCode::OK, &Empty {}))
}

/// A call whose request or response is a stream.
pub(in super::super) async fn stream(
    server: &Rc<Server>,
    method: &str,
    request: Request<Incoming>,
) -> Result<Response<Reply>, ConnectError> {
    let limit = time_limit(&request)?;
    let keepalive = keepalive(request.headers());
    let (sender, receiver) = mpsc::channel(QUEUE);
    let follow = match method {
        "Start" => {
            let user = server.caller(request.headers())?;
            let message: StartRequest = single(request.into_body()).await?;
            let (process, follower) = start::start(server, message, &user, limit)?;
            Follow { process, follower, gap: None, keepalive, limit, sender }
        }
        "Connect" => {
            let message: ConnectRequest = single(request.into_body()).await?;
            let process = server.processes.find_kept(&message.process)?;
            let (follower, gap) = connect(&process, message.from_offset)?;
            Follow { process, follower, gap, keepalive, limit, sender }
        }
        "StreamInput" => {
            input::stream(&server.processes, request.into_body()).await?;
            let whole = [encode(0, b"{}"), end_frame(None)].concat();
            return Ok(reply::whole(hyper::StatusCode::OK, crate::wire::STREAM_TYPE, whole));
        }
        _ => return Err(ConnectError::new(Code::Unimplemented, format!("no method {method}"))),
    };
    tokio::task::spawn_local(follow.run());
    Ok(reply::stream(receiver))
}

fn connect(
    process: &super::Process,
    from: Option<u64>,
) -> Result<(super::spool::Follower, Option<crate::wire::GapEvent>), ConnectError> {
    let written = process.spool.written();
    if let Some(offset) = from.filter(|offset| *offset > written) {
        let why = format!("offset {offset} is behind the last byte, {written}");
        return Err(ConnectError::new(Code::OutOfRange, why));
    }
    process
        .spool
        .follow(from.map_or(From::Now, From::Offset))
        .map_err(|error| ConnectError::new(Code::DataLoss, format!("output: {error}")))
}

fn update(server: &Server, request: &UpdateRequest) -> Result<(), ConnectError> {
    let process = server.processes.find(&request.process)?;
    let Some(pty) = request.pty else { return Ok(()) };
    let terminal = process
        .terminal()
        .ok_or_else(|| ConnectError::internal("error resizing tty: tty not assigned to process"))?;
    spawn::resize(terminal.get_ref(), pty.size)
        .map_err(|error| ConnectError::internal(format!("error resizing tty: {error}")))
}

async fn send_signal(server: &Server, request: &SendSignalRequest) -> Result<(), ConnectError> {
    let process = server.processes.find(&request.process)?;
    let number = request.signal.0;
    if !(1..=LAST_SIGNAL).contains(&number) {
        return Err(ConnectError::invalid(format!("{number} is no signal")));
    }
    if signal::send(&process, number) {
        if number == libc::SIGKILL {
            // Whoever looks for it afterwards finds it gone, unless the kernel takes its time.
            let _ = tokio::time::timeout(KILL_WAIT, super::run::wait_for_exit(&process)).await;
        }
        Ok(())
    } else {
        Err(ConnectError::not_found(format!("process with pid {} ended", process.pid)))
    }
}
