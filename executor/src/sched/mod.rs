//! The scheduler: who runs where, and the loop that runs them.

mod account;
mod cpu;
mod place;
mod run;
mod steal;
#[cfg(test)]
mod tests;
mod yielding;

pub use account::{CpuStats, charge, cpu_stats, runnable, user_begin, user_end};
pub use run::{need_resched, preempt, run, run_until};
pub use yielding::{YieldNow, yield_now};

pub(crate) use cpu::{Cpu, current_record, of};
pub(crate) use place::{change, schedule, start, synchronously};
pub(crate) use run::{PollEnd, is_abandoned, poll_ended};

use crate::task::{Record, TaskRef};

/// The task that runs on this CPU; `None` outside of tasks.
pub fn current_task() -> Option<TaskRef> {
    current_record().map(Record::handle)
}
