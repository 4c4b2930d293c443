//! One connection: who it is, and its channels.
//!
//! What is called here runs on the connection's one task: it notes and hands on, and waits for
//! nothing but room (`inbox.rs` says why).

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use russh::keys::PublicKey;
use russh::keys::ssh_key::Algorithm;
use russh::server::{Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, VerifiedPublicKey};
use russh::{Channel, ChannelId, ChannelOpenFailure, ChannelWriteHalf, Error, Pty, Sig};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;

use crate::command::{Terminal, What};
use crate::doors::{Doors, Login};
use crate::inbox::Inbox;
use crate::outbox::{Busy, Outbox};
use crate::session::{Control, Session};
use crate::{environment, forward, signals};

/// The most channels at once.
const MOST_CHANNELS: usize = 512;

/// The library's side of a connection.
type Wire = russh::server::Session;

/// One connection.
pub(crate) struct Connection {
    pub(crate) doors: Arc<dyn Doors>,
    pub(crate) scratch: PathBuf,
    /// The client's address and ours.
    pub(crate) ends: Option<(SocketAddr, SocketAddr)>,
    /// Cancelled when it is over.
    pub(crate) gone: CancellationToken,
    /// Cancelled when the client has shown its key.
    pub(crate) known: CancellationToken,
    /// A place among those who have not.
    pub(crate) waiting: Option<OwnedSemaphorePermit>,
    login: Option<Login>,
    channels: HashMap<ChannelId, Open>,
    busy: Busy,
}

/// An open channel.
struct Open {
    /// Until something runs in it.
    half: Option<ChannelWriteHalf<Msg>>,
    env: BTreeMap<String, String>,
    terminal: Option<Terminal>,
    controls: Option<UnboundedSender<Control>>,
    inbox: Inbox,
    gone: CancellationToken,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.gone.cancel();
    }
}

impl Connection {
    pub(crate) fn new(doors: Arc<dyn Doors>, scratch: PathBuf) -> Self {
        Self {
            doors,
            scratch,
            ends: None,
            gone: CancellationToken::new(),
            known: CancellationToken::new(),
            waiting: None,
            login: None,
            channels: HashMap::new(),
            busy: Busy::default(),
        }
    }

    /// Whether this key may come in, and by this algorithm: SHA-1 is no signature any more.
    fn opens(&self, key: &PublicKey, algorithm: &Algorithm) -> Auth {
        let sound = !matches!(algorithm, Algorithm::Rsa { hash: None } | Algorithm::Dsa);
        let is_known = |known: &PublicKey| known.key_data() == key.key_data();
        if sound && self.doors.keys().iter().any(is_known) { Auth::Accept } else { Auth::reject() }
    }

    /// Takes a channel in, unless there are too many.
    fn open(&mut self, channel: ChannelId, half: Option<ChannelWriteHalf<Msg>>) -> Option<&Open> {
        self.channels.retain(|_, open| !open.gone.is_cancelled());
        if self.channels.len() >= MOST_CHANNELS {
            return None;
        }
        let open = Open {
            half,
            env: BTreeMap::new(),
            terminal: None,
            controls: None,
            inbox: Inbox::new(self.scratch.clone()),
            gone: self.gone.child_token(),
        };
        self.channels.insert(channel, open);
        self.channels.get(&channel)
    }

    /// Runs something in a channel in which nothing runs yet.
    fn start(&mut self, id: ChannelId, what: What, wire: &mut Wire) -> Result<(), Error> {
        let ready = self.channels.get_mut(&id).and_then(|open| Some((open.half.take()?, open)));
        let (Some((half, open)), Some(login)) = (ready, self.login.clone()) else {
            return wire.channel_failure(id);
        };
        let mut env = std::mem::take(&mut open.env);
        if let Some((theirs, ours)) = self.ends {
            let ends = [theirs, ours].map(|end| format!("{} {}", end.ip(), end.port()));
            env.insert("SSH_CONNECTION".to_owned(), ends.join(" "));
            env.insert("SSH_CLIENT".to_owned(), format!("{} {}", ends[0], ours.port()));
        }
        let (sender, controls) = unbounded_channel();
        open.controls = Some(sender);
        let session = Session {
            doors: Arc::clone(&self.doors),
            login,
            what,
            terminal: open.terminal.take(),
            env,
            inbox: open.inbox.clone(),
            controls,
            gone: open.gone.clone(),
        };
        let outbox = Outbox::new(half, wire.handle(), self.busy.clone(), open.gone.clone());
        wire.channel_success(id)?;
        tokio::spawn(session.run(outbox));
        Ok(())
    }

    fn control(&self, id: ChannelId, control: Control) {
        if let Some(controls) = self.channels.get(&id).and_then(|open| open.controls.as_ref()) {
            // A session that ended hears nothing.
            let _ = controls.send(control);
        }
    }
}

impl Handler for Connection {
    type Error = Error;

