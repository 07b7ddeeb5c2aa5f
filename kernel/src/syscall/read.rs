//! read(2), write(2), pread64(2), readv(2), preadv2(2) and their like; lseek(2), sendfile(2).

use super::{Outcome, Row, UserPtr, row};
use crate::{
    file::{
        At, File, Segments,
        transfer::{Direction, In, Out, transfer},
    },
    thread::Thread,
};
use abi::{Errno, Fd, Result, file::Iovec};
use alloc::sync::Arc;
use framework::{VirtAddr, copy::Segment};
use fs::Whence;

pub(super) const ROWS: &[Row] = &[
    row!(0 "read" (fd: Fd, buf: UserPtr<u8>, count: usize) => plain::<In>, Full),
    row!(1 "write" (fd: Fd, buf: UserPtr<u8>, count: usize) => plain::<Out>, Full),
    row!(8 "lseek" (fd: Fd, offset: i64, whence: u32) => lseek, Full),
    row!(17 "pread64" (fd: Fd, buf: UserPtr<u8>, count: usize, offset: i64)
        => positioned::<In>, Full),
    row!(18 "pwrite64" (fd: Fd, buf: UserPtr<u8>, count: usize, offset: i64)
        => positioned::<Out>, Full),
    row!(19 "readv" (fd: Fd, iov: UserPtr<Iovec>, count: usize) => vector::<In>, Full),
    row!(20 "writev" (fd: Fd, iov: UserPtr<Iovec>, count: usize) => vector::<Out>, Full),
    row!(295 "preadv" (fd: Fd, iov: UserPtr<Iovec>, count: usize, low: i64, _high: i64)
        => positioned_vector::<In>, Full),
    row!(296 "pwritev" (fd: Fd, iov: UserPtr<Iovec>, count: usize, low: i64, _high: i64)
        => positioned_vector::<Out>, Full),
    row!(327 "preadv2" (fd: Fd, iov: UserPtr<Iovec>, count: usize, low: i64, _high: i64, flags: u32)
        => preadv2, Partial, "RWF_NOWAIT looks at readiness before the call"),
    row!(328 "pwritev2" (fd: Fd, iov: UserPtr<Iovec>, count: usize, low: i64, _high: i64, flags: u32)
        => pwritev2, Partial, "RWF_APPEND and RWF_NOWAIT are EOPNOTSUPP"),
];

/// The most that one call transfers (`MAX_RW_COUNT`).
const MAX_COUNT: usize = 0x7fff_f000;
/// The most segments of one call (`IOV_MAX`).
const IOV_MAX: usize = 1024;

/// Reads up to `count` bytes from `fd` into `buf`, or writes them from there; returns how many, 0 at
/// the end of the file.
///
/// # Errors
/// - `EBADF`: `fd` is not open for it.
/// - `EFAULT`: `buf` is not user memory.
/// - `EAGAIN`: it would have to wait, and the file is non-blocking.
/// - `EINTR`: a signal came before the first byte.
/// - `EISDIR`: a directory.
/// - `EPIPE`: nobody will read it; `SIGPIPE` too.
/// - those of the file system.
///
/// Source: read(2), write(2)
#[inline]
fn plain<D: Direction>(
    thread: &Thread,
    fd: Fd,
    buf: UserPtr<u8>,
    count: usize,
) -> Result<Outcome<'_>> {
    let file = open_for::<D>(thread, fd)?;
    transfer::<D>(thread, file, At::Offset, [segment(buf, count)?])
}

/// The same at `offset`, the file's own staying as it is.
///
/// # Errors
/// As for [`plain`], and:
/// - `EINVAL`: the offset is negative.
/// - `ESPIPE`: the file has no offsets.
///
/// Source: pread(2)
fn positioned<D: Direction>(
    thread: &Thread,
    fd: Fd,
    buf: UserPtr<u8>,
    count: usize,
    offset: i64,
) -> Result<Outcome<'_>> {
    let at = position(offset)?;
    transfer::<D>(thread, open_for::<D>(thread, fd)?, at, [segment(buf, count)?])
}

/// The same as [`plain`] with several buffers.
///
/// Source: readv(2)
fn vector<D: Direction>(
    thread: &Thread,
    fd: Fd,
    iov: UserPtr<Iovec>,
    count: usize,
) -> Result<Outcome<'_>> {
    let file = open_for::<D>(thread, fd)?;
    transfer::<D>(thread, file, At::Offset, segments(thread, iov, count)?)
}

