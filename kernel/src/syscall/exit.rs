//! exit(2), exit_group(2), wait4(2), waitid(2).

use super::{Outcome, Row, UserPtr, row};
use crate::{
    file::Object,
    process::{Change, ExitStatus, State, Usage, Wait, WaitFor, Which},
    signal::{Info, code},
    thread::{Thread, Work},
};
use abi::{Errno, Events, Fd, Pid, Result, Signal, Timeval};
use alloc::boxed::Box;
use zerocopy::{FromBytes, Immutable, IntoBytes};

pub(super) const ROWS: &[Row] = &[
    row!(60 "exit" (status: u32) => exit, Full),
    row!(231 "exit_group" (status: u32) => exit_group, Full),
    row!(61 "wait4" (pid: i32, status: Option<UserPtr<i32>>, options: u32,
        usage: Option<UserPtr<Rusage>>) => wait4, Full),
    row!(247 "waitid" (kind: i32, id: i32, info: Option<UserPtr<[u8; Info::SIZE]>>, options: u32,
        usage: Option<UserPtr<Rusage>>) => waitid, Full),
];

/// The part of a status that a parent sees.
fn low_byte(status: u32) -> u8 {
    status.to_le_bytes()[0]
}

/// Ends the calling thread.
///
/// Source: _exit(2)
fn exit(thread: &mut Thread, status: u32) -> usize {
    thread.exit_status = low_byte(status);
    thread.tcb.add_work(Work::EXIT);
    0
}

/// Ends all threads of the process.
///
/// Source: exit_group(2)
fn exit_group(thread: &Thread, status: u32) -> usize {
    thread.process().begin_exit(ExitStatus::Exited(low_byte(status)));
    0
}

/// `struct rusage`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable)]
pub(super) struct Rusage {
    user: Timeval,
    system: Timeval,
    max_resident_kib: i64,
    unused: [i64; 3],
    minor_faults: i64,
    major_faults: i64,
    swaps: i64,
    blocks: [i64; 2],
    messages: [i64; 2],
    signals: i64,
    voluntary_switches: i64,
    involuntary_switches: i64,
}

impl From<&Usage> for Rusage {
    fn from(usage: &Usage) -> Self {
        Self {
            user: usage.user.into(),
            system: usage.system.into(),
            max_resident_kib: i64::try_from(usage.max_resident * 4).unwrap_or(i64::MAX),
            minor_faults: usage.minor_faults.cast_signed(),
            major_faults: usage.major_faults.cast_signed(),
            voluntary_switches: usage.voluntary_switches.cast_signed(),
            involuntary_switches: usage.involuntary_switches.cast_signed(),
            ..Self::default()
        }
    }
}

/// Waits for a child that `wait` means to change; `None` if there is none yet and it must not wait.
async fn wait_for_change(thread: &Thread, wait: &Wait) -> Result<Option<Change>> {
    if let result @ (Ok(Some(_)) | Err(_)) = thread.process().try_wait(wait) {
        return result;
    }
    if wait.options.contains(WaitFor::NO_HANG) {
        return Ok(None);
    }
    let queue = &thread.process().child_events;
    let attempt = || match thread.process().try_wait(wait) {
        Ok(None) => None,
        Ok(change) => Some(Ok(change)),
        Err(errno) => Some(Err(errno)),
    };
    thread.wait_until(queue, Events::IN.bits(), attempt).await?
}

/// Waits for a child to end, stop or go on; returns its number, 0 if it must not wait.
///
/// # Errors
/// - `EINVAL`: unknown options.
/// - `ECHILD`: there is no such child.
/// - `ESRCH`: `pid` is the lowest integer.
/// - `ERESTARTSYS`: a signal came first.
///
/// Source: wait4(2)
fn wait4(
    thread: &Thread,
    pid: i32,
    status: Option<UserPtr<i32>>,
    options: u32,
    usage: Option<UserPtr<Rusage>>,
) -> Result<Outcome<'_>> {
    let known = WaitFor::NO_HANG | WaitFor::STOPPED | WaitFor::CONTINUED;
    let kinds = WaitFor::NO_THREAD | WaitFor::CLONE | WaitFor::ALL;
    let options = WaitFor::from_bits(options).filter(|options| (known | kinds).contains(*options));
    let options = options.ok_or(Errno::EINVAL)? | WaitFor::EXITED;
    let which = match pid {
        i32::MIN => return Err(Errno::ESRCH),
        -1 => Which::Any,
        0 => Which::Group(thread.process().group().pid),
        1.. => Which::Pid(Pid::new(pid).ok_or(Errno::ECHILD)?),
        _ => Which::Group(Pid::new(-pid).ok_or(Errno::ECHILD)?),
    };
    let wait = Wait { which, options };
    let store = move |thread: &Thread, change: Option<Change>| {
        let Some(change) = change else { return Ok(0) };
        thread.write_optional(status, &change.state.to_wait_status())?;
        thread.write_optional(usage, &Rusage::from(&change.usage))?;
        Ok(change.pid.as_usize())
    };
    match thread.process().try_wait(&wait)? {
        Some(change) => store(thread, Some(change)).map(Outcome::Done),
        None if options.contains(WaitFor::NO_HANG) => Ok(Outcome::Done(0)),
        None => Ok(Outcome::Wait(Box::pin(async move {
            let change = wait_for_change(thread, &wait).await?;
            store(thread, change)
        }))),
    }
}

