//! Sockets as open files: unix(7).
//!
//! [`net`] knows what sockets are between them; here they meet descriptors, user memory, the names
//! of the file system and the rules of who may say who it is.
//!
//! ```text
//!   sendmsg ──▶ message: iovec, control ──▶ transfer ──▶ net::unix::Socket::send
//!   recvmsg ◀── message: iovec, control ◀── transfer ◀── net::unix::Socket::receive
//! ```

mod address;
mod control;
mod message;
mod option;
mod transfer;

use crate::{
    file::{File, Object},
    thread::Thread,
};
use abi::{Errno, Events, Fd, Result};
use alloc::sync::{Arc, Weak};
use core::{any::Any, time::Duration};
use executor::wait::WaitQueue;
use framework::{Sink, Source};
use fs::{Kind as FileKind, OpenFlags, Path, Role};
use net::unix::{Ancillary, Credentials, Kind, Receive, Socket};
use spin::{Mutex, Once};

pub use address::Given;
pub use control::Control;
pub use message::Header;
pub use option::{get_option, set_option};
pub use transfer::{Accepting, Attempt, Connecting, Flags, Receiving, Report, Sending, attempt};

/// An open file under way: always a [`File`], whose type would be part of itself otherwise.
pub type Passed = Arc<dyn Any + Send + Sync>;

/// A UNIX socket whose messages may carry open files.
pub type UnixSocket = Socket<Passed>;

/// What a descriptor of a UNIX socket refers to.
pub struct UnixFile {
    socket: Arc<UnixSocket>,
    settings: Mutex<Settings>,
    /// Its place in the tree, which lives as long as the socket does.
    place: Once<Path>,
}

/// Options that concern the calls and not the socket.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings {
    /// `SO_RCVTIMEO`.
    pub receive_timeout: Option<Duration>,
    /// `SO_SNDTIMEO`.
    pub send_timeout: Option<Duration>,
    /// `SO_LINGER`: whether, and for how many seconds.
    pub linger: (i32, i32),
    /// `SO_RCVLOWAT`.
    pub low_water: i32,
    /// Options that are only remembered, a bit each by number.
    pub remembered: u64,
}

/// What is tied to an inode that a socket is bound to.
struct Bound(Weak<UnixSocket>);

impl UnixFile {
    /// An open file for `socket`.
    pub fn open(thread: &Thread, socket: Arc<UnixSocket>, flags: OpenFlags) -> Arc<File> {
        let role = Role::Object;
        let path = thread.system.sockets.make(FileKind::Socket, 0o777, role, &thread.caller());
        let settings = Settings { low_water: 1, ..Settings::default() };
        let file = Self { socket, settings: Mutex::new(settings), place: Once::new() };
        File::new(Object::Socket(file), flags | OpenFlags::READ_WRITE, path)
    }

    /// The socket.
    pub const fn socket(&self) -> &Arc<UnixSocket> {
        &self.socket
    }

    /// Options of the calls.
    pub fn settings(&self) -> Settings {
        *self.settings.lock()
    }

    /// Changes them.
    pub fn change_settings(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.settings.lock());
    }

    /// Gives the socket the name `given` at `place`, a new file of the tree.
    ///
    /// # Errors
    /// - `EINVAL`: it has a name.
    pub fn bind(&self, given: &[u8], place: Path) -> Result<()> {
        self.socket.bind_path(given)?;
        let inode = Arc::clone(place.inode()?);
        self.place.call_once(|| place);
        inode.attach(Some(Arc::new(Bound(Arc::downgrade(&self.socket)))));
        Ok(())
    }

    /// read(2).
    ///
    /// # Errors
    /// As [`Socket::receive`].
    pub fn read(&self, to: &mut Sink<'_>) -> Result<usize> {
        if to.remaining() == 0 {
            // Unlike a receive of nothing, which waits.
            return Ok(to.done());
        }
        match self.socket.receive(to, Receive::default()) {
            Err(Errno::EAGAIN) if to.done() > 0 => Ok(to.done()),
            result => result.map(|received| received.len),
        }
    }

    /// write(2).
    ///
    /// # Errors
    /// As [`Socket::send`].
    pub fn write(&self, thread: &Thread, from: &mut Source<'_>) -> Result<usize> {
        self.socket.send(from, None, who(thread), &mut Ancillary::default())
    }

    /// What could be done now.
    pub fn events(&self) -> Events {
        self.socket.events()
    }

    /// Where to wait.
    pub fn queue(&self) -> &WaitQueue {
        self.socket.queue()
    }
}

/// The socket bound to the file at `place`.
///
/// # Errors
/// - `ECONNREFUSED`: no socket is, or it was closed.
pub fn bound_to(place: &Path) -> Result<Arc<UnixSocket>> {
    let attachment = place.inode()?.attachment().ok_or(Errno::ECONNREFUSED)?;
    let bound = attachment.downcast::<Bound>().map_err(|_| Errno::ECONNREFUSED)?;
    bound.0.upgrade().ok_or(Errno::ECONNREFUSED)
}

/// Who `thread` is to the peers of its sockets.
pub fn who(thread: &Thread) -> Credentials {
    Credentials {
        pid: thread.process().pid.get(),
        uid: thread.credentials.euid,
        gid: thread.credentials.egid,
    }
}

/// The kind for a type of socket(2), without its flags.
///
/// # Errors
/// - `ESOCKTNOSUPPORT`: UNIX sockets have no such type; `EINVAL`: nobody has.
pub fn kind_of(number: i32) -> Result<Kind> {
    match number {
        1 => Ok(Kind::Stream),
        // As on Linux, SOCK_RAW is another name.
        2 | 3 => Ok(Kind::Datagram),
        5 => Ok(Kind::SeqPacket),
        0..=10 => Err(Errno::ESOCKTNOSUPPORT),
        _ => Err(Errno::EINVAL),
    }
}

impl Thread {
    /// The socket behind a descriptor.
    ///
    /// # Errors
    /// - `EBADF`: not open; `ENOTSOCK`: something else.
    pub fn socket_file(&self, fd: Fd) -> Result<Arc<File>> {
        let file = self.files.get(fd)?;
        of(&file)?;
        Ok(file)
    }
}

/// The socket that `file` is.
///
/// # Errors
/// - `ENOTSOCK`: it is something else.
pub fn of(file: &File) -> Result<&UnixFile> {
    match file.object() {
        Object::Socket(socket) => Ok(socket),
        _ => Err(Errno::ENOTSOCK),
    }
}
