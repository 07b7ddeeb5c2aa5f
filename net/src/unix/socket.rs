//! A socket: made, named, connected, closed.

use super::{
    Address, Ancillary, Credentials, MAX_BACKLOG, MAX_BUFFER, MAX_DATAGRAMS, MIN_RECEIVE, MIN_SEND,
    Options, endpoint::Endpoint,
};
use abi::{Errno, Events, Result};
use alloc::{
    collections::VecDeque,
    sync::{Arc, Weak},
    vec::Vec,
};
use core::{
    fmt, mem,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};
use executor::wait::WaitQueue;
use spin::{Mutex, Once};

/// The kinds of socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Bytes without borders, in order.
    Stream,
    /// Messages, each with a destination.
    Datagram,
    /// Messages in order over a connection.
    SeqPacket,
}

/// Which directions shutdown(2) ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shutdown {
    /// Nothing more is received.
    pub receive: bool,
    /// Nothing more is sent.
    pub send: bool,
}

/// A UNIX socket; `F` is what can be passed along with messages.
pub struct Socket<F> {
    pub(super) kind: Kind,
    pub(super) endpoint: Arc<Endpoint<F>>,
    /// Of connected streams and packet streams, for ever.
    pub(super) peer: Once<Arc<Endpoint<F>>>,
    /// Of datagram sockets: where messages without a destination go.
    pub(super) target: Mutex<Option<Arc<Endpoint<F>>>>,
    /// A datagram socket sends nothing more.
    pub(super) mute: AtomicBool,
    /// A connection that nobody has accepted yet.
    waits: AtomicBool,
    state: Mutex<State<F>>,
}

struct State<F> {
    address: Address,
    peer_address: Address,
    peer_credentials: Option<Credentials>,
    options: Options,
    listening: Option<Listening<F>>,
}

/// What a listening socket has.
struct Listening<F> {
    backlog: usize,
    /// Who listens, for those who connect.
    credentials: Credentials,
    /// Connections to accept: the near end of each.
    pending: VecDeque<Arc<Socket<F>>>,
    /// Those who found the queue full.
    blocked: Vec<Weak<Endpoint<F>>>,
}

impl<F: Clone> Socket<F> {
    /// A socket without a name and a peer.
    pub fn new(kind: Kind) -> Arc<Self> {
        Arc::new(Self {
            kind,
            endpoint: Arc::new(Endpoint::new()),
            peer: Once::new(),
            target: Mutex::new(None),
            mute: AtomicBool::new(false),
            waits: AtomicBool::new(false),
            state: Mutex::new(State {
                address: Address::Unnamed,
                peer_address: Address::Unnamed,
                peer_credentials: None,
                options: Options::default(),
                listening: None,
            }),
        })
    }

    /// Two sockets that are each other's peer: socketpair(2).
    pub fn pair(kind: Kind, owner: Credentials) -> [Arc<Self>; 2] {
        let pair = [Self::new(kind), Self::new(kind)];
        for (one, other) in [(&pair[0], &pair[1]), (&pair[1], &pair[0])] {
            one.state.lock().peer_credentials = Some(owner);
            if kind == Kind::Datagram {
                *one.target.lock() = Some(Arc::clone(&other.endpoint));
                one.endpoint.inbox.lock().only_from = Some(Arc::downgrade(&other.endpoint));
            } else {
                one.peer.call_once(|| Arc::clone(&other.endpoint));
            }
        }
        pair
    }

    /// Which kind it is.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Where to wait for events.
    pub fn queue(&self) -> &WaitQueue {
        &self.endpoint.queue
    }

    /// Its name.
    pub fn address(&self) -> Address {
        self.state.lock().address.clone()
    }

    /// Gives it its name.
    ///
    /// # Errors
    /// - `EINVAL`: it has one.
    pub(super) fn set_address(&self, address: Address) -> Result<()> {
        let mut state = self.state.lock();
        if state.address != Address::Unnamed {
            return Err(Errno::EINVAL);
        }
        state.address = address;
        Ok(())
    }

