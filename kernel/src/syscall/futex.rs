//! futex(2).

use super::{Outcome, Row, UserPtr, row};
use crate::{
    futex::{self, Key, MATCH_ANY, Scope},
    thread::{Restart, Thread},
    time::Clock,
};
use abi::{Errno, Result, Timespec};
use alloc::boxed::Box;
use core::time::Duration;
use executor::{Either, select, timer::sleep_until};
use framework::{Instant, VirtAddr};

pub(super) const ROWS: &[Row] =
    &[row!(202 "futex" (at: UserPtr<u32>, operation: u32, value: u32, timeout: usize,
        second: UserPtr<u32>, third: u32) => futex, Partial,
        "FUTEX_WAIT_REQUEUE_PI, FUTEX_CMP_REQUEUE_PI; priorities are not inherited")];

const PRIVATE_FLAG: u32 = 128;
const CLOCK_REALTIME_FLAG: u32 = 256;

mod operation {
    pub(super) const WAIT: u32 = 0;
    pub(super) const WAKE: u32 = 1;
    pub(super) const REQUEUE: u32 = 3;
    pub(super) const CMP_REQUEUE: u32 = 4;
    pub(super) const WAKE_OP: u32 = 5;
    pub(super) const LOCK_PI: u32 = 6;
    pub(super) const UNLOCK_PI: u32 = 7;
    pub(super) const TRYLOCK_PI: u32 = 8;
    pub(super) const WAIT_BITSET: u32 = 9;
    pub(super) const WAKE_BITSET: u32 = 10;
    pub(super) const LOCK_PI2: u32 = 13;
}

/// What a wait needs to go on after a stop.
#[derive(Clone, Copy, Debug)]
pub struct FutexWait {
    at: UserPtr<u32>,
    scope_is_shared: bool,
    value: u32,
    bits: u32,
    deadline: Option<Instant>,
}

/// Waits for, or wakes waiters on, a word of user memory.
///
/// # Errors
/// - `EAGAIN`: the word has another value.
/// - `ETIMEDOUT`: nobody woke it in time.
/// - `EINVAL`: a word that is not aligned, an empty bit set, or a time that is none.
/// - `EFAULT`: the word is not user memory.
/// - `ENOSYS`: an operation that there is not.
/// - `EINTR`: a signal came first.
///
/// Source: futex(2)
fn futex(
    thread: &Thread,
    at: UserPtr<u32>,
    operation: u32,
    value: u32,
    timeout: usize,
    second: UserPtr<u32>,
    third: u32,
) -> Result<Outcome<'_>> {
    let scope = if operation & PRIVATE_FLAG != 0 { Scope::Private } else { Scope::Shared };
    let realtime = operation & CLOCK_REALTIME_FLAG != 0;
    let command = operation & !(PRIVATE_FLAG | CLOCK_REALTIME_FLAG);
    let takes_clock = [operation::WAIT_BITSET, operation::LOCK_PI2];
    if realtime && !takes_clock.contains(&command) {
        return Err(Errno::ENOSYS);
    }
    // For the requeue operations the timeout's register holds a count.
    let count2 = u32::try_from(timeout & 0xffff_ffff).map_err(|_| Errno::EINVAL)?;
    match command {
        operation::WAIT | operation::WAIT_BITSET => {
            let absolute = command == operation::WAIT_BITSET;
            let deadline = deadline(thread, timeout, realtime, absolute)?;
            let bits = if absolute { third } else { MATCH_ANY };
            let shared = scope == Scope::Shared;
            wait(thread, FutexWait { at, scope_is_shared: shared, value, bits, deadline })
        }
        operation::WAKE => wake(thread, at, scope, value, MATCH_ANY).map(Outcome::Done),
        operation::WAKE_BITSET => wake(thread, at, scope, value, third).map(Outcome::Done),
        operation::REQUEUE => requeue(thread, (at, second), scope, (value, count2), None),
        operation::CMP_REQUEUE => {
            requeue(thread, (at, second), scope, (value, count2), Some(third))
        }
        operation::WAKE_OP => wake_op(thread, (at, second), scope, (value, count2), third),
        operation::LOCK_PI | operation::LOCK_PI2 => {
            let realtime = realtime || command == operation::LOCK_PI;
            let deadline = deadline(thread, timeout, realtime, true)?;
            // Who hands such a lock over at its thread's end cannot tell how it was taken.
            let key = Key::new(thread, at, Scope::Shared)?;
            Ok(Outcome::Wait(Box::pin(futex::lock_pi(thread, at, key, deadline))))
        }
        operation::TRYLOCK_PI => futex::try_lock_pi(thread, at).map(|()| Outcome::Done(0)),
        operation::UNLOCK_PI => {
            let key = Key::new(thread, at, Scope::Shared)?;
            futex::unlock_pi(thread, at, &key).map(|()| Outcome::Done(0))
        }
        _ => Err(Errno::ENOSYS),
    }
}

