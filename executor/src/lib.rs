//! Scheduling of futures on per-CPU queues with work stealing.
//!
//! A task is a future in an `async-task` cell with a name, a [`Policy`], a nice value and a set of
//! CPUs. Each CPU runs [`run`]: it takes the best ready task, polls it once, and looks again.
//!
//! ```text
//!   Waker::wake ──▶ placement ──┬─ this CPU ──▶ next slot | real-time lists | fair queue ──▶ poll
//!   (any context)               └─ another ──▶ its inbox (lock-free), and a kick if it sleeps
//! ```
//!
//! A poll is never preempted by another one. User code that runs inside a poll is: its loop calls
//! [`preempt`] after an interrupt and yields if told to.
//!
//! Waiting is registering, then checking: [`wait::WaitQueue::listen`] first, the condition second,
//! `.await` last. A wake is a hint; the condition is read again.
//!
//! # Locks
//! Per CPU a queue lock and a timer lock. Neither is held while a waker runs, and no code holds
//! two of them. A waker may run in an interrupt: there it only tries the queue lock of its own CPU
//! and falls back to the inbox, so it never spins.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

#[cfg(not(loom))]
pub mod channel;
#[cfg(not(loom))]
mod cpu_set;
#[cfg(not(loom))]
mod join;
#[cfg(not(loom))]
mod machine;
#[cfg(loom)]
mod models;
#[cfg(not(loom))]
mod policy;
mod primitive;
mod queue;
#[cfg(not(loom))]
mod sched;
mod select;
#[cfg(not(any(loom, target_os = "none")))]
pub mod sim;
pub mod sync;
#[cfg(not(loom))]
mod task;
#[cfg(not(loom))]
pub mod timer;
pub mod wait;

#[cfg(loom)]
use models::{scheduler as sched, scheduler as task};

pub use select::{Either, Select, select};

#[cfg(not(loom))]
pub use {
    cpu_set::CpuSet,
    join::{JoinHandle, spawn_join},
    policy::{MAX_NICE, MIN_NICE, Policy},
    sched::{
        CpuStats, YieldNow, charge, cpu_stats, current_task, need_resched, preempt, run, run_until,
        runnable, user_begin, user_end, yield_now,
    },
    task::{Mode, Spawn, State, TaskInfo, TaskRef, spawn, tasks},
    timer::sleep_until,
};
