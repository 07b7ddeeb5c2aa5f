//! Time as programs see it: clocks, interval timers, POSIX timers.

mod clock;
mod cpu_clock;
mod load;
mod signal_timer;
mod timerfd;

use crate::{
    process::{INFINITY, Process, Resource},
    signal::Info,
};
use abi::Signal;
use alloc::{
    collections::BTreeMap,
    sync::{Arc, Weak},
};
use core::time::Duration;
use framework::Instant;

pub use clock::{
    Clock, realtime, realtime_coarse, realtime_offset_ns, set_realtime, wall_clock_change,
};
pub use cpu_clock::CpuClock;
pub use load::Load;
pub use signal_timer::{SignalTimer, Target};
pub use timerfd::{TimerFd, WallClock};

/// The timers of a process.
#[derive(Debug, Default)]
pub struct ProcessTimers {
    /// setitimer's `ITIMER_REAL`, which alarm(2) shares.
    pub real: Option<Arc<SignalTimer>>,
    /// setitimer's `ITIMER_VIRTUAL`.
    pub user: Option<Arc<SignalTimer>>,
    /// setitimer's `ITIMER_PROF`.
    pub profile: Option<Arc<SignalTimer>>,
    /// What watches `RLIMIT_CPU`.
    pub limit: Option<Arc<SignalTimer>>,
    /// timer_create's, by their numbers, with their clocks.
    pub posix: BTreeMap<u32, (Clock, Arc<SignalTimer>)>,
}

/// Drops the timers of a process that has ended.
pub fn end_timers(process: &Process) {
    // Taken out first: a timer's end must not find the lock held.
    let timers = core::mem::take(&mut *process.timers.lock());
    drop(timers);
}

/// Watches the process's CPU time if it is limited (`RLIMIT_CPU`).
pub fn watch_cpu_limit(process: &Arc<Process>) {
    let soft = process.limit(Resource::Cpu);
    if soft == INFINITY && process.timers.lock().limit.is_none() {
        return;
    }
    let weak = Arc::downgrade(process);
    let clock = Some(CpuClock::Process(Weak::clone(&weak)));
    let info = Info::kernel(Signal::XCPU);
    let make = || Arc::new(SignalTimer::on_clock(clock, Target::Limited(weak), info));
    let timer = Arc::clone(process.timers.lock().limit.get_or_insert_with(make));
    // No limit is shorter than a second.
    let seconds = soft.max(1);
    let at = Instant::from_nanos(seconds.saturating_mul(1_000_000_000));
    timer.set((soft != INFINITY).then_some(at), Duration::from_secs(1));
}

/// Drops the timers that a new program does not inherit: it keeps the interval timer.
pub fn exec_timers(process: &Process) {
    let posix = core::mem::take(&mut process.timers.lock().posix);
    drop(posix);
}
