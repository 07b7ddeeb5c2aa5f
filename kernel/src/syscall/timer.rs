//! Timers: alarm(2), setitimer(2), timer_create(2), timerfd_create(2).

use super::{Row, UserPtr, row};
use crate::{
    cred::Limited,
    file::{File, Object},
    process::Resource,
    signal::{Info, code},
    thread::Thread,
    time::{Clock, CpuClock, SignalTimer, Target, TimerFd, WallClock},
};
use abi::{Errno, Fd, Itimerspec, Itimerval, Pid, Result, Signal, Timespec};
use alloc::sync::Arc;
use core::time::Duration;
use framework::Instant;
use fs::OpenFlags;
use zerocopy::{FromBytes, Immutable, IntoBytes};

pub(super) const ROWS: &[Row] = &[
    row!(36 "getitimer" (which: i32, value: UserPtr<Itimerval>) => getitimer, Full),
    row!(37 "alarm" (seconds: u32) => alarm, Full),
    row!(38 "setitimer" (which: i32, new: Option<UserPtr<Itimerval>>,
        old: Option<UserPtr<Itimerval>>) => setitimer, Full),
    row!(222 "timer_create" (clock: i32, event: Option<UserPtr<SigEvent>>, id: UserPtr<u32>)
        => timer_create, Full),
    row!(223 "timer_settime" (id: u32, flags: u32, new: Option<UserPtr<Itimerspec>>,
        old: Option<UserPtr<Itimerspec>>) => timer_settime, Full),
    row!(224 "timer_gettime" (id: u32, value: UserPtr<Itimerspec>) => timer_gettime, Full),
    row!(225 "timer_getoverrun" (id: u32) => timer_getoverrun, Full),
    row!(226 "timer_delete" (id: u32) => timer_delete, Full),
    row!(283 "timerfd_create" (clock: i32, flags: u32) => timerfd_create, Full),
    row!(286 "timerfd_settime" (fd: Fd, flags: u32, new: UserPtr<Itimerspec>,
        old: Option<UserPtr<Itimerspec>>) => timerfd_settime, Full),
    row!(287 "timerfd_gettime" (fd: Fd, value: UserPtr<Itimerspec>) => timerfd_gettime, Full),
];

/// `TIMER_ABSTIME`, `TFD_TIMER_ABSTIME`.
const ABSTIME: u32 = 1;
/// The most timers of a process.
const TIMERS_MAX: usize = 1024;

/// The process's real-time interval timer, made when it is first needed.
fn real_timer(thread: &Thread) -> Arc<SignalTimer> {
    let process = thread.process();
    let target = Target::Process(Arc::downgrade(process));
    let make = || Arc::new(SignalTimer::new(target, Info::kernel(Signal::ALRM)));
    Arc::clone(process.timers.lock().real.get_or_insert_with(make))
}

/// An interval timer of the process, made when it is first needed.
///
/// # Errors
/// - `EINVAL`: there is no such one.
fn interval_timer(thread: &Thread, which: i32) -> Result<Arc<SignalTimer>> {
    const REAL: i32 = 0;
    const VIRTUAL: i32 = 1;
    const PROFILE: i32 = 2;
    let process = thread.process();
    let weak = || Arc::downgrade(process);
    let make = |clock, signal| {
        let target = Target::Process(weak());
        Arc::new(SignalTimer::on_clock(Some(clock), target, Info::kernel(signal)))
    };
    let mut timers = process.timers.lock();
    let timer = match which {
        REAL => {
            drop(timers);
            return Ok(real_timer(thread));
        }
        VIRTUAL => timers.user.get_or_insert_with(|| make(CpuClock::User(weak()), Signal::VTALRM)),
        PROFILE => {
            timers.profile.get_or_insert_with(|| make(CpuClock::Process(weak()), Signal::PROF))
        }
        _ => return Err(Errno::EINVAL),
    };
    Ok(Arc::clone(timer))
}

fn after(time: Duration) -> Option<Instant> {
    (!time.is_zero()).then(|| framework::time::now().saturating_add(time))
}

/// Sends `SIGALRM` after some seconds; returns what was left of the last alarm, rounded.
///
/// Source: alarm(2)
fn alarm(thread: &Thread, seconds: u32) -> usize {
    let time = Duration::from_secs(u64::from(seconds));
    let (left, _) = real_timer(thread).set(after(time), Duration::ZERO);
    // To the nearest second, but never to none.
    let rounded = left.as_secs() + u64::from(left.subsec_nanos() >= 500_000_000);
    let shown = if left.is_zero() { 0 } else { rounded.max(1) };
    usize::try_from(shown).unwrap_or(usize::MAX)
}

fn to_itimerval((left, interval): (Duration, Duration)) -> Itimerval {
    // A timer that is set is never shown as one that is not.
    let left = if left.is_zero() { left } else { left.max(Duration::from_micros(1)) };
    Itimerval { it_interval: interval.into(), it_value: left.into() }
}

