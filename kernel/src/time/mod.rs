//! Time as programs see it: clocks, interval timers, POSIX timers.

use crate::process::Process;

/// Drops the timers of a process that has ended.
pub fn end_timers(_process: &Process) {}

/// Drops the timers that a new program does not inherit.
pub fn exec_timers(_process: &Process) {}
