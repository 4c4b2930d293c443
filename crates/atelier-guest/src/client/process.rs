//! Calls about processes.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::mpsc;

use super::connection::{Blocks, http_failure};
use super::stream::Messages;
use super::{Guest, GuestError};
use crate::wire::{
    Blob, ConnectRequest, Empty, EventMessage, InputMessage, ListRequest, ListResponse,
    ListeningPort, ProcessEvent, ProcessInfo, ProcessInput, Pty, PtySize, STREAM_TYPE, Selector,
    SelectorMessage, SendInputRequest, SendSignalRequest, SignalNumber, StartRequest,
    StreamInputRequest, UpdateRequest, json_frame,
};

impl Guest {
    /// Starts a process and follows it from its first byte. Dropping the stream leaves the process
    /// running.
    ///
    /// # Errors
    /// When it cannot be started; [`GuestError::shell_code`] is 127 when there is no such command.
    pub async fn start(&self, request: &StartRequest) -> Result<ProcessStream, GuestError> {
        self.start_within(request, None).await
    }

    /// [`Guest::start`], and the process is killed when its time is over.
    ///
    /// # Errors
    /// As [`Guest::start`]; the stream ends with `deadline_exceeded` when the time is over.
    pub async fn start_within(
        &self,
        request: &StartRequest,
        limit: Option<Duration>,
    ) -> Result<ProcessStream, GuestError> {
        let limit = limit.map(|limit| ("connect-timeout-ms", limit.as_millis().to_string()));
        let headers: Vec<_> = limit.into_iter().collect();
        let response = self.streaming("/process.Process/Start", request, &headers).await?;
        ProcessStream::begin(response.into_body()).await
    }

    /// Follows a process that runs, or that ended not long ago. With an offset, what is kept from
    /// there on comes first; without one, only what is new.
    ///
    /// # Errors
    /// `guest.not_found` when it is not known, or no longer.
    pub async fn connect(
        &self,
        process: impl Into<Selector>,
        from_offset: Option<u64>,
    ) -> Result<ProcessStream, GuestError> {
        let request = ConnectRequest { process: process.into(), from_offset };
        let response = self.streaming("/process.Process/Connect", &request, &[]).await?;
        ProcessStream::begin(response.into_body()).await
    }

    /// The processes that run and, if asked, those that ended and are still kept.
    ///
    /// # Errors
    /// When the guest cannot be reached.
    pub async fn list(&self, ended: bool) -> Result<Vec<ProcessInfo>, GuestError> {
        let list: ListResponse =
            self.unary("/process.Process/List", &ListRequest { ended }).await?;
        Ok(list.processes)
    }

    /// Sends bytes to a process: to its terminal if `pty`, else to its standard input. Waits while
    /// the process does not read. To keep an order, wait for each call before the next.
    ///
    /// # Errors
    /// When the process ended, or has no such input.
    pub async fn send_input(
        &self,
        process: impl Into<Selector>,
        bytes: impl Into<Bytes>,
        pty: bool,
    ) -> Result<(), GuestError> {
        let blob = Blob(bytes.into());
        let input = if pty { ProcessInput::Pty(blob) } else { ProcessInput::Stdin(blob) };
        let request = SendInputRequest { process: process.into(), input };
        self.unary("/process.Process/SendInput", &request).await.map(|Empty {}| ())
    }

