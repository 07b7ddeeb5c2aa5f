//! Clocks and sleeping: clock_gettime(2), gettimeofday(2), time(2), nanosleep(2).

use super::{Outcome, Row, UserPtr, row};
use crate::{
    cred::Capabilities,
    thread::{Restart, Thread},
    time::{self, Clock, CpuClock},
};
use abi::{Errno, Result, Timespec, Timeval};
use alloc::boxed::Box;
use core::time::Duration;
use executor::timer::sleep_until;
use framework::Instant;
use zerocopy::{FromBytes, Immutable, IntoBytes};

pub(super) const ROWS: &[Row] = &[
    row!(35 "nanosleep" (request: UserPtr<Timespec>, remaining: Option<UserPtr<Timespec>>)
        => nanosleep, Full),
    row!(96 "gettimeofday" (time: Option<UserPtr<Timeval>>, zone: Option<UserPtr<Timezone>>)
        => gettimeofday, Full),
    row!(164 "settimeofday" (time: Option<UserPtr<Timeval>>, zone: Option<UserPtr<Timezone>>)
        => settimeofday, Partial, "the time zone is not kept"),
    row!(201 "time" (at: Option<UserPtr<i64>>) => time, Full),
    row!(227 "clock_settime" (clock: i32, time: UserPtr<Timespec>) => clock_settime, Full),
    row!(228 "clock_gettime" (clock: i32, time: UserPtr<Timespec>) => clock_gettime, Full),
    row!(229 "clock_getres" (clock: i32, resolution: Option<UserPtr<Timespec>>)
        => clock_getres, Full),
    row!(230 "clock_nanosleep" (clock: i32, flags: u32, request: UserPtr<Timespec>,
        remaining: Option<UserPtr<Timespec>>) => clock_nanosleep, Full),
];

/// `struct timezone`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable)]
struct Timezone {
    minutes_west: i32,
    dst: i32,
}

/// Sleeps for a time; on a signal, stores what was left.
///
/// # Errors
/// - `EINVAL`: it is no time.
/// - `EINTR`: a signal was caught.
///
/// Source: nanosleep(2)
fn nanosleep(
    thread: &Thread,
    request: UserPtr<Timespec>,
    remaining: Option<UserPtr<Timespec>>,
) -> Result<Outcome<'_>> {
    let request = Duration::try_from(thread.read(request)?)?;
    let deadline = framework::time::now().saturating_add(request);
    Ok(sleep_restartable(thread, deadline, remaining))
}

/// Sleeps until a moment; restart_syscall(2) goes on with it.
pub(super) fn sleep_restartable(
    thread: &Thread,
    deadline: Instant,
    remaining: Option<UserPtr<Timespec>>,
) -> Outcome<'_> {
    Outcome::Wait(Box::pin(async move {
        let restart = Restart::Sleep { deadline, remaining };
        let result = thread.wait_restartable(sleep_until(deadline), restart).await;
        if let Err(errno) = result {
            let left = deadline.saturating_since(framework::time::now());
            thread.write_optional(remaining, &Timespec::from(left))?;
            return Err(errno);
        }
        Ok(0)
    }))
}

/// Sleeps for or until a time on a clock.
///
/// # Errors
/// - `EINVAL`: no such clock or no time.
/// - `EOPNOTSUPP`: the caller's own CPU clock, a raw or a coarse one.
/// - `EINTR`: a signal was caught.
///
/// Source: clock_nanosleep(2)
fn clock_nanosleep(
    thread: &Thread,
    clock: i32,
    flags: u32,
    request: UserPtr<Timespec>,
    remaining: Option<UserPtr<Timespec>>,
) -> Result<Outcome<'_>> {
    const ABSTIME: u32 = 1;
    let clock = Clock::for_timers(clock)?;
    if clock == Clock::ThreadCpu(None) {
        return Err(Errno::EOPNOTSUPP);
    }
    let cpu = clock.cpu_clock(thread)?;
    let request = Duration::try_from(thread.read(request)?)?;
    if let Some(cpu) = cpu {
        let at = clock.instant(request);
        let past = Duration::from_nanos(cpu.now().as_nanos());
        let until = if flags & ABSTIME != 0 { at } else { at.saturating_add(past) };
        let remaining = remaining.filter(|_| flags & ABSTIME == 0);
        return Ok(Outcome::Wait(Box::pin(sleep_on_cpu_clock(thread, cpu, until, remaining))));
    }
    if flags & ABSTIME == 0 {
        let deadline = framework::time::now().saturating_add(request);
        return Ok(sleep_restartable(thread, deadline, remaining));
    }
    Ok(Outcome::Wait(Box::pin(async move {
        loop {
            // Computed again after each wait: the wall clock may have been set.
            let deadline = clock.instant(request);
            if framework::time::now() >= deadline {
                return Ok(0);
            }
            let woken = executor::select(sleep_until(deadline), time::wall_clock_change());
            thread.wait(woken).await.map_err(|_| Errno::ERESTARTNOHAND)?;
        }
    })))
}