    /// The name of its peer.
    ///
    /// # Errors
    /// - `ENOTCONN`: it has none.
    pub fn peer_address(&self) -> Result<Address> {
        if self.peer.get().is_none() && self.target.lock().is_none() {
            return Err(Errno::ENOTCONN);
        }
        Ok(self.state.lock().peer_address.clone())
    }

    /// Who connected, or listened, when the connection was made (`SO_PEERCRED`).
    pub fn peer_credentials(&self) -> Option<Credentials> {
        self.state.lock().peer_credentials
    }

    /// The options.
    pub fn options(&self) -> Options {
        self.state.lock().options
    }

    /// Changes the options; buffer sizes are brought into their limits.
    pub fn set_options(&self, change: impl FnOnce(&mut Options)) {
        let wants = {
            let mut state = self.state.lock();
            let options = &mut state.options;
            change(options);
            options.send_buffer = options.send_buffer.clamp(MIN_SEND, MAX_BUFFER);
            options.receive_buffer = options.receive_buffer.clamp(MIN_RECEIVE, MAX_BUFFER);
            options.pass_credentials
        };
        self.endpoint.inbox.lock().wants_credentials = wants;
        self.endpoint.wake_senders();
    }

    /// The error that is pending, once (`SO_ERROR`).
    pub fn take_error(&self) -> Option<Errno> {
        self.endpoint.inbox.lock().error.take()
    }

    /// Whether it accepts connections (`SO_ACCEPTCONN`).
    pub fn is_listening(&self) -> bool {
        self.state.lock().listening.is_some()
    }

    /// Whether messages without a destination have one.
    pub fn is_connected(&self) -> bool {
        self.peer.get().is_some() || self.target.lock().is_some()
    }

    /// Accepts connections from now on, or changes how many may wait.
    ///
    /// # Errors
    /// - `EOPNOTSUPP`: a datagram socket.
    /// - `EINVAL`: it has no name, or is connected.
    ///
    /// Source: listen(2)
    pub fn listen(&self, backlog: u32, owner: Credentials) -> Result<()> {
        if self.kind == Kind::Datagram {
            return Err(Errno::EOPNOTSUPP);
        }
        if self.peer.get().is_some() {
            return Err(Errno::EINVAL);
        }
        let backlog = usize::try_from(backlog.min(MAX_BACKLOG)).unwrap_or(usize::MAX);
        let blocked = {
            let mut state = self.state.lock();
            if state.address == Address::Unnamed {
                return Err(Errno::EINVAL);
            }
            let listening = state.listening.get_or_insert_with(|| Listening {
                backlog,
                credentials: owner,
                pending: VecDeque::new(),
                blocked: Vec::new(),
            });
            listening.backlog = backlog;
            listening.credentials = owner;
            mem::take(&mut listening.blocked)
        };
        wake_all(blocked);
        Ok(())
    }

