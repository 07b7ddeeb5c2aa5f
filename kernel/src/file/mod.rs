//! Open files and the descriptor table.
//!
//! A [`File`] is what a descriptor refers to: an object of one of the crates below, and the status
//! flags of its opening. It is an enum, so that a read or a write is a direct call.
//!
//! ```text
//!   FdTable ─▶ Arc<File> ─▶ Object::Node(fs::OpenFile) | Pipe | Memory | Tty | EventFd | ...
//! ```

mod context;
mod device;
mod eventfd;
mod kmsg;
mod lock;
mod notice;
mod status;
mod table;
pub mod transfer;

use crate::{
    count::Files, cred::Credentials, poll::Epoll, process::PidFd, signal::SignalFd,
    socket::UnixFile, thread::Thread, time::TimerFd,
};
use abi::{Errno, Events, Result};
use alloc::{boxed::Box, sync::Arc};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use executor::wait::{ObserverKey, WaitQueue};
use framework::{Sink, Source, count::Counted};
use fs::{Caller, OpenFile, OpenFlags, Path, Whence, notify::Inotify, pipe::PipeEnd};
use io::{
    mem::{KmsgFile, MemDevice},
    tty::{self, ReadTimer},
};

pub use context::{FsContext, Places};
pub use device::{Devices, PtyMaster, of_pipe, open_device};
pub use eventfd::EventFd;
pub use kmsg::{KernelMessages, LOG};
pub use status::{Owner, OwnerKind};
pub use table::{FdTable, MAX_FDS};
pub use transfer::{At, Segments};

/// An open file.
#[derive(Debug)]
pub struct File {
    /// What it is.
    object: Object,
    /// Flags of open(2); those of an [`OpenFile`] are in there.
    flags: AtomicU32,
    /// What it was opened for, which no flag changes.
    readable: bool,
    writable: bool,
    /// The place it was opened at.
    path: Path,
    /// Who is told about readiness (`F_SETOWN`, `O_ASYNC`).
    owner: spin::Mutex<Owner>,
    /// What tells them, while `O_ASYNC` is set.
    notice: spin::Mutex<Option<ObserverKey>>,
    _counted: Counted<Files>,
}

/// What an open file is.
pub enum Object {
    /// A file, a directory or a mere place of a file system.
    Node(OpenFile),
    /// One end of a pipe or FIFO.
    Pipe(PipeEnd),
    /// `/dev/null` and its like.
    Memory(MemDevice),
    /// A terminal.
    Tty(tty::Open),
    /// The master side of a pseudo-terminal.
    PtyMaster(PtyMaster),
    /// A counter.
    EventFd(EventFd),
    /// Many files to wait for.
    Epoll(Arc<Epoll>),
    /// A timer.
    Timer(TimerFd),
    /// Signals as bytes.
    Signals(SignalFd),
    /// A process.
    Pid(PidFd),
    /// `/dev/kmsg`.
    Kmsg(Box<KmsgFile>),
    /// Watches of files.
    Inotify(Arc<Inotify>),
    /// A socket.
    Socket(UnixFile),
}

/// What the attempts of one call share.
#[derive(Debug, Default)]
pub struct Progress {
    timer: ReadTimer,
}

/// How many files may be open together (`/proc/sys/fs/file-max`): what a tenth of the memory can
/// hold at 1 KiB each, as on Linux.
pub fn max_files() -> usize {
    const LEAST: usize = 8192;
    (framework::frame::stats().total * (framework::PAGE_SIZE / 1024) / 10).max(LEAST)
}

impl File {
    /// A file for `object`, opened at `path` with flags of open(2); close-on-exec belongs to the
    /// descriptor.
    pub fn new(object: Object, flags: OpenFlags, path: Path) -> Arc<Self> {
        let opened = match &object {
            Object::Node(node) => node.flags(),
            Object::Pipe(pipe) => pipe.flags(),
            _ => flags,
        };
        Arc::new(Self {
            object,
            readable: opened.readable(),
            writable: opened.writable(),
            flags: AtomicU32::new((flags - OpenFlags::CLOSE_ON_EXEC).bits()),
            path,
            owner: spin::Mutex::new(Owner::default()),
            notice: spin::Mutex::new(None),
            _counted: Counted::new(),
        })
    }

    /// What it is.
    pub const fn object(&self) -> &Object {
        &self.object
    }

    /// The file of a file system behind it, if it is one.
    ///
    /// # Errors
    /// - `EINVAL`: it is something else.
    pub const fn node(&self) -> Result<&OpenFile> {
        match &self.object {
            Object::Node(node) => Ok(node),
            _ => Err(Errno::EINVAL),
        }
    }