/// When a wait ends; none if `timeout` is null.
fn deadline(
    thread: &Thread,
    timeout: usize,
    realtime: bool,
    absolute: bool,
) -> Result<Option<Instant>> {
    if timeout == 0 {
        return Ok(None);
    }
    let time = thread.read(UserPtr::<Timespec>::new(VirtAddr::new(timeout)))?;
    let time = Duration::try_from(time)?;
    if !absolute {
        return Ok(Some(framework::time::now().saturating_add(time)));
    }
    let clock = if realtime { Clock::Realtime } else { Clock::Monotonic };
    Ok(Some(clock.instant(time)))
}

/// Waits as long as the word has the expected value.
pub(super) fn wait(thread: &Thread, wait: FutexWait) -> Result<Outcome<'_>> {
    if wait.bits == 0 {
        return Err(Errno::EINVAL);
    }
    let scope = if wait.scope_is_shared { Scope::Shared } else { Scope::Private };
    let key = Key::new(thread, wait.at, scope)?;
    // Most calls that come too late end here, without a place in the queue.
    if thread.load_u32(wait.at)? != wait.value {
        return Err(Errno::EAGAIN);
    }
    Ok(Outcome::Wait(Box::pin(wait_queued(thread, key, wait))))
}

async fn wait_queued(thread: &Thread, key: Key, wait: FutexWait) -> Result<usize> {
    let waiting = thread.system.futexes.enqueue(key, wait.bits, None);
    let mut waiting = core::pin::pin!(waiting);
    // Queued first: a wake after this load is not lost.
    match thread.load_u32(wait.at) {
        Ok(found) if found == wait.value => {}
        _ if waiting.was_woken() => return Ok(0),
        Ok(_) => return Err(Errno::EAGAIN),
        Err(errno) => return Err(errno),
    }
    let result = match wait.deadline {
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
        Err(_) if waiting.was_woken() => Ok(0),
        Err(Errno::ETIMEDOUT) => Err(Errno::ETIMEDOUT),
        Err(_) if wait.deadline.is_none() => Err(Errno::ERESTARTSYS),
        Err(_) => {
            *thread.restart.lock() = Restart::Futex(wait);
            Err(Errno::ERESTART_RESTARTBLOCK)
        }
    }
}

/// How many a count of the program means; negative ones count as one, as on Linux.
fn count(value: u32) -> usize {
    if value.cast_signed() < 1 { 1 } else { value as usize }
}

fn wake(thread: &Thread, at: UserPtr<u32>, scope: Scope, value: u32, bits: u32) -> Result<usize> {
    if bits == 0 {
        return Err(Errno::EINVAL);
    }
    let key = Key::new(thread, at, scope)?;
    Ok(thread.system.futexes.wake(&key, count(value), bits))
}

