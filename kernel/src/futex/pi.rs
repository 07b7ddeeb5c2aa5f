//! Locks whose word holds the owner's number (`FUTEX_LOCK_PI`).
//!
//! The lock is handed to the longest waiter. Priorities are not inherited: the owner keeps its own.

use super::{Key, MATCH_ANY};
use crate::{syscall::UserPtr, thread::Thread};
use abi::{Errno, Pid, Result};
use executor::{Either, select, timer::sleep_until};
use framework::Instant;

/// There are waiters: unlocking needs the kernel.
pub(super) const WAITERS: u32 = 0x8000_0000;
/// The owner ended while it held the lock.
pub(super) const OWNER_DIED: u32 = 0x4000_0000;
/// The owner's number.
pub(super) const TID_MASK: u32 = 0x3fff_ffff;

/// What an attempt to lock found.
enum Attempt {
    Locked,
    /// Another thread has it, and knows now that somebody waits.
    Held,
}

fn attempt(thread: &Thread, at: UserPtr<u32>) -> Result<Attempt> {
    let own = thread.tid().get();
    let mut word = thread.load_u32(at)?;
    loop {
        let owner = word & TID_MASK;
        if owner == own {
            return Err(Errno::EDEADLK);
        }
        let (new, result) = if owner == 0 {
            (word & !TID_MASK | own, Attempt::Locked)
        } else {
            let pid = Pid::new(owner.cast_signed()).ok_or(Errno::EINVAL)?;
            if thread.system.pids.thread(pid).is_none() {
                return Err(Errno::ESRCH);
            }
            (word | WAITERS, Attempt::Held)
        };
        let found = thread.compare_exchange_u32(at, word, new)?;
        if found == word {
            return Ok(result);
        }
        word = found;
    }
}

/// Takes the lock, waiting for it until `deadline` if `may_wait`.
///
/// # Errors
/// - `EDEADLK`: the caller has it.
/// - `ESRCH`: the owner is no thread.
/// - `EAGAIN`: it is held, and the caller may not wait.
/// - `ETIMEDOUT`: it was not free in time.
/// - `ERESTARTNOINTR`: a signal came first.
pub async fn lock_pi(
    thread: &Thread,
    at: UserPtr<u32>,
    key: Key,
    deadline: Option<Instant>,
) -> Result<usize> {
    let waiting = thread.system.futexes.enqueue(key, MATCH_ANY, Some(thread.tid().get()));
    let mut waiting = core::pin::pin!(waiting);
    // Queued first: whoever unlocks after the attempt finds this thread.
    match attempt(thread, at) {
        Ok(Attempt::Locked) => return Ok(0),
        Err(_) if waiting.was_woken() => return Ok(0),
        Err(errno) => return Err(errno),
        Ok(Attempt::Held) => {}
    }
    let result = match deadline {
        None => thread.wait(waiting.as_mut()).await,
        Some(deadline) => {
            match thread.wait(select(waiting.as_mut(), sleep_until(deadline))).await {
                Ok(Either::First(())) => Ok(()),
                Ok(Either::Second(())) => Err(Errno::ETIMEDOUT),
                Err(errno) => Err(errno),
            }
        }
    };
    match result {
        Ok(()) => Ok(0),
        // The lock was handed over just now.
        Err(_) if waiting.was_woken() => Ok(0),
        Err(Errno::ETIMEDOUT) => Err(Errno::ETIMEDOUT),
        Err(_) => Err(Errno::ERESTARTNOINTR),
    }
}

/// Takes the lock if it is free.
///
/// # Errors
/// As [`lock_pi`]; `EAGAIN` if it is held.
pub fn try_lock_pi(thread: &Thread, at: UserPtr<u32>) -> Result<()> {
    match attempt(thread, at)? {
        Attempt::Locked => Ok(()),
        Attempt::Held => Err(Errno::EAGAIN),
    }
}

/// Gives the lock to the longest waiter, or frees it.
///
/// # Errors
/// - `EPERM`: the caller does not have it.
pub fn unlock_pi(thread: &Thread, at: UserPtr<u32>, key: &Key) -> Result<()> {
    let word = thread.load_u32(at)?;
    if word & TID_MASK != thread.tid().get() {
        return Err(Errno::EPERM);
    }
    hand_over(thread, at, key, 0)
}

/// Stores the next owner, with `flags`, and wakes it; without one, the flags alone.
pub(super) fn hand_over(thread: &Thread, at: UserPtr<u32>, key: &Key, flags: u32) -> Result<()> {
    // Made present and writable here, so that the exchange under the queue's lock finds it.
    let mut word = thread.load_u32(at)?;
    loop {
        let space = thread.memory.space();
        let result = thread.system.futexes.wake_owner(key, |next, more| {
            let new = next | flags | if more { WAITERS } else { 0 };
            match space.compare_exchange_u32(at.address(), word, new) {
                Ok(found) if found == word => Ok(()),
                Ok(_) => Err(Errno::EAGAIN),
                Err(fault) => Err(fault.into()),
            }
        });
        match result {
            Ok(()) => return Ok(()),
            Err(Errno::ENOENT) => {
                let found = thread.compare_exchange_u32(at, word, flags)?;
                if found == word {
                    return Ok(());
                }
                word = found;
            }
            Err(Errno::EAGAIN) => word = thread.load_u32(at)?,
            // Not present for writing: an exchange that changes nothing makes it so.
            Err(_) => word = thread.compare_exchange_u32(at, word, word)?,
        }
    }
}