/// Waits for a child to change, and stores what happened as a `siginfo_t`.
///
/// # Errors
/// - `EINVAL`: unknown options or kind of id, or no change asked for.
/// - `ECHILD`: there is no such child.
/// - `ERESTARTSYS`: a signal came first.
///
/// Source: waitid(2)
fn waitid(
    thread: &Thread,
    kind: i32,
    id: i32,
    info: Option<UserPtr<[u8; Info::SIZE]>>,
    options: u32,
    usage: Option<UserPtr<Rusage>>,
) -> Result<Outcome<'_>> {
    let store = move |change: Option<&Change>| {
        let bytes = change.map_or([0; Info::SIZE], |change| child_info(change).to_bytes());
        info.map_or(Ok(()), |info| thread.write_slice(info.cast::<u8>(), &bytes[..INFO_STORED]))
    };
    let wait = match child_to_wait_for(thread, kind, id, options) {
        Ok(wait) => wait,
        // As on Linux, a call that fails has stored that nothing happened.
        Err(errno) => return store(None).and(Err(errno)),
    };
    Ok(Outcome::Wait(Box::pin(async move {
        let (wait, waits) = wait;
        let change = match wait_for_change(thread, &wait).await {
            Ok(None) if waits => Err(Errno::EAGAIN),
            result => result,
        };
        store(change.as_ref().ok().and_then(Option::as_ref))?;
        if let Some(change) = change? {
            thread.write_optional(usage, &Rusage::from(&change.usage))?;
        }
        Ok(0)
    })))
}

/// The bytes of a `siginfo_t` that waitid(2) stores.
const INFO_STORED: usize = 28;

/// What waitid(2) was asked to wait for; and whether it was to wait, but the descriptor of the
/// process is not for that.
fn child_to_wait_for(thread: &Thread, kind: i32, id: i32, options: u32) -> Result<(Wait, bool)> {
    const P_ALL: i32 = 0;
    const P_PID: i32 = 1;
    const P_PGID: i32 = 2;
    const P_PIDFD: i32 = 3;
    let mut options = WaitFor::from_bits(options).ok_or(Errno::EINVAL)?;
    if !options.intersects(WaitFor::EXITED | WaitFor::STOPPED | WaitFor::CONTINUED) {
        return Err(Errno::EINVAL);
    }
    let mut waits = false;
    let which = match kind {
        P_ALL => Which::Any,
        P_PID => Which::Pid(Pid::new(id).ok_or(Errno::EINVAL)?),
        P_PGID if id == 0 => Which::Group(thread.process().group().pid),
        P_PGID => Which::Group(Pid::new(id).ok_or(Errno::EINVAL)?),
        P_PIDFD if id < 0 => return Err(Errno::EINVAL),
        P_PIDFD => {
            let file = thread.files.get(Fd(id))?;
            let Object::Pid(pidfd) = file.object() else { return Err(Errno::EBADF) };
            waits = file.is_non_blocking() && !options.contains(WaitFor::NO_HANG);
            options.set(
                WaitFor::NO_HANG,
                file.is_non_blocking() || options.contains(WaitFor::NO_HANG),
            );
            Which::Pid(pidfd.process().pid)
        }
        _ => return Err(Errno::EINVAL),
    };
    Ok((Wait { which, options }, waits))
}

fn child_info(change: &Change) -> Info {
    let (code, status) = match change.state {
        State::Ended(status) => status.to_child_code(),
        State::Stopped(signal) => (code::CLD_STOPPED, i32::from(signal.number())),
        State::Continued => (code::CLD_CONTINUED, i32::from(Signal::CONT.number())),
    };
    Info::child(Signal::CHLD, code, change.pid.get(), change.uid, status)
}

#[cfg(test)]
mod tests {
    use super::{Rusage, low_byte};

    #[test]
    fn layouts_and_statuses() {
        assert_eq!(size_of::<Rusage>(), 144);
        assert_eq!(low_byte(0x1ff), 0xff);
    }
}
