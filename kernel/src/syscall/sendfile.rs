//! From file to file without the program between: sendfile(2), splice(2), tee(2), vmsplice(2),
//! copy_file_range(2).

use super::{Outcome, Row, UserPtr, read, row};
use crate::{
    file::{
        At, File, Object, Progress,
        transfer::{In, Out, transfer},
    },
    thread::Thread,
};
use abi::{Errno, Events, Fd, Result, file::Iovec};
use alloc::{boxed::Box, sync::Arc, vec::Vec};
use framework::{Sink, Source};
use fs::{OpenFlags, Whence};

pub(super) const ROWS: &[Row] = &[
    row!(40 "sendfile" (to: Fd, from: Fd, offset: UserPtr<i64>, count: usize) => sendfile, Full),
    row!(275 "splice" (from: Fd, from_offset: UserPtr<i64>, to: Fd, to_offset: UserPtr<i64>,
        len: usize, flags: u32) => splice, Full),
    row!(276 "tee" (from: Fd, to: Fd, len: usize, flags: u32) => tee, Full),
    row!(278 "vmsplice" (fd: Fd, iov: UserPtr<Iovec>, count: usize, flags: u32) => vmsplice, Full),
    row!(326 "copy_file_range" (from: Fd, from_offset: UserPtr<i64>, to: Fd,
        to_offset: UserPtr<i64>, len: usize, flags: u32) => copy_file_range, Full),
];

/// The most that one call transfers (`MAX_RW_COUNT`).
const MAX_COUNT: usize = 0x7fff_f000;
/// Bytes moved at a time.
const CHUNK: usize = 64 * 1024;
/// `SPLICE_F_*`.
const SPLICE_FLAGS: u32 = 0xf;
const SPLICE_NON_BLOCKING: u32 = 2;

/// Where a file is read.
#[derive(Clone, Copy)]
enum From {
    /// It has no offsets.
    Stream,
    /// At its own offset, which moves on.
    Own(u64),
    /// At an offset of the program, which is stored back.
    Given(u64, UserPtr<i64>),
}

/// What the attempts of one call share.
struct Job {
    from: Arc<File>,
    to: Arc<File>,
    read: From,
    write: At,
    /// Where the output's offset is stored back.
    stored: Option<UserPtr<i64>>,
    count: usize,
    done: usize,
    /// Taken from a stream and not yet written.
    pending: Vec<u8>,
    /// Whether a pipe that is not ready ends the call.
    non_blocking: bool,
    /// Whether the first piece ends the call.
    once: bool,
    /// Whether a pipe keeps what is copied from it.
    keep: bool,
}

/// Which side is not ready.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    In,
    Out,
}

/// An offset in user memory, if one was given.
fn offset(thread: &Thread, at: UserPtr<i64>) -> Result<Option<u64>> {
    if at.is_null() {
        return Ok(None);
    }
    u64::try_from(thread.read(at)?).map(Some).map_err(|_| Errno::EINVAL)
}

fn is_pipe(file: &File) -> bool {
    matches!(file.object(), Object::Pipe(_))
}

/// Copies `count` bytes of a file to another, at `offset` or at the file's own offset.
///
/// # Errors
/// - `EBADF`: not open for reading, or writing.
/// - `EINVAL`: the source has no offsets, or the target appends.
/// - `EAGAIN`: the target is non-blocking and full.
///
/// Source: sendfile(2)
fn sendfile(
    thread: &Thread,
    to: Fd,
    from: Fd,
    at: UserPtr<i64>,
    count: usize,
) -> Result<Outcome<'_>> {
    let given = offset(thread, at)?;
    let (from, to) = (thread.files.get(from)?, thread.files.get(to)?);
    from.check_readable()?;
    to.check_writable()?;
    if to.flags().contains(OpenFlags::APPEND) {
        return Err(Errno::EINVAL);
    }
    let own = from.seek(0, Whence::Current);
    let read = match given {
        Some(given) if own.is_ok() => From::Given(given, at),
        Some(_) => return Err(Errno::ESPIPE),
        None => From::Own(own.map_err(|_| Errno::EINVAL)?),
    };
    Job::new(from, to, read, At::Offset, count).run(thread)
}

