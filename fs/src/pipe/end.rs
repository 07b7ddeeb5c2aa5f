//! An open end of a pipe.

use crate::{
    AnonymousFs, Caller, Errno, Inode, Kind, OpenFlags, Path, Result, Role, Sink, Source,
    pipe::{PIPE_BUF, Pipe, State, ring::Ring},
};
use abi::Events;
use alloc::sync::Arc;
use core::{
    fmt,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};
use executor::wait::WaitQueue;
use framework::{VirtAddr, VmSpace};
use spin::Once;

/// An open file description of a pipe or a FIFO.
pub struct PipeEnd {
    pipe: Arc<Pipe>,
    path: Path,
    flags: AtomicU32,
    /// What [`Pipe`] counted of the other side when this end was opened.
    seen: u32,
}

/// What became of a short transfer without detours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// So many bytes were transferred.
    Done(usize),
    /// The long way would answer `EAGAIN`.
    NotReady,
    /// Nothing was done; the long way knows what to do.
    Other,
}

impl Pipe {
    /// Makes a pipe and both its ends, the reading one first: pipe2(2).
    ///
    /// `flags` may be `NON_BLOCKING` and `DIRECT` (packets).
    pub fn pair(
        file_system: &AnonymousFs,
        flags: OpenFlags,
        caller: &Caller<'_>,
    ) -> (PipeEnd, PipeEnd) {
        let pipe = Self::new();
        let role = Role::Fifo(Once::initialized(Arc::clone(&pipe)));
        let path = file_system.make(Kind::Fifo, 0o600, role, caller);
        {
            let mut state = pipe.state.lock();
            (state.readers, state.writers) = (1, 1);
            (state.readers_ever, state.writers_ever) = (1, 1);
        }
        let flags = flags & (OpenFlags::NON_BLOCKING | OpenFlags::DIRECT);
        let end = |path, flags: OpenFlags| PipeEnd {
            pipe: Arc::clone(&pipe),
            path,
            flags: AtomicU32::new(flags.bits()),
            seen: 0,
        };
        let reader = end(path.clone(), flags);
        (reader, end(path, flags | OpenFlags::WRITE_ONLY))
    }
}

impl PipeEnd {
    /// Opens a FIFO. The end counts at once; unless [`opened`](Self::opened), a blocking open then
    /// waits for the other side.
    ///
    /// # Errors
    /// - `ENXIO`: non-blocking, for writing, and nobody reads.
    ///
    /// Source: fifo(7)
    pub fn open_fifo(pipe: &Arc<Pipe>, path: Path, flags: OpenFlags) -> Result<Self> {
        let seen = {
            let mut state = pipe.state.lock();
            let non_blocking = flags.contains(OpenFlags::NON_BLOCKING);
            if flags.writable() && !flags.readable() && non_blocking && state.readers == 0 {
                return Err(Errno::ENXIO);
            }
            if flags.readable() {
                state.readers += 1;
                state.readers_ever = state.readers_ever.wrapping_add(1);
            }
            if flags.writable() {
                state.writers += 1;
                state.writers_ever = state.writers_ever.wrapping_add(1);
            }
            if flags.readable() { state.writers_ever } else { state.readers_ever }
        };
        pipe.queue.wake_all(u32::MAX);
        Ok(Self { pipe: Arc::clone(pipe), path, flags: AtomicU32::new(flags.bits()), seen })
    }

    /// Whether the open is complete: the other side is there, or was, or is not waited for.
    ///
    /// # Errors
    /// - `EAGAIN`: wait on [`wait_queue`](Self::wait_queue) for any event, and ask again.
    pub fn opened(&self) -> Result<()> {
        let flags = self.flags();
        if flags.readable() && flags.writable() || flags.contains(OpenFlags::NON_BLOCKING) {
            return Ok(());
        }
        let state = self.pipe.state.lock();
        let (others, ever) = if flags.readable() {
            (state.writers, state.writers_ever)
        } else {
            (state.readers, state.readers_ever)
        };
        if others != 0 || ever != self.seen { Ok(()) } else { Err(Errno::EAGAIN) }
    }

