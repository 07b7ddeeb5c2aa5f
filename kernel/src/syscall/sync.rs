//! Room, advice, write-back and whole-file locks: fallocate(2), fadvise64(2), fsync(2), flock(2).

use super::{Outcome, Row, row};
use crate::{file::Object, thread::Thread};
use abi::{Errno, Fd, Result};
use alloc::vec::Vec;
use fs::{Allocate, Grow, Kind};

pub(super) const ROWS: &[Row] = &[
    row!(73 "flock" (fd: Fd, operation: u32) => flock, Full),
    row!(74 "fsync" (fd: Fd) => fsync, Full),
    row!(75 "fdatasync" (fd: Fd) => fsync, Full),
    row!(162 "sync" () => sync, Full),
    row!(187 "readahead" (fd: Fd, offset: i64, count: usize) => readahead, Full),
    row!(221 "fadvise64" (fd: Fd, offset: i64, len: i64, advice: i32) => fadvise64, Full),
    row!(277 "sync_file_range" (fd: Fd, offset: i64, len: i64, flags: u32)
        => sync_file_range, Full),
    row!(285 "fallocate" (fd: Fd, mode: u32, offset: i64, len: i64) => fallocate, Partial,
        "FALLOC_FL_COLLAPSE_RANGE, INSERT_RANGE, ZERO_RANGE and UNSHARE_RANGE are EOPNOTSUPP"),
    row!(306 "syncfs" (fd: Fd) => syncfs, Full),
];

/// Locks or unlocks a whole file.
///
/// Source: flock(2)
fn flock(thread: &Thread, fd: Fd, operation: u32) -> Result<Outcome<'_>> {
    /// `LOCK_MAND`: accepted and not done, before anything else is looked at.
    const MANDATORY: u32 = 32;
    if operation & MANDATORY != 0 {
        return Ok(Outcome::Done(0));
    }
    let file = thread.files.get_opened(fd)?;
    thread.lock_file(file, operation)
}

/// Writes a file back.
///
/// # Errors
/// - `EINVAL`: there is nothing to write back in such a file.
///
/// Source: fsync(2)
fn fsync(thread: &Thread, fd: Fd) -> Result<()> {
    let file = thread.files.get_opened(fd)?;
    let node = file.node()?;
    if !matches!(node.inode().kind(), Kind::Regular | Kind::Directory) {
        return Err(Errno::EINVAL);
    }
    node.sync(&thread.caller())
}

/// Writes everything back.
///
/// Source: sync(2)
fn sync(thread: &Thread) -> Result<()> {
    let mounts: Vec<_> = thread.system.mounts.list(&thread.system.mounts.root());
    let caller = thread.caller();
    for listed in &mounts {
        // sync(2) reports no errors.
        let _ = listed.mount.super_block().file_system().sync(&caller);
    }
    Ok(())
}

/// Writes the file system of a file back.
///
/// Source: syncfs(2)
fn syncfs(thread: &Thread, fd: Fd) -> Result<()> {
    let file = thread.files.get_opened(fd)?;
    file.path().mount().super_block().file_system().sync(&thread.caller())
}

/// Writes a part of a file back.
///
/// # Errors
/// - `EINVAL`: bad flags or range; `ESPIPE`: not a file with offsets.
///
/// Source: sync_file_range(2)
fn sync_file_range(thread: &Thread, fd: Fd, offset: i64, len: i64, flags: u32) -> Result<()> {
    const KNOWN: u32 = 7;
    let file = thread.files.get_opened(fd)?;
    if flags & !KNOWN != 0 || offset < 0 || len < 0 || offset.checked_add(len).is_none() {
        return Err(Errno::EINVAL);
    }
    let node = file.node().map_err(|_| Errno::ESPIPE)?;
    if !matches!(node.inode().kind(), Kind::Regular | Kind::Directory | Kind::Block) {
        return Err(Errno::ESPIPE);
    }
    if flags == 0 { Ok(()) } else { node.sync(&thread.caller()) }
}

/// Advice on what is read next; everything that could be read ahead is in memory.
///
/// # Errors
/// - `EBADF`: not open for reading; `EINVAL`: not a regular file.
///
/// Source: readahead(2)
fn readahead(thread: &Thread, fd: Fd, _offset: i64, _count: usize) -> Result<()> {
    let file = thread.files.get_opened(fd)?;
    file.check_readable()?;
    match file.node()?.pages() {
        Some(_) => Ok(()),
        None => Err(Errno::EINVAL),
    }
}

/// Advice on how a file is used; changes nothing that a program can see.
///
/// # Errors
/// - `ESPIPE`: a pipe; `EINVAL`: unknown advice, or a negative length.
///
/// Source: posix_fadvise(2)
fn fadvise64(thread: &Thread, fd: Fd, _offset: i64, len: i64, advice: i32) -> Result<()> {
    const ADVICES: core::ops::RangeInclusive<i32> = 0..=5;
    let file = thread.files.get_opened(fd)?;
    if matches!(file.object(), Object::Pipe(_)) {
        return Err(Errno::ESPIPE);
    }
    if len < 0 || !ADVICES.contains(&advice) { Err(Errno::EINVAL) } else { Ok(()) }
}

/// Gives room to a part of a file, or takes it.
///
/// # Errors
/// - `EBADF`: not open for writing.
/// - `EINVAL`: a bad range; `EOPNOTSUPP`: an unknown mode.
/// - `ENODEV`: not a regular file; `ESPIPE`: a pipe; `EISDIR`: a directory.
/// - `EFBIG`, `ENOSPC`, `EPERM`: over a limit, no room, sealed.
///
/// Source: fallocate(2)
fn fallocate(thread: &Thread, fd: Fd, mode: u32, offset: i64, len: i64) -> Result<()> {
    const KEEP_SIZE: u32 = 1;
    const PUNCH_HOLE: u32 = 2;
    let file = thread.files.get_opened(fd)?;
    let offset = u64::try_from(offset).map_err(|_| Errno::EINVAL)?;
    let len = u64::try_from(len).ok().filter(|len| *len > 0).ok_or(Errno::EINVAL)?;
    let what = match mode {
        0 => Allocate::Reserve(Grow::Yes),
        KEEP_SIZE => Allocate::Reserve(Grow::No),
        mode if mode == PUNCH_HOLE | KEEP_SIZE => Allocate::PunchHole,
        _ => return Err(Errno::EOPNOTSUPP),
    };
    file.check_writable()?;
    if matches!(file.object(), Object::Pipe(_)) {
        return Err(Errno::ESPIPE);
    }
    let node = file.node().map_err(|_| Errno::ENODEV)?;
    if node.inode().is_directory() {
        return Err(Errno::EISDIR);
    }
    let result = node.allocate(what, offset, len, &thread.caller());
    if let Err(errno) = result {
        thread.signal_transfer_error(errno);
    }
    result
}