    async fn auth_publickey_offered(
        &mut self,
        _: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, Error> {
        Ok(self.opens(offer.public_key, offer.algorithm))
    }

    async fn auth_publickey(
        &mut self,
        user: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Error> {
        let auth = self.opens(key.public_key, key.algorithm);
        if auth == Auth::Accept {
            let fingerprint = key.public_key.fingerprint(Default::default());
            tracing::info!(login = user, key = %fingerprint, "ssh: a client came in");
            self.login = Some(Login::parse(user));
        }
        Ok(auth)
    }

    async fn auth_succeeded(&mut self, _: &mut Wire) -> Result<(), Error> {
        self.waiting = None;
        self.known.cancel();
        Ok(())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Wire,
    ) -> Result<(), Error> {
        let id = channel.id();
        // What arrives is taken by `data`: nobody listens to the reading half.
        let (_, half) = channel.split();
        match self.open(id, Some(half)) {
            Some(_) => reply.accept().await,
            None => reply.reject(ChannelOpenFailure::ResourceShortage).await,
        }
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        _: &str,
        _: u32,
        reply: ChannelOpenHandle,
        wire: &mut Wire,
    ) -> Result<(), Error> {
        let (Some(port), Some(login)) = (forward::own_port(host, port), self.login.clone()) else {
            reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await;
            return Ok(());
        };
        let (id, handle, busy) = (channel.id(), wire.handle(), self.busy.clone());
        let (_, half) = channel.split();
        let Some(open) = self.open(id, None) else {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        };
        let (inbox, gone) = (open.inbox.clone(), open.gone.clone());
        let doors = Arc::clone(&self.doors);
        tokio::spawn(async move {
            let outbox = Outbox::new(half, handle, busy, gone.clone());
            let (entered, tunnel) = match forward::open(&*doors, &login, port).await {
                Ok(open) => open,
                Err(failure) => {
                    gone.cancel();
                    return reply.reject(failure).await;
                }
            };
            reply.accept().await;
            forward::pass(tunnel, inbox, outbox, gone).await;
            drop(entered);
        });
        Ok(())
    }

    async fn data(&mut self, id: ChannelId, data: &[u8], wire: &mut Wire) -> Result<(), Error> {
        let Some(open) = self.channels.get(&id) else { return Ok(()) };
        if let Err(error) = open.inbox.put(data) {
            tracing::warn!(%error, "ssh: input that nobody reads can't be kept; the channel ends");
            open.gone.cancel();
            return wire.close(id);
        }
        if !self.busy.any() {
            open.inbox.room().await;
        }
        Ok(())
    }

    async fn channel_eof(&mut self, id: ChannelId, _: &mut Wire) -> Result<(), Error> {
        if let Some(open) = self.channels.get(&id) {
            open.inbox.end();
        }
        Ok(())
    }

    async fn channel_close(&mut self, id: ChannelId, _: &mut Wire) -> Result<(), Error> {
        if let Some(open) = self.channels.remove(&id) {
            open.gone.cancel();
            open.inbox.close();
        }
        Ok(())
    }

    async fn pty_request(
        &mut self,
        id: ChannelId,
        kind: &str,
        cols: u32,
        rows: u32,
        _: u32,
        _: u32,
        _: &[(Pty, u32)],
        wire: &mut Wire,
    ) -> Result<(), Error> {
        match self.channels.get_mut(&id) {
            Some(open) => {
                open.terminal = Some(Terminal { kind: kind.to_owned(), cols, rows });
                wire.channel_success(id)
            }
            None => wire.channel_failure(id),
        }
    }

    async fn env_request(
        &mut self,
        id: ChannelId,
        name: &str,
        value: &str,
        wire: &mut Wire,
    ) -> Result<(), Error> {
        let open = self.channels.get_mut(&id);
        match open.is_some_and(|open| environment::accept(&mut open.env, name, value)) {
            true => wire.channel_success(id),
            false => wire.channel_failure(id),
        }
    }

    async fn shell_request(&mut self, id: ChannelId, wire: &mut Wire) -> Result<(), Error> {
        self.start(id, What::Shell, wire)
    }

    async fn exec_request(
        &mut self,
        id: ChannelId,
        line: &[u8],
        wire: &mut Wire,
    ) -> Result<(), Error> {
        self.start(id, What::Line(line.to_vec()), wire)
    }

    async fn subsystem_request(
        &mut self,
        id: ChannelId,
        name: &str,
        wire: &mut Wire,
    ) -> Result<(), Error> {
        if name == "sftp" { self.start(id, What::Sftp, wire) } else { wire.channel_failure(id) }
    }

    async fn window_change_request(
        &mut self,
        id: ChannelId,
        cols: u32,
        rows: u32,
        _: u32,
        _: u32,
        wire: &mut Wire,
    ) -> Result<(), Error> {
        self.control(id, Control::Resize { cols, rows });
        wire.channel_success(id)
    }

    async fn signal(&mut self, id: ChannelId, signal: Sig, _: &mut Wire) -> Result<(), Error> {
        if let Some(number) = signals::number(&signal) {
            self.control(id, Control::Signal(number));
        }
        Ok(())
    }

    async fn x11_request(
        &mut self,
        id: ChannelId,
        _: bool,
        _: &str,
        _: &str,
        _: u32,
        wire: &mut Wire,
    ) -> Result<(), Error> {
        wire.channel_failure(id)
    }
}
