//! Time as programs see it: clocks, interval timers, POSIX timers.

mod clock;
mod load;
mod timerfd;

use crate::process::Process;

pub use clock::{
    Clock, realtime, realtime_coarse, realtime_offset_ns, set_realtime, wall_clock_change,
};
pub use load::Load;
pub use timerfd::TimerFd;

/// Drops the timers of a process that has ended.
pub fn end_timers(_process: &Process) {}

/// Drops the timers that a new program does not inherit.
pub fn exec_timers(_process: &Process) {}