    /// The epoll instance, if it is one.
    pub const fn as_epoll(&self) -> Option<&Arc<Epoll>> {
        match &self.object {
            Object::Epoll(epoll) => Some(epoll),
            _ => None,
        }
    }

    /// Where it was opened; an object without a name has a place in a file system without a tree.
    pub const fn path(&self) -> &Path {
        &self.path
    }

    /// Who is told about readiness.
    pub fn owner(&self) -> Owner {
        *self.owner.lock()
    }

    /// `F_SETOWN`, by who has `credentials`: they count when a signal is sent.
    pub fn set_owner(&self, kind: OwnerKind, number: u32, credentials: &Credentials) {
        let mut owner = self.owner.lock();
        (owner.kind, owner.number) = (kind, number);
        (owner.uid, owner.euid) = (credentials.uid, credentials.euid);
    }

    /// `F_SETSIG`.
    pub fn set_owner_signal(&self, signal: u8) {
        self.owner.lock().signal = signal;
    }

    /// The flags of open(2) and fcntl(2).
    pub fn flags(&self) -> OpenFlags {
        match &self.object {
            Object::Node(node) => node.flags(),
            Object::Pipe(pipe) => pipe.flags(),
            _ => OpenFlags::from_bits_retain(self.flags.load(Relaxed)),
        }
    }

    /// `F_SETFL`: replaces the flags that can change.
    ///
    /// # Errors
    /// Those of the file: `EPERM` for `O_NOATIME` by somebody who is not the owner.
    pub fn set_flags(&self, flags: OpenFlags, caller: &Caller<'_>) -> Result<()> {
        if let Object::Node(node) = &self.object {
            return node.set_flags(flags, caller);
        }
        if let Object::Pipe(pipe) = &self.object {
            pipe.set_flags(flags);
            return Ok(());
        }
        let keep = self.flags() - OpenFlags::SETTABLE;
        self.flags.store((keep | (flags & OpenFlags::SETTABLE)).bits(), Relaxed);
        Ok(())
    }

    /// Whether its calls answer `EAGAIN` instead of waiting.
    pub fn is_non_blocking(&self) -> bool {
        self.flags().contains(OpenFlags::NON_BLOCKING)
    }

    /// # Errors
    /// - `EBADF`: not open for reading.
    #[inline]
    pub fn check_readable(&self) -> Result<()> {
        if self.readable { Ok(()) } else { Err(Errno::EBADF) }
    }

    /// # Errors
    /// - `EBADF`: not open for writing.
    #[inline]
    pub fn check_writable(&self) -> Result<()> {
        if self.writable { Ok(()) } else { Err(Errno::EBADF) }
    }

    /// Reads at the offset, if it has one. Returns all that the sink has got.
    ///
    /// # Errors
    /// - `EAGAIN`: nothing now; wait for `IN` on [`queue`](Self::queue) and call again.
    /// - `EFAULT`: the sink says where; call again once the page is there.
    /// - those of the object.
    #[inline]
    pub fn read(
        &self,
        thread: &Thread,
        caller: &Caller<'_>,
        to: &mut Sink<'_>,
        progress: &mut Progress,
    ) -> Result<usize> {
        match &self.object {
            Object::Node(node) => node.read(to, caller),
            Object::Pipe(pipe) => pipe.read(to),
            Object::Memory(device) => device.read(&thread.system.random, to),
            Object::Tty(open) => open.read(thread, to, &mut progress.timer),
            Object::PtyMaster(master) => master.read(to),
            Object::EventFd(event) => event.read(to),
            Object::Timer(timer) => timer.read(to),
            Object::Signals(signals) => signals.read(thread, to),
            Object::Kmsg(file) => LOG.read(file, to),
            Object::Inotify(inotify) => inotify.read(to),
            Object::Socket(socket) => socket.read(to),
            Object::Epoll(_) | Object::Pid(_) => Err(Errno::EINVAL),
        }
    }

    /// Writes at the offset, if it has one. Returns all that was taken from the source.
    ///
    /// # Errors
    /// As [`read`](Self::read); `EAGAIN` waits for `OUT`.
    #[inline]
    pub fn write(
        &self,
        thread: &Thread,
        caller: &Caller<'_>,
        from: &mut Source<'_>,
    ) -> Result<usize> {
        match &self.object {
            Object::Node(node) => node.write(from, caller),
            Object::Pipe(pipe) => pipe.write(from),
            Object::Memory(device) => device.write(&thread.system.random, from),
            Object::Tty(open) => open.write(thread, from),
            Object::PtyMaster(master) => master.write(from),
            Object::EventFd(event) => event.write(from),
            Object::Kmsg(file) => LOG.write(file, from),
            Object::Inotify(_) => Err(Errno::EBADF),
            Object::Socket(socket) => socket.write(thread, from),
            Object::Timer(_) | Object::Signals(_) | Object::Epoll(_) | Object::Pid(_) => {
                Err(Errno::EINVAL)
            }
        }
    }