    /// Connects to `to`: a stream or packet stream to one that listens, for ever; a datagram
    /// socket until it connects elsewhere.
    ///
    /// # Errors
    /// - `EPROTOTYPE`: `to` is of another kind.
    /// - `ECONNREFUSED`: it does not listen, or is gone.
    /// - `EAGAIN`: its queue is full; the socket's queue tells when to try again.
    /// - `EISCONN`: connected already; `EINVAL`: it listens itself.
    /// - `EPERM`: a datagram socket connected to another one.
    ///
    /// Source: connect(2), unix(7)
    pub fn connect(&self, to: &Arc<Self>, owner: Credentials) -> Result<()> {
        if to.kind != self.kind {
            return Err(Errno::EPROTOTYPE);
        }
        if self.kind == Kind::Datagram {
            return self.connect_datagrams(to);
        }
        if self.peer.get().is_some() {
            return Err(Errno::EISCONN);
        }
        let address = {
            let state = self.state.lock();
            if state.listening.is_some() {
                return Err(Errno::EINVAL);
            }
            state.address.clone()
        };
        let near = Self::new(self.kind);
        let (name, listener) = {
            let mut state = to.state.lock();
            let (name, options) = (state.address.clone(), state.options);
            let closed = to.endpoint.inbox.lock().closed;
            let listening = state.listening.as_mut().filter(|_| !closed);
            let listening = listening.ok_or(Errno::ECONNREFUSED)?;
            if listening.pending.len() > listening.backlog {
                listening.blocked.push(Arc::downgrade(&self.endpoint));
                return Err(Errno::EAGAIN);
            }
            near.peer.call_once(|| Arc::clone(&self.endpoint));
            near.waits.store(true, Relaxed);
            {
                let mut near = near.state.lock();
                near.address = name.clone();
                near.peer_address = address;
                near.peer_credentials = Some(owner);
                near.options.pass_credentials = options.pass_credentials;
            }
            near.endpoint.inbox.lock().wants_credentials = options.pass_credentials;
            self.peer.call_once(|| Arc::clone(&near.endpoint));
            listening.pending.push_back(near);
            (name, listening.credentials)
        };
        {
            let mut state = self.state.lock();
            (state.peer_address, state.peer_credentials) = (name, Some(listener));
        }
        to.endpoint.wake_receivers();
        self.endpoint.wake_senders();
        Ok(())
    }

    fn connect_datagrams(&self, to: &Arc<Self>) -> Result<()> {
        {
            let inbox = to.endpoint.inbox.lock();
            if inbox.gone {
                return Err(Errno::ECONNREFUSED);
            }
            if inbox
                .only_from
                .as_ref()
                .is_some_and(|only| only.as_ptr() != Arc::as_ptr(&self.endpoint))
            {
                return Err(Errno::EPERM);
            }
        }
        let address = to.address();
        self.state.lock().peer_address = address;
        self.endpoint.inbox.lock().only_from = Some(Arc::downgrade(&to.endpoint));
        let old = self.target.lock().replace(Arc::clone(&to.endpoint));
        drop(old);
        self.endpoint.wake_senders();
        Ok(())
    }

    /// Undoes the connection of a datagram socket.
    pub fn disconnect(&self) {
        self.endpoint.inbox.lock().only_from = None;
        let old = self.target.lock().take();
        drop(old);
        self.state.lock().peer_address = Address::Unnamed;
        self.endpoint.wake();
    }

    /// Takes the connection that waited longest.
    ///
    /// # Errors
    /// - `EAGAIN`: none waits.
    /// - `EINVAL`: it does not listen, or was shut down.
    /// - `EOPNOTSUPP`: a datagram socket.
    ///
    /// Source: accept(2)
    pub fn accept(&self) -> Result<Arc<Self>> {
        if self.kind == Kind::Datagram {
            return Err(Errno::EOPNOTSUPP);
        }
        let (socket, blocked) = {
            let mut state = self.state.lock();
            let listening = state.listening.as_mut().ok_or(Errno::EINVAL)?;
            let socket = listening.pending.pop_front();
            let Some(socket) = socket else {
                let closed = self.endpoint.inbox.lock().closed;
                return Err(if closed { Errno::EINVAL } else { Errno::EAGAIN });
            };
            (socket, mem::take(&mut listening.blocked))
        };
        socket.waits.store(false, Relaxed);
        wake_all(blocked);
        Ok(socket)
    }

    /// Ends directions: what was sent can still be received.
    ///
    /// Source: shutdown(2)
    pub fn shut_down(&self, which: Shutdown) {
        let peer = self.peer.get();
        if which.receive {
            self.endpoint.inbox.lock().closed = true;
        }
        if which.send {
            self.mute.store(true, Relaxed);
            if let Some(peer) = peer {
                peer.inbox.lock().closed = true;
            }
        }
        if let Some(peer) = peer {
            peer.wake();
        }
        self.endpoint.wake();
        if self.is_listening() {
            let blocked = self.state.lock().listening.as_mut().map(|l| mem::take(&mut l.blocked));
            wake_all(blocked.unwrap_or_default());
        }
    }