/// Moves bytes between a pipe and another file.
///
/// # Errors
/// - `EBADF`: not open for reading, or writing.
/// - `EINVAL`: neither is a pipe, both are the same, or the target appends.
/// - `ESPIPE`: an offset into a pipe.
/// - `EAGAIN`: not ready, with `SPLICE_F_NONBLOCK` or a non-blocking file.
///
/// Source: splice(2)
fn splice(
    thread: &Thread,
    from: Fd,
    from_at: UserPtr<i64>,
    to: Fd,
    to_at: UserPtr<i64>,
    len: usize,
    flags: u32,
) -> Result<Outcome<'_>> {
    if flags & !SPLICE_FLAGS != 0 {
        return Err(Errno::EINVAL);
    }
    if len == 0 {
        return Ok(Outcome::Done(0));
    }
    let (from, to) = (thread.files.get(from)?, thread.files.get(to)?);
    from.check_readable()?;
    to.check_writable()?;
    let (pipe_in, pipe_out) = (is_pipe(&from), is_pipe(&to));
    if !pipe_in && !pipe_out {
        return Err(Errno::EINVAL);
    }
    if pipe_in && !from_at.is_null() || pipe_out && !to_at.is_null() {
        return Err(Errno::ESPIPE);
    }
    if same_pipe(&from, &to) || to.flags().contains(OpenFlags::APPEND) {
        return Err(Errno::EINVAL);
    }
    let read = match (pipe_in, offset(thread, from_at)?) {
        (true, _) => From::Stream,
        (false, Some(given)) => From::Given(given, from_at),
        (false, None) => from.seek(0, Whence::Current).map_or(From::Stream, From::Own),
    };
    let write = offset(thread, to_at)?.map_or(At::Offset, At::Position);
    let mut job = Job::new(from, to, read, write, len);
    job.stored = (write != At::Offset).then_some(to_at);
    job.non_blocking = flags & SPLICE_NON_BLOCKING != 0;
    job.once = true;
    job.run(thread)
}

fn same_pipe(from: &File, to: &File) -> bool {
    match (from.object(), to.object()) {
        (Object::Pipe(from), Object::Pipe(to)) => Arc::ptr_eq(from.pipe(), to.pipe()),
        _ => false,
    }
}

/// Copies what is in a pipe to another one, and leaves it there.
///
/// # Errors
/// - `EBADF`: not open for reading, or writing.
/// - `EINVAL`: not two pipes.
/// - `EAGAIN`: not ready, with `SPLICE_F_NONBLOCK` or a non-blocking pipe.
///
/// Source: tee(2)
fn tee(thread: &Thread, from: Fd, to: Fd, len: usize, flags: u32) -> Result<Outcome<'_>> {
    if flags & !SPLICE_FLAGS != 0 {
        return Err(Errno::EINVAL);
    }
    if len == 0 {
        return Ok(Outcome::Done(0));
    }
    let (from, to) = (thread.files.get(from)?, thread.files.get(to)?);
    from.check_readable()?;
    to.check_writable()?;
    if !is_pipe(&from) || !is_pipe(&to) || same_pipe(&from, &to) {
        return Err(Errno::EINVAL);
    }
    let mut job = Job::new(from, to, From::Stream, At::Offset, len);
    job.non_blocking = flags & SPLICE_NON_BLOCKING != 0;
    (job.once, job.keep) = (true, true);
    job.run(thread)
}

/// Moves memory into a pipe, or a pipe into memory.
///
/// # Errors
/// - `EBADF`: not a pipe.
/// - those of writev(2) and readv(2).
///
/// Source: vmsplice(2)
fn vmsplice(
    thread: &Thread,
    fd: Fd,
    iov: UserPtr<Iovec>,
    count: usize,
    flags: u32,
) -> Result<Outcome<'_>> {
    if flags & !SPLICE_FLAGS != 0 {
        return Err(Errno::EINVAL);
    }
    let file = thread.files.get(fd)?;
    if !is_pipe(&file) {
        return Err(Errno::EBADF);
    }
    let segments = read::segments(thread, iov, count)?;
    if file.flags().writable() {
        transfer::<Out>(thread, file, At::Offset, segments)
    } else {
        transfer::<In>(thread, file, At::Offset, segments)
    }
}

