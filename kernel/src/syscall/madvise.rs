//! madvise(2), msync(2), mincore(2), membarrier(2).

use super::{Outcome, Row, UserPtr, row};
use crate::{
    memory::{FaultError, Purpose},
    thread::Thread,
};
use abi::{
    Errno, Result,
    memory::{MADV_POPULATE_READ, MADV_POPULATE_WRITE, SyncFlags},
};
use alloc::{boxed::Box, sync::Arc};
use core::{ops::Range, sync::atomic::Ordering};
use framework::{PAGE_SIZE, USER_END, VirtAddr};

pub(super) const ROWS: &[Row] = &[
    row!(26 "msync" (addr: VirtAddr, length: usize, flags: u32) => msync, Full),
    row!(27 "mincore" (addr: VirtAddr, length: usize, vec: UserPtr<u8>) => mincore, Full),
    row!(28 "madvise" (addr: VirtAddr, length: usize, advice: u32)
        => madvise, Partial, "MADV_COLLAPSE, MADV_HWPOISON, MADV_GUARD_INSTALL"),
    row!(324 "membarrier" (cmd: u32, flags: u32, cpu_id: u32)
        => membarrier, Partial, "no command but the query on more than one CPU"),
];

/// The pages of `at..at + len`, rounded up; `None` where nothing is asked for.
///
/// # Errors
/// - `EINVAL`: `at` is misaligned.
/// - `wraps`: the end is no address.
fn pages(at: VirtAddr, len: usize, wraps: Errno) -> Result<Option<Range<VirtAddr>>> {
    if at.page_offset() != 0 {
        return Err(Errno::EINVAL);
    }
    let len = len.checked_next_multiple_of(PAGE_SIZE).ok_or(wraps)?;
    let end = at.checked_add(len).ok_or(wraps)?;
    Ok((len > 0).then_some(at..end))
}

/// Takes advice about the use of a range.
///
/// # Errors
/// Those of [`Memory::advise`](crate::memory::Memory::advise); for the populating advices also:
/// - `EINVAL`: the mapping does not allow the access.
/// - `EFAULT`: a page cannot be had.
///
/// Source: madvise(2)
fn madvise(thread: &Thread, at: VirtAddr, len: usize, advice: u32) -> Result<Outcome<'_>> {
    let purpose = match advice {
        MADV_POPULATE_READ => Some(Purpose::Read),
        MADV_POPULATE_WRITE => Some(Purpose::Write),
        _ => None,
    };
    let range = pages(at, len, Errno::EINVAL)?;
    if let Some(purpose) = purpose {
        let Some(mut range) = range else { return Ok(Outcome::Done(0)) };
        let memory = Arc::clone(&thread.memory);
        return Ok(Outcome::Wait(Box::pin(async move {
            while !range.is_empty() {
                memory.populate_some(&mut range, purpose).map_err(|error| match error {
                    FaultError::NotAllowed => Errno::EINVAL,
                    FaultError::Bus => Errno::EFAULT,
                    FaultError::NotMapped | FaultError::OutOfMemory => Errno::ENOMEM,
                })?;
                executor::yield_now().await;
            }
            Ok(0)
        })));
    }
    let range = range.unwrap_or(at..at);
    thread.memory.advise(&range, advice).map(|()| Outcome::Done(0))
}

/// Writes changes of shared mappings to their files.
///
/// # Errors
/// - `EINVAL`: misaligned, unknown flags, or both `MS_ASYNC` and `MS_SYNC`.
/// - `ENOMEM`: a part is not mapped.
/// - `EBUSY`: `MS_INVALIDATE` on locked memory.
///
/// Source: msync(2)
fn msync(thread: &Thread, at: VirtAddr, len: usize, flags: u32) -> Result<()> {
    let flags = SyncFlags::from_bits(flags).ok_or(Errno::EINVAL)?;
    if flags.contains(SyncFlags::ASYNC | SyncFlags::SYNC) {
        return Err(Errno::EINVAL);
    }
    match pages(at, len, Errno::ENOMEM)? {
        Some(range) => thread.memory.synchronize(&range, flags),
        None => Ok(()),
    }
}

/// Tells for each page of a range whether it is in memory.
///
/// # Errors
/// - `EINVAL`: misaligned.
/// - `ENOMEM`: a part is not mapped.
/// - `EFAULT`: `vec` is not writable.
///
/// Source: mincore(2)
fn mincore(thread: &Thread, at: VirtAddr, len: usize, vec: UserPtr<u8>) -> Result<()> {
    let Some(range) = pages(at, len, Errno::ENOMEM)? else { return Ok(()) };
    if range.end > USER_END {
        return Err(Errno::ENOMEM);
    }
    let mut chunk = [0; 256];
    let mut at = range.start;
    let mut done = 0;
    while at < range.end {
        let count = chunk.len().min((range.end - at) / PAGE_SIZE);
        let piece = at..at + count * PAGE_SIZE;
        thread.memory.residency(&piece, &mut chunk[..count])?;
        thread.write_slice(vec.nth(done)?, &chunk[..count])?;
        at = piece.end;
        done += count;
    }
    Ok(())
}

/// `MEMBARRIER_CMD_QUERY`: which commands there are.
const QUERY: u32 = 0;
/// `MEMBARRIER_CMD_GLOBAL`: every running thread passes a full barrier.
const GLOBAL: u32 = 1;

/// Makes memory accesses of all threads ordered against the caller's.
///
/// With one CPU there is nobody to wait for. With more, no command is offered yet, and callers
/// fall back to barriers of their own, as on a Linux without it.
///
/// # Errors
/// - `EINVAL`: unknown command or flags.
///
/// Source: membarrier(2)
fn membarrier(_thread: &Thread, command: u32, flags: u32, _cpu: u32) -> Result<usize> {
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    let alone = framework::cpu::count() == 1;
    match command {
        QUERY => Ok(if alone { GLOBAL as usize } else { 0 }),
        GLOBAL if alone => {
            core::sync::atomic::fence(Ordering::SeqCst);
            Ok(0)
        }
        _ => Err(Errno::EINVAL),
    }
}

#[cfg(test)]
mod tests {
    use super::pages;
    use abi::Errno;
    use framework::VirtAddr;

    #[test]
    fn ranges_are_whole_pages() {
        let at = VirtAddr::new(0x1000);
        assert_eq!(pages(at, 1, Errno::ENOMEM), Ok(Some(at..at + 4096)));
        assert_eq!(pages(at, 0, Errno::ENOMEM), Ok(None));
        assert_eq!(pages(at + 1, 1, Errno::ENOMEM), Err(Errno::EINVAL));
        assert_eq!(pages(at, usize::MAX, Errno::ENOMEM), Err(Errno::ENOMEM));
    }
}
