//! mmap(2), munmap(2), mprotect(2), mremap(2), brk(2).

use super::{Outcome, Row, row};
use crate::{
    cred::Capabilities,
    memory::{Backing, MapRequest, Memory, Purpose, RemapRequest},
    thread::Thread,
};
use abi::{
    Errno, Fd, Result,
    memory::{MAP_PRIVATE, MAP_SHARED, MapFlags, Prot, RemapFlags},
};
use alloc::{boxed::Box, sync::Arc};
use core::ops::Range;
use framework::{PAGE_SIZE, VirtAddr};

pub(super) const ROWS: &[Row] = &[
    row!(9 "mmap" (addr: VirtAddr, length: usize, prot: u32, flags: u32, fd: Fd, offset: usize)
        => mmap, Partial, "MAP_HUGETLB finds no huge pages; MAP_SYNC"),
    row!(10 "mprotect" (addr: VirtAddr, len: usize, prot: u32) => mprotect, Full),
    row!(11 "munmap" (addr: VirtAddr, length: usize) => munmap, Full),
    row!(12 "brk" (addr: VirtAddr) => brk, Full),
    row!(25 "mremap" (old_address: VirtAddr, old_size: usize, new_size: usize, flags: u32,
        new_address: VirtAddr) => mremap, Full),
];

/// Batches of pages populated before the call becomes one that waits.
const BATCHES_AT_ONCE: usize = 8;

/// Maps memory.
///
/// # Errors
/// Those of [`Memory::map`], and:
/// - `EINVAL`: the offset is misaligned, or neither shared nor private.
/// - `EBADF`: no such file.
/// - `EACCES`: the file is not open for what the mapping needs.
///
/// Source: mmap(2)
fn mmap(
    thread: &Thread,
    at: VirtAddr,
    len: usize,
    prot: u32,
    flags: u32,
    fd: Fd,
    offset: usize,
) -> Result<Outcome<'_>> {
    let flags = MapFlags::from_bits_retain(flags);
    if !offset.is_multiple_of(PAGE_SIZE) {
        return Err(Errno::EINVAL);
    }
    let prot = Prot::from_bits_truncate(prot);
    let backing = if flags.contains(MapFlags::ANONYMOUS) {
        if len == 0 || !matches!(flags.kind(), MAP_SHARED | MAP_PRIVATE) {
            return Err(Errno::EINVAL);
        }
        if flags.contains(MapFlags::HUGETLB) {
            return Err(Errno::ENOMEM);
        }
        None
    } else {
        Some(file_backing(thread, fd, offset)?)
    };
    let may_lock_all = thread.credentials.has(Capabilities::IPC_LOCK);
    let mapped = thread.memory.map(&MapRequest { at, len, prot, flags, backing, may_lock_all })?;
    let start = mapped.range.start.get();
    if mapped.populate {
        return Ok(populate(thread, mapped.range, Purpose::Mapping, start));
    }
    Ok(Outcome::Done(start))
}

/// What lies behind a mapping of a file.
fn file_backing(_thread: &Thread, _fd: Fd, _offset: usize) -> Result<Backing> {
    Err(Errno::EBADF)
}

/// Makes a mapping's pages present, at once if they are few; failures do not matter to the call,
/// whose result is `result`.
pub(super) fn populate<'a>(
    thread: &Thread,
    mut range: Range<VirtAddr>,
    purpose: Purpose,
    result: usize,
) -> Outcome<'a> {
    for _ in 0..BATCHES_AT_ONCE {
        if range.is_empty() || thread.memory.populate_some(&mut range, purpose).is_err() {
            return Outcome::Done(result);
        }
    }
    let memory = Arc::clone(&thread.memory);
    Outcome::Wait(Box::pin(async move {
        populate_rest(&memory, range, purpose).await;
        Ok(result)
    }))
}

/// Makes pages present until one cannot be, yielding to others in between.
pub(super) async fn populate_rest(memory: &Memory, mut range: Range<VirtAddr>, purpose: Purpose) {
    while !range.is_empty() && memory.populate_some(&mut range, purpose).is_ok() {
        executor::yield_now().await;
    }
}

/// Unmaps memory.
///
/// # Errors
/// Those of [`Memory::unmap`].
///
/// Source: munmap(2)
fn munmap(thread: &Thread, at: VirtAddr, len: usize) -> Result<()> {
    thread.memory.unmap(at, len)
}

/// Changes the rights of a range.
///
/// # Errors
/// Those of [`Memory::protect`].
///
/// Source: mprotect(2)
fn mprotect(thread: &Thread, at: VirtAddr, len: usize, prot: u32) -> Result<()> {
    thread.memory.protect(at, len, Prot::from_bits_retain(prot))
}

/// Moves the end of the heap and returns it; the old end if it cannot be moved.
///
/// Source: brk(2)
fn brk(thread: &Thread, end: VirtAddr) -> Result<Outcome<'_>> {
    let (end, added) = thread.memory.set_break(end);
    match added {
        Some(range) => Ok(populate(thread, range, Purpose::Mapping, end.get())),
        None => Ok(Outcome::Done(end.get())),
    }
}

/// Resizes or moves a mapping.
///
/// # Errors
/// Those of [`Memory::remap`]; `EINVAL` for unknown flags.
///
/// Source: mremap(2)
fn mremap(
    thread: &Thread,
    at: VirtAddr,
    old_len: usize,
    new_len: usize,
    flags: u32,
    to: VirtAddr,
) -> Result<Outcome<'_>> {
    let flags = RemapFlags::from_bits(flags).ok_or(Errno::EINVAL)?;
    let may_lock_all = thread.credentials.has(Capabilities::IPC_LOCK);
    let request = RemapRequest { at, old_len, new_len, flags, to, may_lock_all };
    let remapped = thread.memory.remap(&request)?;
    let start = remapped.at.get();
    match remapped.populate {
        Some(range) => Ok(populate(thread, range, Purpose::Mapping, start)),
        None => Ok(Outcome::Done(start)),
    }
}
