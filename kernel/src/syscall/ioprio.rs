//! ioprio_set(2), ioprio_get(2): kept for each thread, and inherited.

use super::{Row, row, sched};
use crate::{
    cred::Capabilities,
    thread::{Tcb, Thread},
};
use abi::{Errno, Result};
use core::sync::atomic::Ordering;

pub(super) const ROWS: &[Row] = &[
    row!(251 "ioprio_set" (which: i32, who: i32, priority: u32) => ioprio_set, Partial,
        "requests are served in order, whatever their priority"),
    row!(252 "ioprio_get" (which: i32, who: i32) => ioprio_get, Full),
];

mod class {
    pub(super) const NONE: u16 = 0;
    pub(super) const REALTIME: u16 = 1;
    pub(super) const BEST_EFFORT: u16 = 2;
    pub(super) const IDLE: u16 = 3;
}

/// The class is in the bits from here on; below are a level and hints for the device.
const CLASS_SHIFT: u32 = 13;
const LEVEL_MASK: u16 = 7;

/// Sets the I/O priority of the threads meant.
///
/// # Errors
/// - `EINVAL`: no such class, or an unknown `which`.
/// - `EPERM`: the real-time class without `CAP_SYS_NICE` or `CAP_SYS_ADMIN`; another user's thread.
/// - `ESRCH`: there is nobody.
///
/// Source: ioprio_set(2)
fn ioprio_set(thread: &Thread, which: i32, who: i32, priority: u32) -> Result<()> {
    let priority = u16::try_from(priority).map_err(|_| Errno::EINVAL)?;
    let own = &thread.credentials;
    match priority >> CLASS_SHIFT {
        class::NONE if priority & LEVEL_MASK != 0 => return Err(Errno::EINVAL),
        class::REALTIME if !own.effective.intersects(MAY_USE_REALTIME) => return Err(Errno::EPERM),
        class::NONE | class::REALTIME | class::BEST_EFFORT | class::IDLE => {}
        _ => return Err(Errno::EINVAL),
    }
    for target in sched::select(thread, which.wrapping_sub(1), who)? {
        let owner = target.view.lock().credentials.uid;
        if ![own.uid, own.euid].contains(&owner) && !own.has(Capabilities::SYS_NICE) {
            return Err(Errno::EPERM);
        }
        target.io_priority.store(priority, Ordering::Relaxed);
    }
    Ok(())
}

const MAY_USE_REALTIME: Capabilities = Capabilities::SYS_NICE.union(Capabilities::SYS_ADMIN);

/// The I/O priority of a thread, or the best of several.
///
/// # Errors
/// - `EINVAL`: an unknown `which`.
/// - `ESRCH`: there is nobody.
///
/// Source: ioprio_get(2)
fn ioprio_get(thread: &Thread, which: i32, who: i32) -> Result<usize> {
    const PROCESS: i32 = 1;
    let targets = sched::select(thread, which.wrapping_sub(1), who)?;
    let of = |target: &Tcb| match which {
        PROCESS => target.io_priority.load(Ordering::Relaxed),
        _ => effective(target),
    };
    let best = targets.iter().map(|target| of(target)).min().ok_or(Errno::ESRCH)?;
    Ok(usize::from(best))
}

/// What a thread's requests are worth: by its nice value if nothing is set.
fn effective(target: &Tcb) -> u16 {
    let set = target.io_priority.load(Ordering::Relaxed);
    let Some(task) = target.task().filter(|_| set >> CLASS_SHIFT == class::NONE) else {
        return set;
    };
    let class = match task.policy() {
        executor::Policy::Idle => class::IDLE,
        executor::Policy::Fifo(_) | executor::Policy::RoundRobin(_) => class::REALTIME,
        executor::Policy::Fair | executor::Policy::Batch => class::BEST_EFFORT,
    };
    let level = u16::try_from((i32::from(task.nice()) + 20) / 5).unwrap_or(0);
    class << CLASS_SHIFT | level
}