/// Copies a part of a regular file to another, or elsewhere in the same.
///
/// # Errors
/// - `EBADF`: not open for reading or writing, or the target appends.
/// - `EISDIR`, `EINVAL`: not regular files, or the parts overlap.
///
/// Source: copy_file_range(2)
fn copy_file_range(
    thread: &Thread,
    from: Fd,
    from_at: UserPtr<i64>,
    to: Fd,
    to_at: UserPtr<i64>,
    len: usize,
    flags: u32,
) -> Result<Outcome<'_>> {
    let (from, to) = (thread.files.get(from)?, thread.files.get(to)?);
    let (read_offset, write_offset) = (offset(thread, from_at)?, offset(thread, to_at)?);
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    let (source, target) = (from.node()?, to.node()?);
    if source.inode().is_directory() || target.inode().is_directory() {
        return Err(Errno::EISDIR);
    }
    if source.pages().is_none() || target.pages().is_none() {
        return Err(Errno::EINVAL);
    }
    from.check_readable()?;
    to.check_writable()?;
    if to.flags().contains(OpenFlags::APPEND) {
        return Err(Errno::EBADF);
    }
    let read = match read_offset {
        Some(given) => From::Given(given, from_at),
        None => From::Own(from.seek(0, Whence::Current)?),
    };
    let write_start = match write_offset {
        Some(given) => given,
        None => to.seek(0, Whence::Current)?,
    };
    if Arc::ptr_eq(source.inode(), target.inode()) {
        let (read_start, len) = (read.offset(), len as u64);
        if read_start < write_start.saturating_add(len)
            && write_start < read_start.saturating_add(len)
        {
            return Err(Errno::EINVAL);
        }
    }
    let write = write_offset.map_or(At::Offset, At::Position);
    let mut job = Job::new(from, to, read, write, len);
    job.stored = (write != At::Offset).then_some(to_at);
    job.run(thread)
}

impl From {
    const fn offset(self) -> u64 {
        match self {
            Self::Stream => 0,
            Self::Own(at) | Self::Given(at, _) => at,
        }
    }

    const fn advance(&mut self, by: u64) {
        match self {
            Self::Stream => {}
            Self::Own(at) | Self::Given(at, _) => *at += by,
        }
    }
}

impl Job {
    fn new(from: Arc<File>, to: Arc<File>, read: From, write: At, count: usize) -> Self {
        Self {
            from,
            to,
            read,
            write,
            stored: None,
            count: count.min(MAX_COUNT),
            done: 0,
            pending: Vec::new(),
            non_blocking: false,
            once: false,
            keep: false,
        }
    }

