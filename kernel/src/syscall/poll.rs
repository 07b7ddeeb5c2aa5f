//! poll(2), ppoll(2), select(2), pselect6(2).

use super::{Outcome, Row, UserPtr, row};
use crate::{
    poll::{self, Watched},
    signal::SignalSet,
    thread::Thread,
};
use abi::{Errno, Events, Fd, Result, Timespec, Timeval, file::PollFd};
use alloc::{boxed::Box, vec, vec::Vec};
use core::time::Duration;
use framework::{Instant, time};

pub(super) const ROWS: &[Row] = &[
    row!(7 "poll" (fds: UserPtr<PollFd>, count: u32, timeout: i32) => poll, Full),
    row!(23 "select" (n: i32, read: Option<UserPtr<u64>>, write: Option<UserPtr<u64>>,
        except: Option<UserPtr<u64>>, timeout: Option<UserPtr<Timeval>>) => select, Full),
    row!(270 "pselect6" (n: i32, read: Option<UserPtr<u64>>, write: Option<UserPtr<u64>>,
        except: Option<UserPtr<u64>>, timeout: Option<UserPtr<Timespec>>,
        mask: Option<UserPtr<[usize; 2]>>) => pselect6, Full),
    row!(271 "ppoll" (fds: UserPtr<PollFd>, count: u32, timeout: Option<UserPtr<Timespec>>,
        mask: Option<UserPtr<u64>>, size: usize) => ppoll, Full),
];

/// When a call that waits gives up.
#[derive(Clone, Copy, Debug)]
enum Until {
    /// Now: it does not wait.
    Now,
    /// Never.
    Ever,
    /// At a moment.
    At(Instant),
}

impl Until {
    fn after(duration: Duration) -> Self {
        if duration.is_zero() { Self::Now } else { Self::At(time::now().saturating_add(duration)) }
    }

    const fn deadline(self) -> Option<Instant> {
        match self {
            Self::At(at) => Some(at),
            _ => None,
        }
    }
}

/// Waits until one of `count` descriptors has an event; returns how many have.
///
/// # Errors
/// - `EINVAL`: more descriptors than `RLIMIT_NOFILE`.
/// - `EFAULT`: `fds` is not user memory.
/// - `EINTR`: a signal was caught; never restarted after a handler.
///
/// Source: poll(2)
fn poll(thread: &Thread, fds: UserPtr<PollFd>, count: u32, timeout: i32) -> Result<Outcome<'_>> {
    let until = match u64::try_from(timeout) {
        Ok(milliseconds) => Until::after(Duration::from_millis(milliseconds)),
        Err(_) => Until::Ever,
    };
    poll_until(thread, fds, count, until, None)
}

fn ppoll(
    thread: &Thread,
    fds: UserPtr<PollFd>,
    count: u32,
    timeout: Option<UserPtr<Timespec>>,
    mask: Option<UserPtr<u64>>,
    size: usize,
) -> Result<Outcome<'_>> {
    let until = match timeout {
        None => Until::Ever,
        Some(timeout) => Until::after(Duration::try_from(thread.read(timeout)?)?),
    };
    thread.replace_mask(mask, size)?;
    poll_until(thread, fds, count, until, timeout)
}

fn poll_until(
    thread: &Thread,
    fds: UserPtr<PollFd>,
    count: u32,
    until: Until,
    remaining: Option<UserPtr<Timespec>>,
) -> Result<Outcome<'_>> {
    if u64::from(count) > thread.process().descriptor_limit() {
        return Err(Errno::EINVAL);
    }
    let list: Vec<PollFd> = thread.read_slice(fds, count as usize)?;
    let mut watched = Vec::new();
    watched.try_reserve_exact(list.len()).map_err(|_| Errno::ENOMEM)?;
    watched.extend(list.iter().map(|one| Watched {
        file: if one.fd < 0 { None } else { thread.files.get_opened(Fd(one.fd)).ok() },
        events: Events::from_bits_retain(u32::from(one.events)),
    }));
    let mut found = report(thread, fds, &list, &watched)?;
    if found > 0 || matches!(until, Until::Now) {
        thread.write_remaining(remaining, until.deadline());
        return Ok(Outcome::Done(found));
    }
    Ok(Outcome::Wait(Box::pin(async move {
        let waited = poll::wait(thread, &watched, until.deadline()).await;
        thread.write_remaining(remaining, until.deadline());
        match waited {
            Ok(true) => found = report(thread, fds, &list, &watched)?,
            Ok(false) => {}
            Err(_) => return Err(Errno::ERESTARTNOHAND),
        }
        Ok(found)
    })))
}

