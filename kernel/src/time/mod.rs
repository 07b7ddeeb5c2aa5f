//! Time as programs see it: clocks, interval timers, POSIX timers.

mod clock;
mod load;
mod signal_timer;
mod timerfd;

use crate::process::Process;
use alloc::{collections::BTreeMap, sync::Arc};

pub use clock::{
    Clock, realtime, realtime_coarse, realtime_offset_ns, set_realtime, wall_clock_change,
};
pub use load::Load;
pub use signal_timer::{SignalTimer, Target};
pub use timerfd::TimerFd;

/// The timers of a process.
#[derive(Debug, Default)]
pub struct ProcessTimers {
    /// setitimer's `ITIMER_REAL`, which alarm(2) shares.
    pub real: Option<Arc<SignalTimer>>,
    /// timer_create's, by their numbers, with their clocks.
    pub posix: BTreeMap<u32, (Clock, Arc<SignalTimer>)>,
}

/// Drops the timers of a process that has ended.
pub fn end_timers(process: &Process) {
    // Taken out first: a timer's end must not find the lock held.
    let timers = core::mem::take(&mut *process.timers.lock());
    drop(timers);
}

/// Drops the timers that a new program does not inherit: it keeps the interval timer.
pub fn exec_timers(process: &Process) {
    let posix = core::mem::take(&mut process.timers.lock().posix);
    drop(posix);
}