/// Stores an interval timer.
///
/// # Errors
/// - `EINVAL`: no such timer.
///
/// Source: getitimer(2)
fn getitimer(thread: &Thread, which: i32, value: UserPtr<Itimerval>) -> Result<()> {
    let found = interval_timer(thread, which)?.get();
    thread.write(value, &to_itimerval(found))
}

/// Sets an interval timer; stores the old setting.
///
/// # Errors
/// - `EINVAL`: no such timer, or no time.
///
/// Source: setitimer(2)
fn setitimer(
    thread: &Thread,
    which: i32,
    new: Option<UserPtr<Itimerval>>,
    old: Option<UserPtr<Itimerval>>,
) -> Result<()> {
    let new = new.map(|new| thread.read(new)).transpose()?.unwrap_or_default();
    let value = Duration::try_from(new.it_value)?;
    let interval = Duration::try_from(new.it_interval)?;
    let timer = interval_timer(thread, which)?;
    let next = (!value.is_zero()).then(|| timer.now().saturating_add(value));
    let before = timer.set(next, interval);
    thread.write_optional(old, &to_itimerval(before))
}

/// `struct sigevent`.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
struct SigEvent {
    value: u64,
    signal: i32,
    notify: i32,
    tid: i32,
    rest: [u32; 11],
}

/// Makes a timer; stores its number.
///
/// # Errors
/// - `EINVAL`: no such clock, kind of notice, signal or thread.
/// - `EOPNOTSUPP`: a clock that is only read.
/// - `EAGAIN`: too many timers.
///
/// Source: timer_create(2)
fn timer_create(
    thread: &Thread,
    clock: i32,
    event: Option<UserPtr<SigEvent>>,
    at: UserPtr<u32>,
) -> Result<()> {
    const SIGNAL: i32 = 0;
    const NONE: i32 = 1;
    const THREAD: i32 = 2;
    const THREAD_ID: i32 = 4;
    let clock = Clock::for_timers(clock)?;
    let cpu_clock = clock.cpu_clock(thread)?;
    let process = thread.process();
    let event = event.map(|event| thread.read(event)).transpose()?;
    let id = {
        let timers = process.timers.lock();
        (0..).find(|id| !timers.posix.contains_key(id)).ok_or(Errno::EAGAIN)?
    };
    let (signal, value, target) = match event {
        None => (Signal::ALRM, u64::from(id), Target::Process(Arc::downgrade(process))),
        Some(event) => {
            let target = match event.notify {
                NONE => Target::None,
                SIGNAL | THREAD => Target::Process(Arc::downgrade(process)),
                THREAD_ID => {
                    let tid = Pid::new(event.tid).ok_or(Errno::EINVAL)?;
                    let found = thread.system.pids.thread(tid).ok_or(Errno::EINVAL)?;
                    if !Arc::ptr_eq(&found.process, process) {
                        return Err(Errno::EINVAL);
                    }
                    Target::Thread(Arc::downgrade(&found))
                }
                _ => return Err(Errno::EINVAL),
            };
            let silent = matches!(target, Target::None);
            let signal = if silent { Signal::ALRM } else { Signal::new(event.signal)? };
            (signal, event.value, target)
        }
    };
    let info = Info::timer(signal, id, 0, value);
    debug_assert_eq!(info.code, code::TIMER);
    thread.write(at, &id)?;
    // Each timer may have one signal pending.
    let (uid, most) = (thread.credentials.uid, process.limit(Resource::PendingSignals));
    let charge = thread.system.users.charge(uid, Limited::Signals, most).ok_or(Errno::EAGAIN)?;
    let timer = Arc::new(SignalTimer::on_clock(cpu_clock, target, info).charged(charge));
    let mut timers = process.timers.lock();
    if timers.posix.len() >= TIMERS_MAX {
        return Err(Errno::EAGAIN);
    }
    timers.posix.insert(id, (clock, timer));
    Ok(())
}

fn find(thread: &Thread, id: u32) -> Result<(Clock, Arc<SignalTimer>)> {
    thread.process().timers.lock().posix.get(&id).cloned().ok_or(Errno::EINVAL)
}

/// When a setting expires first on a clock that shows `now`, and how often then.
fn setting(
    clock: Clock,
    now: Instant,
    flags: u32,
    new: Itimerspec,
) -> Result<(Option<Instant>, Duration)> {
    let value = Duration::try_from(new.it_value)?;
    let interval = Duration::try_from(new.it_interval)?;
    let next = match value.is_zero() {
        true => None,
        false if flags & ABSTIME != 0 => Some(clock.instant(value)),
        false => Some(now.saturating_add(value)),
    };
    Ok((next, interval))
}

fn to_itimerspec((left, interval): (Duration, Duration)) -> Itimerspec {
    Itimerspec { it_interval: Timespec::from(interval), it_value: Timespec::from(left) }
}