/// Stores the events of each descriptor; returns how many have some.
fn report(
    thread: &Thread,
    fds: UserPtr<PollFd>,
    list: &[PollFd],
    watched: &[Watched],
) -> Result<usize> {
    let mut found = 0;
    for (index, (one, watched)) in list.iter().zip(watched).enumerate() {
        let closed = one.fd >= 0 && watched.file.is_none();
        let events = if closed { Events::NVAL } else { watched.ready(thread) };
        let revents = u16::try_from(events.bits() & 0xffff).unwrap_or(0);
        found += usize::from(revents != 0);
        thread.write(fds.nth(index)?, &PollFd { revents, ..*one })?;
    }
    Ok(found)
}

fn select(
    thread: &Thread,
    n: i32,
    read: Option<UserPtr<u64>>,
    write: Option<UserPtr<u64>>,
    except: Option<UserPtr<u64>>,
    timeout: Option<UserPtr<Timeval>>,
) -> Result<Outcome<'_>> {
    let until = match timeout {
        None => Until::Ever,
        Some(timeout) => {
            // More than a second's worth of microseconds is fine here, unlike elsewhere.
            let Timeval { tv_sec, tv_usec } = thread.read(timeout)?;
            let seconds = u64::try_from(tv_sec).map_err(|_| Errno::EINVAL)?;
            let micros = u64::try_from(tv_usec).map_err(|_| Errno::EINVAL)?;
            Until::after(Duration::from_secs(seconds).saturating_add(Duration::from_micros(micros)))
        }
    };
    let sets = Sets { n, at: [read, write, except] };
    select_until(thread, sets, until, Remaining::Timeval(timeout))
}

fn pselect6(
    thread: &Thread,
    n: i32,
    read: Option<UserPtr<u64>>,
    write: Option<UserPtr<u64>>,
    except: Option<UserPtr<u64>>,
    timeout: Option<UserPtr<Timespec>>,
    mask: Option<UserPtr<[usize; 2]>>,
) -> Result<Outcome<'_>> {
    let until = match timeout {
        None => Until::Ever,
        Some(timeout) => Until::after(Duration::try_from(thread.read(timeout)?)?),
    };
    if let Some(mask) = mask {
        let [address, size] = thread.read(mask)?;
        let mask = (address != 0).then(|| UserPtr::from_raw(address));
        thread.replace_mask(mask, size)?;
    }
    select_until(thread, Sets { n, at: [read, write, except] }, until, Remaining::Timespec(timeout))
}

/// Where the time that is left goes.
#[derive(Clone, Copy)]
enum Remaining {
    Timeval(Option<UserPtr<Timeval>>),
    Timespec(Option<UserPtr<Timespec>>),
}

impl Remaining {
    fn write(self, thread: &Thread, deadline: Option<Instant>) {
        match self {
            Self::Timespec(to) => thread.write_remaining(to, deadline),
            Self::Timeval(to) => {
                if let (Some(to), Some(deadline)) = (to, deadline) {
                    // As on Linux, a read-only timeout does not fail the call.
                    let _ = thread.write(to, &Timeval::from(deadline - time::now()));
                }
            }
        }
    }
}

/// The three descriptor sets of a call.
struct Sets {
    n: i32,
    at: [Option<UserPtr<u64>>; 3],
}