    /// Bytes that a receive would get now (`FIONREAD`).
    pub fn readable_bytes(&self) -> usize {
        let inbox = self.endpoint.inbox.lock();
        inbox.bytes.len() + inbox.messages.front().map_or(0, |message| message.data.len())
    }

    /// Bytes sent and not received (`SIOCOUTQ`).
    pub fn unreceived_bytes(&self) -> usize {
        let Some(peer) = self.peer.get() else { return 0 };
        let inbox = peer.inbox.lock();
        inbox.bytes.len() + inbox.used
    }

    /// What could be done now.
    pub fn events(&self) -> Events {
        let mut events = Events::empty();
        {
            let inbox = self.endpoint.inbox.lock();
            if inbox.error.is_some() {
                events |= Events::ERR;
            }
            if inbox.closed {
                events |= Events::RDHUP | Events::IN | Events::RDNORM;
            }
            if inbox.has_data() {
                events |= Events::IN | Events::RDNORM;
            }
        }
        let state = self.state.lock();
        if let Some(listening) = &state.listening {
            if !listening.pending.is_empty() {
                events |= Events::IN | Events::RDNORM;
            }
            return events;
        }
        let limit = state.options.send_buffer;
        drop(state);
        if self.kind == Kind::Datagram {
            return events | self.datagram_events();
        }
        let Some(peer) = self.peer.get() else {
            return events | Events::HUP | Events::OUT | Events::WRNORM;
        };
        let inbox = peer.inbox.lock();
        if inbox.closed && events.contains(Events::RDHUP) {
            events |= Events::HUP;
        }
        if (inbox.bytes.len() + inbox.used) * 4 <= limit {
            events |= Events::OUT | Events::WRNORM;
        }
        events
    }

    fn datagram_events(&self) -> Events {
        let target = self.target.lock().clone();
        let full = target.is_some_and(|target| {
            let mut inbox = target.inbox.lock();
            let full = inbox.messages.len() > MAX_DATAGRAMS && !inbox.gone;
            if full {
                inbox.block(&self.endpoint);
            }
            full
        });
        if full { Events::empty() } else { Events::OUT | Events::WRNORM }
    }
}

/// Wakes those who waited for room.
pub(super) fn wake_all<F>(blocked: Vec<Weak<Endpoint<F>>>) {
    for endpoint in blocked {
        if let Some(endpoint) = endpoint.upgrade() {
            endpoint.wake_senders();
        }
    }
}

impl<F> Drop for Socket<F> {
    /// Closes: what was not received is lost, and the peer is told so.
    fn drop(&mut self) {
        let (unread, blocked, marks, messages) = {
            let mut inbox = self.endpoint.inbox.lock();
            let unread = inbox.has_data();
            (inbox.closed, inbox.gone) = (true, true);
            let count = inbox.bytes.len();
            inbox.bytes.consume(count);
            inbox.used = 0;
            let marks = mem::take(&mut inbox.marks);
            let messages = mem::take(&mut inbox.messages);
            (unread, mem::take(&mut inbox.blocked), marks, messages)
        };
        if let Some(peer) = self.peer.get() {
            {
                let mut inbox = peer.inbox.lock();
                inbox.closed = true;
                if unread || self.waits.load(Relaxed) {
                    inbox.error = Some(Errno::ECONNRESET);
                }
            }
            peer.wake();
        }
        wake_all(blocked);
        if let Some(listening) = self.state.get_mut().listening.take() {
            wake_all(listening.blocked);
        }
        drop((marks, messages));
    }
}

impl<F> fmt::Debug for Socket<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Socket({:?})", self.kind)
    }
}

/// What goes with a message, as the sender's options and the receiver's ask.
pub(super) fn complete<F>(ancillary: &mut Ancillary<F>, sender: Credentials, asked: bool) {
    if asked && ancillary.sender.is_none() {
        ancillary.sender = Some(sender);
    }
}