/// Wakes some waiters of one word and moves others to another word.
fn requeue(
    thread: &Thread,
    (from, to): (UserPtr<u32>, UserPtr<u32>),
    scope: Scope,
    (wake, moved): (u32, u32),
    expected: Option<u32>,
) -> Result<Outcome<'_>> {
    if wake.cast_signed() < 0 || moved.cast_signed() < 0 {
        return Err(Errno::EINVAL);
    }
    let (source, target) = (Key::new(thread, from, scope)?, Key::new(thread, to, scope)?);
    loop {
        let space = thread.memory.space();
        let check = || match expected {
            None => Ok(()),
            Some(expected) => match space.load_u32(from.address()) {
                Ok(found) if found == expected => Ok(()),
                Ok(_) => Err(Errno::EAGAIN),
                Err(_) => Err(Errno::EFAULT),
            },
        };
        let counts = (wake as usize, moved as usize);
        match thread.system.futexes.requeue(&source, &target, counts, check) {
            Ok((woken, moved)) => {
                return Ok(Outcome::Done(woken + moved));
            }
            // Made present outside of the lock, or really bad.
            Err(Errno::EFAULT) => thread.load_u32(from).map(drop)?,
            Err(errno) => return Err(errno),
        }
    }
}

/// Changes the second word, wakes waiters on the first, and, if the second had a certain value,
/// waiters on that.
fn wake_op(
    thread: &Thread,
    (first, second): (UserPtr<u32>, UserPtr<u32>),
    scope: Scope,
    (wake, wake2): (u32, u32),
    encoded: u32,
) -> Result<Outcome<'_>> {
    let (key, key2) = (Key::new(thread, first, scope)?, Key::new(thread, second, scope)?);
    let mut word = thread.load_u32(second)?;
    loop {
        let found = thread.compare_exchange_u32(second, word, apply(encoded, word)?)?;
        if found == word {
            break;
        }
        word = found;
    }
    let mut woken = thread.system.futexes.wake(&key, count(wake), MATCH_ANY);
    if compare(encoded, word)? {
        woken += thread.system.futexes.wake(&key2, count(wake2), MATCH_ANY);
    }
    Ok(Outcome::Done(woken))
}

/// A 12-bit field, with its sign.
fn signed_field(encoded: u32, shift: u32) -> i32 {
    (encoded << (20 - shift)).cast_signed() >> 20
}

/// The new value of the second word.
fn apply(encoded: u32, word: u32) -> Result<u32> {
    const SHIFT: u32 = 8;
    let operation = encoded >> 28 & 0xf;
    let mut argument = signed_field(encoded, 12).cast_unsigned();
    if operation & SHIFT != 0 {
        argument = 1 << (argument & 31);
    }
    Ok(match operation & !SHIFT {
        0 => argument,
        1 => word.wrapping_add(argument),
        2 => word | argument,
        3 => word & !argument,
        4 => word ^ argument,
        _ => return Err(Errno::ENOSYS),
    })
}

/// Whether the second word had the value that wakes its waiters too.
fn compare(encoded: u32, word: u32) -> Result<bool> {
    let (word, argument) = (word.cast_signed(), signed_field(encoded, 0));
    Ok(match encoded >> 24 & 0xf {
        0 => word == argument,
        1 => word != argument,
        2 => word < argument,
        3 => word <= argument,
        4 => word > argument,
        5 => word >= argument,
        _ => return Err(Errno::ENOSYS),
    })
}

#[cfg(test)]
mod tests {
    use super::{apply, compare};
    use abi::Errno;

    /// `FUTEX_OP` of linux/futex.h.
    fn encode(operation: u32, argument: u32, comparison: u32, with: u32) -> u32 {
        (operation & 0xf) << 28 | (comparison & 0xf) << 24 | (argument & 0xfff) << 12 | with & 0xfff
    }

    #[test]
    fn operations_of_wake_op() {
        assert_eq!(apply(encode(0, 5, 0, 0), 9), Ok(5));
        assert_eq!(apply(encode(1, 0xfff, 0, 0), 9), Ok(8), "arguments have a sign");
        assert_eq!(apply(encode(2 | 8, 4, 0, 0), 1), Ok(17), "shifted");
        assert_eq!(apply(encode(3, 1, 0, 0), 3), Ok(2));
        assert_eq!(apply(encode(5, 1, 0, 0), 3), Err(Errno::ENOSYS));
        assert_eq!(compare(encode(0, 0, 2, 0), u32::MAX), Ok(true), "values have a sign");
        assert_eq!(compare(encode(0, 0, 4, 0xfff), 0), Ok(true));
        assert_eq!(compare(encode(0, 0, 6, 0), 0), Err(Errno::ENOSYS));
    }
}