/// What each set of select watches for, and what makes a descriptor ready in it.
const KINDS: [Events; 3] = [
    Events::IN.union(Events::RDNORM).union(Events::RDBAND).union(Events::HUP).union(Events::ERR),
    Events::OUT.union(Events::WRNORM).union(Events::WRBAND).union(Events::ERR),
    Events::PRI,
];

fn select_until(
    thread: &Thread,
    sets: Sets,
    until: Until,
    remaining: Remaining,
) -> Result<Outcome<'_>> {
    let n = usize::try_from(sets.n).map_err(|_| Errno::EINVAL)?;
    let n = n.min(thread.files.size());
    let words = n.div_ceil(64);
    let mut bits: [Vec<u64>; 3] = [vec![], vec![], vec![]];
    for (bits, at) in bits.iter_mut().zip(sets.at) {
        *bits = match at {
            Some(at) => thread.read_slice(at, words)?,
            None => vec![0; words],
        };
        if n % 64 != 0 {
            bits[words - 1] &= (1 << (n % 64)) - 1;
        }
    }
    let mut fds = Vec::new();
    let mut watched = Vec::new();
    for fd in 0..n {
        let wants = |set: usize| bits[set][fd / 64] >> (fd % 64) & 1 != 0;
        let events: Events = (0..3).filter(|set| wants(*set)).map(|set| KINDS[set]).collect();
        if !events.is_empty() {
            let number = Fd(i32::try_from(fd).map_err(|_| Errno::EBADF)?);
            watched.push(Watched { file: Some(thread.files.get_opened(number)?), events });
            fds.push(fd);
        }
    }
    let look = move |watched: &[Watched]| {
        let mut found = [vec![0; words], vec![0; words], vec![0; words]];
        let mut count = 0;
        for (fd, one) in fds.iter().zip(watched) {
            let events = one.file.as_ref().map_or(Events::empty(), |file| file.events(thread));
            for set in 0..3 {
                let wanted = bits[set][fd / 64] >> (fd % 64) & 1 != 0;
                if wanted && events.intersects(KINDS[set]) {
                    found[set][fd / 64] |= 1 << (fd % 64);
                    count += 1;
                }
            }
        }
        (found, count)
    };
    let store = move |found: &[Vec<u64>; 3]| -> Result<()> {
        for (found, at) in found.iter().zip(sets.at) {
            at.map_or(Ok(()), |at| thread.write_slice(at, found))?;
        }
        Ok(())
    };
    let (found, count) = look(&watched);
    if count > 0 || matches!(until, Until::Now) {
        store(&found)?;
        remaining.write(thread, until.deadline());
        return Ok(Outcome::Done(count));
    }
    Ok(Outcome::Wait(Box::pin(async move {
        loop {
            let waited = poll::wait(thread, &watched, until.deadline()).await;
            remaining.write(thread, until.deadline());
            let waited = waited.map_err(|_| Errno::ERESTARTNOHAND)?;
            let (found, count) = look(&watched);
            // Events that select does not look at may have ended the wait.
            if count > 0 || !waited {
                store(&found)?;
                return Ok(count);
            }
            executor::yield_now().await;
        }
    })))
}

impl Thread {
    /// Replaces the signal mask until the call returns (ppoll(2) and its like).
    ///
    /// # Errors
    /// - `EINVAL`: `size` is not that of a mask.
    pub fn replace_mask(&self, mask: Option<UserPtr<u64>>, size: usize) -> Result<()> {
        let Some(mask) = mask else { return Ok(()) };
        if size != size_of::<u64>() {
            return Err(Errno::EINVAL);
        }
        let mask = self.read(mask)?;
        crate::signal::replace_mask(self, SignalSet::from_bits(mask));
        Ok(())
    }

    /// Stores the time that is left until `deadline`.
    fn write_remaining(&self, to: Option<UserPtr<Timespec>>, deadline: Option<Instant>) {
        if let (Some(to), Some(deadline)) = (to, deadline) {
            // As on Linux, a read-only timeout does not fail the call.
            let _ = self.write(to, &Timespec::from(deadline - time::now()));
        }
    }
}