    /// The pipe.
    pub const fn pipe(&self) -> &Arc<Pipe> {
        &self.pipe
    }

    /// Its place in the tree.
    pub const fn path(&self) -> &Path {
        &self.path
    }

    /// Its inode.
    ///
    /// # Errors
    /// None in fact: the path of an end is never negative.
    pub fn inode(&self) -> Result<&Arc<Inode>> {
        self.path.inode()
    }

    /// Its flags, for `F_GETFL`.
    pub fn flags(&self) -> OpenFlags {
        OpenFlags::from_bits_retain(self.flags.load(Relaxed))
    }

    /// Changes the flags that `F_SETFL` changes.
    pub fn set_flags(&self, flags: OpenFlags) {
        let new = (self.flags() - OpenFlags::SETTABLE) | (flags & OpenFlags::SETTABLE);
        self.flags.store(new.bits(), Relaxed);
    }

    /// Where to wait for events.
    pub fn wait_queue(&self) -> &WaitQueue {
        &self.pipe.queue
    }

    /// Reads what is there; 0 bytes is the end, when nobody writes.
    ///
    /// # Errors
    /// - `EAGAIN`: nothing there, but somebody who may write.
    /// - `EBADF`: not open for reading.
    /// - `EFAULT`: the sink says where; bytes before it are taken out of the pipe.
    ///
    /// Source: read(2), pipe(7)
    pub fn read(&self, to: &mut Sink<'_>) -> Result<usize> {
        if !self.flags().readable() {
            return Err(Errno::EBADF);
        }
        if to.remaining() == 0 {
            return Ok(to.done());
        }
        let result = {
            let mut state = self.pipe.state.lock();
            if state.ring.len() == 0 {
                let end = state.writers == 0 || to.done() != 0;
                return if end { Ok(to.done()) } else { Err(Errno::EAGAIN) };
            }
            state.ring.pull(to)
        };
        self.pipe.queue.wake_all((Events::OUT | Events::WRNORM).bits());
        result?;
        Ok(to.done())
    }

    /// Like [`read`](Self::read) to one segment of an end that is open for reading, if nothing is
    /// out of the ordinary: if the bytes are there in one piece and the user memory is mapped.
    #[inline]
    pub fn read_piece(&self, space: &VmSpace, to: VirtAddr, len: usize) -> Piece {
        let mut state = self.pipe.state.lock();
        if len == 0 {
            return Piece::Other;
        }
        if state.ring.len() == 0 {
            return if state.writers == 0 { Piece::Other } else { Piece::NotReady };
        }
        let Some(done) = state.ring.pull_piece(space, to, len) else { return Piece::Other };
        drop(state);
        self.pipe.queue.wake_all((Events::OUT | Events::WRNORM).bits());
        Piece::Done(done)
    }

    /// Like [`write`](Self::write) of one segment to an end that is open for writing, if nothing is
    /// out of the ordinary: if somebody reads, the room is there in one piece, and the user memory
    /// is mapped.
    #[inline]
    pub fn write_piece(&self, space: &VmSpace, from: VirtAddr, len: usize) -> Piece {
        let mut state = self.pipe.state.lock();
        if len == 0 || state.readers == 0 || self.flags().contains(OpenFlags::DIRECT) {
            return Piece::Other;
        }
        if state.ring.push_piece(space, from, len).is_none() {
            return Piece::Other;
        }
        drop(state);
        self.pipe.queue.wake_all((Events::IN | Events::RDNORM).bits());
        Piece::Done(len)
    }