/// Sleeps until others have used up CPU time.
async fn sleep_on_cpu_clock(
    thread: &Thread,
    clock: CpuClock,
    until: Instant,
    remaining: Option<UserPtr<Timespec>>,
) -> Result<usize> {
    let (mut looked, mut pause) = (Instant::from_nanos(0), Duration::ZERO);
    loop {
        let now = clock.now();
        // Who has ended uses no more: nothing will come.
        if now >= until || clock.used().is_none() {
            return Ok(0);
        }
        let left = until.saturating_since(now);
        let (at, next_pause) = clock.next_look(left, pause, now == looked);
        (looked, pause) = (now, next_pause);
        clock.charge();
        if thread.wait_restartable(sleep_until(at), Restart::None).await.is_err() {
            let left = until.saturating_since(clock.now());
            thread.write_optional(remaining, &Timespec::from(left))?;
            return Err(Errno::ERESTART_RESTARTBLOCK);
        }
    }
}

/// Stores the UNIX time; the time zone is UTC.
///
/// Source: gettimeofday(2)
fn gettimeofday(
    thread: &Thread,
    at: Option<UserPtr<Timeval>>,
    zone: Option<UserPtr<Timezone>>,
) -> Result<()> {
    thread.write_optional(at, &Timeval::from(time::realtime()))?;
    thread.write_optional(zone, &Timezone::default())
}

fn set_wall_clock(thread: &Thread, new: Duration) -> Result<()> {
    if !thread.credentials.has(Capabilities::SYS_TIME) {
        return Err(Errno::EPERM);
    }
    time::set_realtime(new);
    Ok(())
}

/// Sets the UNIX time.
///
/// # Errors
/// - `EPERM`: without `CAP_SYS_TIME`.
/// - `EINVAL`: it is no time.
///
/// Source: settimeofday(2)
fn settimeofday(
    thread: &Thread,
    at: Option<UserPtr<Timeval>>,
    zone: Option<UserPtr<Timezone>>,
) -> Result<()> {
    // More than the widest offset on Earth is no time zone.
    const WIDEST: u32 = 15 * 60;
    let new = at.map(|at| thread.read(at)).transpose()?;
    let zone = zone.map(|zone| thread.read(zone)).transpose()?;
    let new_is_time = new.is_none_or(|new| Duration::try_from(new).is_ok());
    if !new_is_time {
        return Err(Errno::EINVAL);
    }
    if !thread.credentials.has(Capabilities::SYS_TIME) && (new.is_some() || zone.is_some()) {
        return Err(Errno::EPERM);
    }
    if zone.is_some_and(|zone| zone.minutes_west.unsigned_abs() > WIDEST) {
        return Err(Errno::EINVAL);
    }
    new.map_or(Ok(()), |new| set_wall_clock(thread, Duration::try_from(new)?))
}

/// The UNIX time in seconds.
///
/// Source: time(2)
fn time(thread: &Thread, at: Option<UserPtr<i64>>) -> Result<usize> {
    let now = time::realtime().as_secs();
    thread.write_optional(at, &now.cast_signed())?;
    usize::try_from(now).map_err(|_| Errno::EOVERFLOW)
}

/// Sets a clock; only the wall clock can be.
///
/// # Errors
/// - `EINVAL`: no such clock, one that cannot be set, or no time.
/// - `EPERM`: without `CAP_SYS_TIME`.
///
/// Source: clock_settime(2)
fn clock_settime(thread: &Thread, clock: i32, at: UserPtr<Timespec>) -> Result<()> {
    if clock != 0 {
        return Err(Errno::EINVAL);
    }
    let new = Duration::try_from(thread.read(at)?)?;
    set_wall_clock(thread, new)
}

/// Stores a clock's time.
///
/// # Errors
/// - `EINVAL`: no such clock.
///
/// Source: clock_gettime(2)
fn clock_gettime(thread: &Thread, clock: i32, at: UserPtr<Timespec>) -> Result<()> {
    let now = Clock::new(clock)?.now(thread)?;
    thread.write(at, &Timespec::from(now))
}

/// Stores a clock's resolution: a nanosecond, for the coarse ones 4 ms.
///
/// # Errors
/// - `EINVAL`: no such clock.
///
/// Source: clock_getres(2)
fn clock_getres(thread: &Thread, clock: i32, resolution: Option<UserPtr<Timespec>>) -> Result<()> {
    const COARSE: [i32; 2] = [5, 6];
    Clock::new(clock)?.now(thread)?;
    let tv_nsec = if COARSE.contains(&clock) { 4_000_000 } else { 1 };
    thread.write_optional(resolution, &Timespec { tv_sec: 0, tv_nsec })
}