    /// Sends bytes to a process's standard input in one long call, as they come out of `pieces`.
    /// Its standard input stays open.
    ///
    /// # Errors
    /// As [`Guest::send_input`], and when a piece is an error.
    pub async fn stream_input(
        &self,
        process: impl Into<Selector>,
        pieces: mpsc::Receiver<std::io::Result<Bytes>>,
    ) -> Result<(), GuestError> {
        let start = StreamInputRequest::Start(SelectorMessage { process: process.into() });
        let first = json_frame(&start).map_err(GuestError::broken)?;
        let body = Blocks::new(pieces).begun_with(first).each(|bytes| {
            let input = ProcessInput::Stdin(Blob(bytes));
            json_frame(&StreamInputRequest::Data(InputMessage { input }))
                .map_err(std::io::Error::other)
        });
        let request = self
            .request("POST", "/process.Process/StreamInput")
            .header("content-type", STREAM_TYPE)
            .body(body.boxed())
            .map_err(GuestError::broken)?;
        let response = self.send(request).await?;
        let status = response.status();
        if !status.is_success() {
            return Err(http_failure(status, &super::connection::collect(response).await?));
        }
        let mut messages = Messages::new(response.into_body());
        while let Some(message) = messages.next().await {
            let Empty {} = message?;
        }
        Ok(())
    }

    /// Closes a process's standard input.
    ///
    /// # Errors
    /// When the process ended, or has a terminal.
    pub async fn close_stdin(&self, process: impl Into<Selector>) -> Result<(), GuestError> {
        let request = SelectorMessage { process: process.into() };
        self.unary("/process.Process/CloseStdin", &request).await.map(|Empty {}| ())
    }

    /// Gives a process's terminal another size, in characters.
    ///
    /// # Errors
    /// When the process ended, or has no terminal.
    pub async fn resize(
        &self,
        process: impl Into<Selector>,
        rows: u32,
        cols: u32,
    ) -> Result<(), GuestError> {
        let pty = Some(Pty { size: PtySize { cols, rows } });
        let request = UpdateRequest { process: process.into(), pty };
        self.unary("/process.Process/Update", &request).await.map(|Empty {}| ())
    }

    /// Sends a signal, by its number.
    ///
    /// # Errors
    /// When the process ended.
    pub async fn signal(
        &self,
        process: impl Into<Selector>,
        number: i32,
    ) -> Result<(), GuestError> {
        let request = SendSignalRequest { process: process.into(), signal: SignalNumber(number) };
        self.unary("/process.Process/SendSignal", &request).await.map(|Empty {}| ())
    }

    /// The TCP ports that something in the sandbox listens on.
    ///
    /// # Errors
    /// When the guest cannot be reached.
    pub async fn listening(&self) -> Result<Vec<ListeningPort>, GuestError> {
        self.get("/listening").await
    }
}

/// The events of one process.
#[derive(Debug)]
pub struct ProcessStream {
    messages: Messages,
    pid: u32,
    offset: u64,
    first: Option<ProcessEvent>,
}

impl ProcessStream {
    /// Waits for the first event, so that a refusal is an error of the call.
    async fn begin(body: Incoming) -> Result<Self, GuestError> {
        let mut messages = Messages::new(body);
        match messages.next::<EventMessage>().await {
            Some(Ok(EventMessage { event: ProcessEvent::Start(start) })) => Ok(Self {
                messages,
                pid: start.pid,
                offset: start.offset.unwrap_or(0),
                first: Some(ProcessEvent::Start(start)),
            }),
            Some(Ok(other)) => Err(GuestError::Unexpected(format!("{other:?} came before start"))),
            Some(Err(error)) => Err(error),
            None => Err(GuestError::Unexpected("the stream is empty".to_owned())),
        }
    }

    /// The process's id inside the sandbox.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The offset behind the last output that was read: where [`Guest::connect`] goes on without
    /// loss when this stream breaks.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The next event; none after the last, which is the end of the process or an error.
    pub async fn next(&mut self) -> Option<Result<ProcessEvent, GuestError>> {
        if let Some(first) = self.first.take() {
            return Some(Ok(first));
        }
        let next = self.messages.next::<EventMessage>().await?;
        Some(next.map(|message| {
            self.count(&message.event);
            message.event
        }))
    }

    fn count(&mut self, event: &ProcessEvent) {
        match event {
            ProcessEvent::Data(data) => {
                self.offset = data.offset.unwrap_or(self.offset) + data.bytes.len() as u64;
            }
            ProcessEvent::Gap(gap) => self.offset = gap.to.unwrap_or(self.offset),
            _ => {}
        }
    }
}