    /// Copies what is there and leaves it in the pipe; 0 bytes is the end, when nobody writes.
    ///
    /// # Errors
    /// - `EAGAIN`: nothing there, but somebody who may write.
    /// - `EBADF`: not open for reading.
    ///
    /// Source: tee(2)
    pub fn peek(&self, to: &mut Sink<'_>) -> Result<usize> {
        if !self.flags().readable() {
            return Err(Errno::EBADF);
        }
        let state = self.pipe.state.lock();
        if state.ring.len() == 0 && state.writers != 0 {
            return Err(Errno::EAGAIN);
        }
        state.ring.copy_to(to)?;
        Ok(to.done())
    }

    /// Writes; up to [`PIPE_BUF`] bytes at once or not at all.
    ///
    /// # Errors
    /// - `EAGAIN`: no room. On a blocking end a long write that got stuck half-way answers this
    ///   too; the source knows how far it got, and the same call goes on from there.
    /// - `EPIPE`: nobody reads (a `SIGPIPE` above).
    /// - `EBADF`: not open for writing.
    /// - `EFAULT`: the source says where.
    ///
    /// Source: write(2), pipe(7)
    pub fn write(&self, from: &mut Source<'_>) -> Result<usize> {
        let flags = self.flags();
        if !flags.writable() {
            return Err(Errno::EBADF);
        }
        if from.remaining() == 0 {
            return Ok(from.done());
        }
        let begin = from.done();
        let result = {
            let mut state = self.pipe.state.lock();
            if state.readers == 0 {
                return if begin == 0 { Err(Errno::EPIPE) } else { Ok(begin) };
            }
            state.write(from, flags.contains(OpenFlags::DIRECT))
        };
        if from.done() != begin {
            self.pipe.queue.wake_all((Events::IN | Events::RDNORM).bits());
        }
        match result {
            Err(Errno::EAGAIN | Errno::ENOMEM)
                if from.done() != 0 && flags.contains(OpenFlags::NON_BLOCKING) =>
            {
                Ok(from.done())
            }
            Err(error) => Err(error),
            Ok(()) => Ok(from.done()),
        }
    }

    /// Which events are there now.
    pub fn poll(&self) -> Events {
        let flags = self.flags();
        let state = self.pipe.state.lock();
        let mut events = Events::empty();
        if flags.readable() {
            if state.ring.len() != 0 {
                events |= Events::IN | Events::RDNORM;
            }
            if state.writers == 0 && state.writers_ever != self.seen {
                events |= Events::HUP;
            }
        }
        if flags.writable() {
            if state.ring.room() >= PIPE_BUF {
                events |= Events::OUT | Events::WRNORM;
            }
            if state.readers == 0 {
                events |= Events::ERR;
            }
        }
        events
    }
}

impl State {
    /// Takes all of `from` that there is room for; `EAGAIN` if that is not all.
    fn write(&mut self, from: &mut Source<'_>, packets: bool) -> Result<()> {
        loop {
            let left = from.remaining();
            if left == 0 {
                return Ok(());
            }
            let (begin, room) = (from.done(), self.ring.room());
            let whole = packets || begin + left <= PIPE_BUF;
            let piece = if packets { left.min(PIPE_BUF) } else { left };
            if room == 0 || whole && room < piece {
                return Err(Errno::EAGAIN);
            }
            let result = self.ring.push(from, piece, packets);
            if whole && result.is_err() {
                // What must not be torn is written again from its start.
                self.ring.unpush(from.done() - begin);
                from.rewind(begin);
            }
            result?;
        }
    }
}

impl Drop for PipeEnd {
    fn drop(&mut self) {
        let flags = self.flags();
        let last = {
            let mut state = self.pipe.state.lock();
            state.readers -= u32::from(flags.readable());
            state.writers -= u32::from(flags.writable());
            if state.readers == 0 && state.writers == 0 {
                state.ring = Ring::new();
            }
            state.readers == 0 || state.writers == 0
        };
        if last {
            self.pipe.queue.wake_all(u32::MAX);
        }
    }
}

impl fmt::Debug for PipeEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PipeEnd({:?})", self.pipe)
    }
}
