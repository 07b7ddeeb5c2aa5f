//! On which of the host's CPUs a thread may run.

use std::vec::Vec;

/// CPUs that a set has room for.
const MAX: usize = libc::CPU_SETSIZE as usize;

fn empty() -> libc::cpu_set_t {
    // SAFETY: a set is an array of words.
    unsafe { core::mem::zeroed() }
}

/// The CPUs of this thread.
pub(super) fn get() -> Vec<usize> {
    let mut set = empty();
    // SAFETY: the set is as long as the call is told.
    unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) };
    // SAFETY: the index stays in the set.
    (0..MAX).filter(|cpu| unsafe { libc::CPU_ISSET(*cpu, &set) }).collect()
}

/// The CPU that this thread is on.
pub(super) fn current() -> Option<usize> {
    // SAFETY: the call touches no memory of ours.
    usize::try_from(unsafe { libc::sched_getcpu() }).ok()
}

/// Binds a thread, 0 for this one, to a CPU; false if the host refuses.
pub(super) fn set(tid: libc::pid_t, cpu: usize) -> bool {
    let mut set = empty();
    if cpu >= MAX {
        return false;
    }
    // SAFETY: the index stays in the set.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: the set is as long as the call is told.
    unsafe { libc::sched_setaffinity(tid, size_of_val(&set), &raw const set) == 0 }
}