/// The same as [`positioned`] with several buffers.
///
/// Source: readv(2)
fn positioned_vector<D: Direction>(
    thread: &Thread,
    fd: Fd,
    iov: UserPtr<Iovec>,
    count: usize,
    offset: i64,
    _high: i64,
) -> Result<Outcome<'_>> {
    let at = position(offset)?;
    transfer::<D>(thread, open_for::<D>(thread, fd)?, at, segments(thread, iov, count)?)
}

fn open_for<D: Direction>(thread: &Thread, fd: Fd) -> Result<Arc<File>> {
    let file = thread.files.get(fd)?;
    D::check(&file).map(|()| file)
}

fn preadv2(
    thread: &Thread,
    fd: Fd,
    iov: UserPtr<Iovec>,
    count: usize,
    offset: i64,
    _high: i64,
    flags: u32,
) -> Result<Outcome<'_>> {
    let file = open_for::<In>(thread, fd)?;
    let flags = checked_flags(flags)?;
    let at = if offset == -1 { At::Offset } else { position(offset)? };
    let segments = segments(thread, iov, count)?;
    if flags & RWF_NO_WAIT != 0 && file.queue().is_some() && file.events(thread).is_empty() {
        return Err(Errno::EAGAIN);
    }
    transfer::<In>(thread, file, at, segments)
}

fn pwritev2(
    thread: &Thread,
    fd: Fd,
    iov: UserPtr<Iovec>,
    count: usize,
    offset: i64,
    _high: i64,
    flags: u32,
) -> Result<Outcome<'_>> {
    let file = open_for::<Out>(thread, fd)?;
    let flags = checked_flags(flags)?;
    if flags & (RWF_APPEND | RWF_NO_WAIT) != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    let at = if offset == -1 { At::Offset } else { position(offset)? };
    transfer::<Out>(thread, file, at, segments(thread, iov, count)?)
}

/// Hints (`RWF_HIPRI`), and synchronous writes (`RWF_DSYNC`, `RWF_SYNC`), which all are in memory.
const RWF_HINTS: u32 = 1 | 2 | 4;
const RWF_NO_WAIT: u32 = 8;
const RWF_APPEND: u32 = 16;

/// # Errors
/// - `EOPNOTSUPP`: unknown flags.
fn checked_flags(flags: u32) -> Result<u32> {
    let known = RWF_HINTS | RWF_NO_WAIT | RWF_APPEND;
    if flags & !known == 0 { Ok(flags) } else { Err(Errno::EOPNOTSUPP) }
}

/// Moves the offset of `fd` and returns it.
///
/// # Errors
/// - `EINVAL`: unknown `whence`, or the offset would be negative.
/// - `ENXIO`: no data, or no hole, from there on.
/// - `ESPIPE`: a pipe, a terminal, and the like.
///
/// Source: lseek(2)
fn lseek(thread: &Thread, fd: Fd, offset: i64, whence: u32) -> Result<usize> {
    let file = thread.files.get(fd)?;
    let whence = match whence {
        0 => Whence::Set,
        1 => Whence::Current,
        2 => Whence::End,
        3 => Whence::Data,
        4 => Whence::Hole,
        _ => return Err(Errno::EINVAL),
    };
    let position = file.seek(offset, whence)?;
    usize::try_from(position).map_err(|_| Errno::EOVERFLOW)
}

fn position(offset: i64) -> Result<At> {
    u64::try_from(offset).map(At::Position).map_err(|_| Errno::EINVAL)
}

/// One segment, cut to what one call transfers.
fn segment(buf: UserPtr<u8>, count: usize) -> Result<Segment> {
    if isize::try_from(count).is_err() || !buf.address().is_user_range(count) {
        return Err(Errno::EFAULT);
    }
    Ok((buf.address(), count.min(MAX_COUNT)))
}

/// The segments of a vector, empty ones left out, together cut to what one call transfers.
///
/// # Errors
/// - `EINVAL`: more than 1024, or their lengths overflow.
/// - `EFAULT`: not user memory.
pub(crate) fn segments(thread: &Thread, iov: UserPtr<Iovec>, count: usize) -> Result<Segments> {
    if count > IOV_MAX {
        return Err(Errno::EINVAL);
    }
    let mut segments = Segments::new();
    let mut room = MAX_COUNT;
    for index in 0..count {
        let vector: Iovec = thread.read(iov.nth(index)?)?;
        if isize::try_from(vector.iov_len).is_err() {
            return Err(Errno::EINVAL);
        }
        let base = VirtAddr::new(vector.iov_base);
        if !base.is_user_range(vector.iov_len) {
            return Err(Errno::EFAULT);
        }
        let len = vector.iov_len.min(room);
        if len > 0 {
            segments.push((base, len));
            room -= len;
        }
    }
    Ok(segments)
}
