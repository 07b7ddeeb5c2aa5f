//! mlock(2), mlock2(2), munlock(2), mlockall(2), munlockall(2).

use super::{Outcome, Row, mmap, row};
use crate::{
    cred::Capabilities,
    memory::{Purpose, VmaFlags},
    thread::Thread,
};
use abi::{
    Errno, Result,
    memory::{LockAllFlags, MLOCK_ONFAULT},
};
use alloc::{boxed::Box, sync::Arc};
use core::ops::Range;
use framework::VirtAddr;

pub(super) const ROWS: &[Row] = &[
    row!(149 "mlock" (addr: VirtAddr, len: usize) => mlock, Full),
    row!(150 "munlock" (addr: VirtAddr, len: usize) => munlock, Full),
    row!(151 "mlockall" (flags: u32) => mlockall, Full),
    row!(152 "munlockall" () => munlockall, Full),
    row!(325 "mlock2" (addr: VirtAddr, len: usize, flags: u32) => mlock2, Full),
];

/// The pages that `at..at + len` touches.
fn touched(at: VirtAddr, len: usize) -> Result<Range<VirtAddr>> {
    let end = at.checked_add(len).and_then(VirtAddr::page_up).ok_or(Errno::EINVAL)?;
    Ok(at.page()..end)
}

/// Locks a range in memory.
///
/// # Errors
/// Those of [`Memory::lock`](crate::memory::Memory::lock).
///
/// Source: mlock(2)
fn mlock(thread: &Thread, at: VirtAddr, len: usize) -> Result<Outcome<'_>> {
    mlock2(thread, at, len, 0)
}

/// Locks a range in memory, page by page as it is touched with `MLOCK_ONFAULT`.
///
/// # Errors
/// Those of [`Memory::lock`](crate::memory::Memory::lock); `EINVAL` for unknown flags.
///
/// Source: mlock2(2)
fn mlock2(thread: &Thread, at: VirtAddr, len: usize, flags: u32) -> Result<Outcome<'_>> {
    if flags & !MLOCK_ONFAULT != 0 {
        return Err(Errno::EINVAL);
    }
    let range = touched(at, len)?;
    let on_fault = flags & MLOCK_ONFAULT != 0;
    let lock = lock_flags(on_fault);
    thread.memory.lock(&range, lock, thread.credentials.has(Capabilities::IPC_LOCK))?;
    if on_fault {
        return Ok(Outcome::Done(0));
    }
    Ok(mmap::populate(thread, range, Purpose::Mapping, 0))
}

/// Unlocks a range.
///
/// # Errors
/// - `ENOMEM`: a part is not mapped.
/// - `EINVAL`: the range wraps.
///
/// Source: munlock(2)
fn munlock(thread: &Thread, at: VirtAddr, len: usize) -> Result<()> {
    thread.memory.lock(&touched(at, len)?, VmaFlags::empty(), true)
}

/// Locks all that is mapped, or will be, in memory.
///
/// # Errors
/// - `EINVAL`: no flag, unknown ones, or `MCL_ONFAULT` alone.
/// - `EPERM`, `ENOMEM`: not allowed to lock, or not as much.
///
/// Source: mlockall(2)
fn mlockall(thread: &Thread, flags: u32) -> Result<Outcome<'_>> {
    let flags = LockAllFlags::from_bits(flags).ok_or(Errno::EINVAL)?;
    if flags.is_empty() || flags == LockAllFlags::ONFAULT {
        return Err(Errno::EINVAL);
    }
    let on_fault = flags.contains(LockAllFlags::ONFAULT);
    let lock = lock_flags(on_fault);
    let now = flags.contains(LockAllFlags::CURRENT);
    let future = if flags.contains(LockAllFlags::FUTURE) { lock } else { VmaFlags::empty() };
    let all = thread.credentials.has(Capabilities::IPC_LOCK);
    thread.memory.lock_all(now.then_some(lock), future, all)?;
    if !now || on_fault {
        return Ok(Outcome::Done(0));
    }
    let memory = Arc::clone(&thread.memory);
    Ok(Outcome::Wait(Box::pin(async move {
        let mut at = VirtAddr::default();
        while let Some(range) = memory.next_mapped(at) {
            at = range.end;
            mmap::populate_rest(&memory, range, Purpose::Mapping).await;
        }
        Ok(0)
    })))
}

/// Unlocks everything.
///
/// # Errors
/// - `ENOMEM`: no memory to note it.
///
/// Source: munlockall(2)
fn munlockall(thread: &Thread) -> Result<()> {
    thread.memory.lock_all(Some(VmaFlags::empty()), VmaFlags::empty(), true)
}

fn lock_flags(on_fault: bool) -> VmaFlags {
    if on_fault { VmaFlags::LOCKED | VmaFlags::LOCK_ON_FAULT } else { VmaFlags::LOCKED }
}