    /// Reads at `offset`.
    ///
    /// # Errors
    /// - `ESPIPE`: it has no offsets.
    /// - those of [`read`](Self::read).
    pub fn read_at(
        &self,
        offset: u64,
        thread: &Thread,
        caller: &Caller<'_>,
        to: &mut Sink<'_>,
    ) -> Result<usize> {
        match &self.object {
            Object::Node(node) => node.read_at(offset, to, caller),
            Object::Memory(device) => device.read(&thread.system.random, to),
            _ => Err(Errno::ESPIPE),
        }
    }

    /// Writes at `offset`.
    ///
    /// # Errors
    /// - `ESPIPE`: it has no offsets.
    /// - those of [`write`](Self::write).
    pub fn write_at(
        &self,
        offset: u64,
        thread: &Thread,
        caller: &Caller<'_>,
        from: &mut Source<'_>,
    ) -> Result<usize> {
        match &self.object {
            Object::Node(node) => node.write_at(offset, from, caller),
            Object::Memory(device) => device.write(&thread.system.random, from),
            _ => Err(Errno::ESPIPE),
        }
    }

    /// Moves the offset and returns it.
    ///
    /// # Errors
    /// - `ESPIPE`: it has no offsets.
    /// - those of the file system.
    pub fn seek(&self, by: i64, whence: Whence) -> Result<u64> {
        match &self.object {
            Object::Node(node) => node.seek(by, whence),
            // Character devices of this kind accept any position and ignore it.
            Object::Memory(_) => Ok(0),
            Object::Kmsg(file) => kmsg::seek(file, by, whence),
            // As are these: Linux's files without an inode have an offset that nothing uses.
            Object::EventFd(_)
            | Object::Epoll(_)
            | Object::Timer(_)
            | Object::Signals(_)
            | Object::Inotify(_) => Ok(0),
            Object::Pipe(_)
            | Object::Tty(_)
            | Object::PtyMaster(_)
            | Object::Pid(_)
            | Object::Socket(_) => Err(Errno::ESPIPE),
        }
    }

    /// What could be done now without waiting.
    pub fn events(&self, thread: &Thread) -> Events {
        match &self.object {
            Object::Node(node) => node.poll(),
            Object::Pipe(pipe) => pipe.poll(),
            Object::Memory(device) => device.poll(),
            Object::Tty(open) => open.poll(),
            Object::PtyMaster(master) => master.poll(),
            Object::EventFd(event) => event.events(),
            Object::Epoll(epoll) => epoll.events(thread),
            Object::Timer(timer) => timer.events(),
            Object::Signals(signals) => signals.events(thread),
            Object::Pid(pid) => pid.events(),
            Object::Kmsg(file) => LOG.poll(file) | Events::OUT | Events::WRNORM,
            Object::Inotify(inotify) => inotify.poll(),
            Object::Socket(socket) => socket.events(),
        }
    }

    /// Where to wait for events; `None` if they never change.
    pub fn queue(&self) -> Option<&WaitQueue> {
        match &self.object {
            Object::Node(node) => node.wait_queue(),
            Object::Pipe(pipe) => Some(pipe.wait_queue()),
            Object::Memory(_) => None,
            Object::Tty(open) => Some(open.queue()),
            Object::PtyMaster(master) => Some(master.queue()),
            Object::EventFd(event) => Some(event.queue()),
            Object::Epoll(epoll) => Some(epoll.queue()),
            Object::Timer(timer) => Some(timer.queue()),
            Object::Signals(signals) => Some(signals.queue()),
            Object::Pid(pid) => Some(pid.queue()),
            Object::Kmsg(_) => Some(LOG.queue()),
            Object::Inotify(inotify) => Some(inotify.wait_queue()),
            Object::Socket(socket) => Some(socket.queue()),
        }
    }
}

impl core::fmt::Debug for Object {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Node(_) => "Node",
            Self::Pipe(_) => "Pipe",
            Self::Memory(_) => "Memory",
            Self::Tty(_) => "Tty",
            Self::PtyMaster(_) => "PtyMaster",
            Self::EventFd(_) => "EventFd",
            Self::Epoll(_) => "Epoll",
            Self::Timer(_) => "Timer",
            Self::Signals(_) => "Signals",
            Self::Pid(_) => "Pid",
            Self::Kmsg(_) => "Kmsg",
            Self::Inotify(_) => "Inotify",
            Self::Socket(_) => "Socket",
        })
    }
}