    fn run(mut self, thread: &Thread) -> Result<Outcome<'_>> {
        match self.attempt(thread) {
            Ok(result) => self.finish(thread, result).map(Outcome::Done),
            Err(side) => Ok(Outcome::Wait(Box::pin(self.wait(thread, side)))),
        }
    }

    async fn wait(mut self, thread: &Thread, mut side: Side) -> Result<usize> {
        loop {
            let (file, events) = match side {
                Side::In => (Arc::clone(&self.from), Events::IN | Events::HUP),
                Side::Out => (Arc::clone(&self.to), Events::OUT | Events::ERR),
            };
            let Some(queue) = file.queue() else { return self.finish(thread, Err(Errno::EAGAIN)) };
            let listener = queue.listen((events | Events::ERR | Events::HUP).bits(), false);
            match self.attempt(thread) {
                Ok(result) => return self.finish(thread, result),
                Err(again) if again != side => {
                    side = again;
                    continue;
                }
                Err(_) => {}
            }
            // What was taken from a stream must not be lost to a signal.
            let waited = match self.pending.is_empty() {
                true => thread.wait(listener).await,
                false => thread.wait_killable(listener).await,
            };
            if let Err(errno) = waited {
                return self.finish(thread, Err(errno));
            }
        }
    }

    /// What the call returns: what was moved counts before an error.
    fn finish(self, thread: &Thread, result: Result<()>) -> Result<usize> {
        match self.read {
            From::Own(at) => drop(self.from.seek(at.cast_signed(), Whence::Set)),
            From::Given(at, stored) => thread.write(stored, &at.cast_signed())?,
            From::Stream => {}
        }
        if let (At::Position(at), Some(stored)) = (self.write, self.stored) {
            thread.write(stored, &at.cast_signed())?;
        }
        match result {
            Err(errno) if self.done == 0 => {
                thread.signal_transfer_error(errno);
                Err(errno)
            }
            _ => Ok(self.done),
        }
    }

    /// Moves what can be moved now; `Err` says which side has to become ready.
    fn attempt(&mut self, thread: &Thread) -> Result<Result<()>, Side> {
        while self.done < self.count {
            if self.pending.is_empty() {
                match self.fill(thread) {
                    Ok(0) => break,
                    Ok(_) => {}
                    Err(Errno::EAGAIN) => return self.not_ready(Side::In),
                    Err(errno) => return Ok(Err(errno)),
                }
            }
            match self.drain(thread) {
                Ok(()) => {}
                Err(Errno::EAGAIN) => return self.not_ready(Side::Out),
                Err(errno) => return Ok(Err(errno)),
            }
            if self.once && self.pending.is_empty() {
                break;
            }
        }
        Ok(Ok(()))
    }

    fn not_ready(&mut self, side: Side) -> Result<Result<()>, Side> {
        let file = if side == Side::In { &self.from } else { &self.to };
        if !matches!(self.read, From::Stream) {
            // It is read again from where the write stopped.
            self.pending.clear();
        }
        let gives_up = self.non_blocking || file.is_non_blocking();
        let moved = self.done > 0 && self.once;
        if (gives_up || moved) && self.pending.is_empty() {
            Ok(Err(Errno::EAGAIN))
        } else {
            Err(side)
        }
    }

    /// Reads the next piece; returns how much.
    fn fill(&mut self, thread: &Thread) -> Result<usize> {
        let mut most = CHUNK.min(self.count - self.done);
        if matches!(self.read, From::Stream)
            && let Object::Pipe(to) = self.to.object()
        {
            // No more than goes into the other pipe, so that nothing is left over.
            let room = to.pipe().size().saturating_sub(to.pipe().len());
            most = most.min(room);
            if most == 0 {
                return Err(Errno::EAGAIN);
            }
        }
        self.pending.try_reserve_exact(most).map_err(|_| Errno::ENOMEM)?;
        self.pending.resize(most, 0);
        let caller = thread.caller();
        let mut sink = Sink::kernel(&mut self.pending);
        let result = match self.read {
            From::Stream => match self.from.object() {
                Object::Pipe(pipe) if self.keep => pipe.peek(&mut sink),
                _ => self.from.read(thread, &caller, &mut sink, &mut Progress::default()),
            },
            From::Own(at) | From::Given(at, _) => self.from.read_at(at, thread, &caller, &mut sink),
        };
        let got = sink.done();
        self.pending.truncate(got);
        match result {
            Err(errno) if got == 0 => Err(errno),
            _ => Ok(got),
        }
    }

    /// Writes the piece.
    fn drain(&mut self, thread: &Thread) -> Result<()> {
        let caller = thread.caller();
        let mut source = Source::kernel(&self.pending);
        let result = match self.write {
            At::Offset => self.to.write(thread, &caller, &mut source),
            At::Position(at) => self.to.write_at(at, thread, &caller, &mut source),
        };
        let put = source.done();
        self.pending.drain(..put);
        self.done += put;
        self.read.advance(put as u64);
        if let At::Position(at) = &mut self.write {
            *at += put as u64;
        }
        match result {
            Err(errno) if put == 0 || errno == Errno::EAGAIN => Err(errno),
            _ => Ok(()),
        }
    }
}