/// Sets a timer; stores the old setting.
///
/// # Errors
/// - `EINVAL`: no such timer, or no time.
///
/// Source: timer_settime(2)
fn timer_settime(
    thread: &Thread,
    id: u32,
    flags: u32,
    new: Option<UserPtr<Itimerspec>>,
    old: Option<UserPtr<Itimerspec>>,
) -> Result<()> {
    let new = thread.read(new.ok_or(Errno::EINVAL)?)?;
    let (clock, timer) = find(thread, id)?;
    let (next, interval) = setting(clock, timer.now(), flags, new)?;
    let before = timer.set(next, interval);
    thread.write_optional(old, &to_itimerspec(before))
}

/// Stores a timer's setting.
///
/// # Errors
/// - `EINVAL`: no such timer.
///
/// Source: timer_gettime(2)
fn timer_gettime(thread: &Thread, id: u32, value: UserPtr<Itimerspec>) -> Result<()> {
    let (_, timer) = find(thread, id)?;
    thread.write(value, &to_itimerspec(timer.get()))
}

/// How many expirations the last signal stands for, beyond the first.
///
/// # Errors
/// - `EINVAL`: no such timer.
///
/// Source: timer_getoverrun(2)
fn timer_getoverrun(thread: &Thread, id: u32) -> Result<usize> {
    let (_, timer) = find(thread, id)?;
    Ok(timer.overrun().min(i32::MAX.unsigned_abs()) as usize)
}

/// Removes a timer.
///
/// # Errors
/// - `EINVAL`: no such timer.
///
/// Source: timer_delete(2)
fn timer_delete(thread: &Thread, id: u32) -> Result<()> {
    let removed = thread.process().timers.lock().posix.remove(&id);
    removed.map(drop).ok_or(Errno::EINVAL)
}

/// Makes a timer that is read; returns its descriptor.
///
/// # Errors
/// - `EINVAL`: no such clock, or unknown flags.
/// - `EMFILE`: too many descriptors.
///
/// Source: timerfd_create(2)
fn timerfd_create(thread: &Thread, clock_number: i32, flags: u32) -> Result<usize> {
    const TAI: i32 = 11;
    let allowed = OpenFlags::CLOSE_ON_EXEC | OpenFlags::NON_BLOCKING;
    let flags = OpenFlags::from_bits(flags).filter(|flags| allowed.contains(*flags));
    let flags = flags.ok_or(Errno::EINVAL)?;
    let clock = match Clock::for_timers(clock_number) {
        Ok(clock @ (Clock::Realtime | Clock::Monotonic)) if clock_number != TAI => clock,
        _ => return Err(Errno::EINVAL),
    };
    let object = Object::Timer(TimerFd::new(clock));
    thread.install_object(object, "[timerfd]", flags | OpenFlags::READ_WRITE)
}

fn timer_of(file: &File) -> Result<&TimerFd> {
    match file.object() {
        Object::Timer(timer) => Ok(timer),
        _ => Err(Errno::EINVAL),
    }
}

/// Sets the timer behind a descriptor; stores the old setting.
///
/// # Errors
/// - `EBADF`, `EINVAL`: no timer, unknown flags, or no time.
///
/// Source: timerfd_settime(2)
fn timerfd_settime(
    thread: &Thread,
    fd: Fd,
    flags: u32,
    new: UserPtr<Itimerspec>,
    old: Option<UserPtr<Itimerspec>>,
) -> Result<()> {
    const CANCEL_ON_SET: u32 = 2;
    let new = thread.read(new)?;
    let file = thread.files.get_opened(fd)?;
    let timer = timer_of(&file)?;
    if flags & !(ABSTIME | CANCEL_ON_SET) != 0 {
        return Err(Errno::EINVAL);
    }
    let (next, interval) = setting(timer.clock(), framework::time::now(), flags, new)?;
    let wall = timer.clock() == Clock::Realtime && flags & ABSTIME != 0 && next.is_some();
    let wall = match (wall, flags & CANCEL_ON_SET != 0) {
        (false, _) => WallClock::Ignored,
        (true, false) => WallClock::Followed(Duration::try_from(new.it_value)?),
        (true, true) => WallClock::Cancels(Duration::try_from(new.it_value)?),
    };
    let before = timer.set(next, interval, wall);
    thread.write_optional(old, &to_itimerspec(before))
}

/// Stores the setting of the timer behind a descriptor.
///
/// # Errors
/// - `EBADF`, `EINVAL`: no timer.
///
/// Source: timerfd_gettime(2)
fn timerfd_gettime(thread: &Thread, fd: Fd, value: UserPtr<Itimerspec>) -> Result<()> {
    let file = thread.files.get_opened(fd)?;
    let found = timer_of(&file)?.get();
    thread.write(value, &to_itimerspec(found))
}

#[cfg(test)]
mod tests {
    use super::{SigEvent, to_itimerval};
    use core::time::Duration;

    #[test]
    fn a_timer_that_is_set_is_not_shown_as_off() {
        let shown = to_itimerval((Duration::from_nanos(1), Duration::ZERO));
        assert_eq!(shown.it_value.tv_usec, 1);
        assert_eq!(size_of::<SigEvent>(), 64);
    }
}
