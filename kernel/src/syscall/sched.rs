//! Scheduling: sched_yield(2), setpriority(2), sched_setscheduler(2), sched_setaffinity(2).

use super::{Outcome, Row, UserPtr, row};
use crate::{
    cred::Capabilities,
    process::Resource,
    thread::{Tcb, Thread},
};
use abi::{Errno, Pid, Result, Timespec};
use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::sync::atomic::Ordering;
use executor::{CpuSet, MAX_NICE, MIN_NICE, Policy, TaskRef};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes};

pub(super) const ROWS: &[Row] = &[
    row!(24 "sched_yield" () => sched_yield, Full),
    row!(140 "getpriority" (which: i32, who: i32) => getpriority, Full),
    row!(141 "setpriority" (which: i32, who: i32, nice: i32) => setpriority, Full),
    row!(142 "sched_setparam" (pid: i32, param: Option<UserPtr<i32>>) => sched_setparam, Full),
    row!(143 "sched_getparam" (pid: i32, param: Option<UserPtr<i32>>) => sched_getparam, Full),
    row!(144 "sched_setscheduler" (pid: i32, policy: u32,
        param: Option<UserPtr<i32>>) => sched_setscheduler, Partial, "SCHED_DEADLINE"),
    row!(145 "sched_getscheduler" (pid: i32) => sched_getscheduler, Full),
    row!(146 "sched_get_priority_max" (policy: u32) => sched_get_priority_max, Full),
    row!(147 "sched_get_priority_min" (policy: u32) => sched_get_priority_min, Full),
    row!(148 "sched_rr_get_interval" (pid: i32, interval: UserPtr<Timespec>)
        => sched_rr_get_interval, Full),
    row!(203 "sched_setaffinity" (pid: i32, len: u32, mask: UserPtr<u8>)
        => sched_setaffinity, Full),
    row!(204 "sched_getaffinity" (pid: i32, len: u32, mask: UserPtr<u8>)
        => sched_getaffinity, Full),
    row!(314 "sched_setattr" (pid: i32, attr: Option<UserPtr<SchedAttr>>, flags: u32)
        => sched_setattr, Partial, "SCHED_DEADLINE, utilization clamps"),
    row!(315 "sched_getattr" (pid: i32, attr: Option<UserPtr<SchedAttr>>, size: u32, flags: u32)
        => sched_getattr, Full),
];

/// Lets others run first.
///
/// Source: sched_yield(2)
fn sched_yield(_thread: &Thread) -> Result<Outcome<'_>> {
    Ok(Outcome::Wait(Box::pin(async {
        executor::yield_now().await;
        Ok(0)
    })))
}

/// The thread `pid`, the caller if 0.
fn find(thread: &Thread, pid: i32) -> Result<Arc<Tcb>> {
    match pid {
        0 => Ok(Arc::clone(&thread.tcb)),
        i32::MIN..0 => Err(Errno::EINVAL),
        _ => {
            let pid = Pid::new(pid).ok_or(Errno::EINVAL)?;
            thread.system.pids.thread(pid).ok_or(Errno::ESRCH)
        }
    }
}

fn task(tcb: &Tcb) -> Result<&TaskRef> {
    tcb.task().ok_or(Errno::ESRCH)
}

/// Whether the caller may change how `target` is scheduled, for its user.
fn may_change(thread: &Thread, target: &Tcb) -> Result<()> {
    let of_target = Arc::clone(&target.view.lock().credentials);
    let euid = thread.credentials.euid;
    let same_user = euid == of_target.uid || euid == of_target.euid;
    if same_user || thread.credentials.has(Capabilities::SYS_NICE) {
        Ok(())
    } else {
        Err(Errno::EPERM)
    }
}

/// Threads that getpriority and setpriority mean.
pub(super) fn select(thread: &Thread, which: i32, who: i32) -> Result<Vec<Arc<Tcb>>> {
    const PROCESS: i32 = 0;
    const GROUP: i32 = 1;
    const USER: i32 = 2;
    let pids = &thread.system.pids;
    let found = match which {
        PROCESS if who == 0 => alloc::vec![Arc::clone(&thread.tcb)],
        PROCESS => Pid::new(who).and_then(|pid| pids.thread(pid)).into_iter().collect(),
        GROUP => {
            let group = match who {
                0 => Some(thread.process().group()),
                _ => Pid::new(who).and_then(|pid| pids.group(pid)),
            };
            let members = group.map(|group| group.members()).unwrap_or_default();
            members.iter().flat_map(|process| process.live_threads()).collect()
        }
        USER => {
            let uid = if who == 0 { thread.credentials.uid } else { who.cast_unsigned() };
            let mut processes = pids.processes();
            processes.retain(|process| process.credentials().uid == uid);
            processes.iter().flat_map(|process| process.live_threads()).collect::<Vec<_>>()
        }
        _ => return Err(Errno::EINVAL),
    };
    if found.is_empty() { Err(Errno::ESRCH) } else { Ok(found) }
}

/// The lowest nice value of the threads meant, as 20 minus it.
///
/// # Errors
/// - `EINVAL`: an unknown `which`.
/// - `ESRCH`: there is nobody.
///
/// Source: getpriority(2)
fn getpriority(thread: &Thread, which: i32, who: i32) -> Result<usize> {
    let threads = select(thread, which, who)?;
    let nice = threads.iter().filter_map(|tcb| tcb.task()).map(TaskRef::nice).min();
    let nice = nice.ok_or(Errno::ESRCH)?;
    usize::try_from(20 - i32::from(nice)).map_err(|_| Errno::EINVAL)
}

/// The nice value nearest to what a program asked for.
fn clamp_nice(nice: i32) -> i8 {
    i8::try_from(nice.clamp(i32::from(MIN_NICE), i32::from(MAX_NICE))).unwrap_or(0)
}

/// Whether the caller may make a thread of nice value `old` one of `new`.
fn check_nice(thread: &Thread, old: i8, new: i8) -> Result<()> {
    // RLIMIT_NICE is 20 minus the lowest value allowed.
    let wanted = 20 - i64::from(new);
    let limit = thread.process().limit(Resource::Nice);
    let allowed = new >= old || u64::try_from(wanted).is_ok_and(|wanted| wanted <= limit);
    if allowed || thread.credentials.has(Capabilities::SYS_NICE) {
        Ok(())
    } else {
        Err(Errno::EACCES)
    }
}

/// Sets the nice value of the threads meant.
///
/// # Errors
/// - `EINVAL`: an unknown `which`.
/// - `ESRCH`: there is nobody.
/// - `EPERM`: one is another user's.
/// - `EACCES`: a lower value than `RLIMIT_NICE` allows.
///
/// Source: setpriority(2)
fn setpriority(thread: &Thread, which: i32, who: i32, nice: i32) -> Result<()> {
    let nice = clamp_nice(nice);
    let mut result = Ok(());
    for target in select(thread, which, who)? {
        let Some(task) = target.task() else { continue };
        let allowed =
            may_change(thread, &target).and_then(|()| check_nice(thread, task.nice(), nice));
        match allowed {
            Ok(()) => task.set_nice(nice),
            Err(errno) => result = Err(errno),
        }
    }
    result
}

mod number {
    pub(super) const OTHER: u32 = 0;
    pub(super) const FIFO: u32 = 1;
    pub(super) const ROUND_ROBIN: u32 = 2;
    pub(super) const BATCH: u32 = 3;
    pub(super) const IDLE: u32 = 5;
    pub(super) const DEADLINE: u32 = 6;
    /// Or-ed to the policy: children start as ordinary threads.
    pub(super) const RESET_ON_FORK: u32 = 0x4000_0000;
}

/// The policy with this number and real-time priority.
fn policy(number: u32, priority: i32) -> Result<Policy> {
    let priority = u8::try_from(priority).map_err(|_| Errno::EINVAL)?;
    match (number, priority) {
        (number::OTHER, 0) => Ok(Policy::Fair),
        (number::BATCH, 0) => Ok(Policy::Batch),
        (number::IDLE, 0) => Ok(Policy::Idle),
        (number::FIFO, 1..=99) => Ok(Policy::Fifo(priority)),
        (number::ROUND_ROBIN, 1..=99) => Ok(Policy::RoundRobin(priority)),
        _ => Err(Errno::EINVAL),
    }
}

const fn number_of(policy: Policy) -> u32 {
    match policy {
        Policy::Fair => number::OTHER,
        Policy::Batch => number::BATCH,
        Policy::Idle => number::IDLE,
        Policy::Fifo(_) => number::FIFO,
        Policy::RoundRobin(_) => number::ROUND_ROBIN,
    }
}

fn priority_of(policy: Policy) -> i32 {
    policy.priority().map_or(0, i32::from)
}

/// What children of a thread start with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OnFork {
    /// What it has itself.
    Inherit,
    /// No real-time policy, and no nice value below 0.
    Reset,
}

impl OnFork {
    fn of(target: &Tcb) -> Self {
        Self::new(target.reset_on_fork.load(Ordering::Relaxed))
    }

    const fn new(reset: bool) -> Self {
        if reset { Self::Reset } else { Self::Inherit }
    }
}

/// Changes the policy, if the caller may.
fn change(thread: &Thread, target: &Tcb, new: Policy, nice: i8, on_fork: OnFork) -> Result<()> {
    may_change(thread, target)?;
    let task = task(target)?;
    if !thread.credentials.has(Capabilities::SYS_NICE) {
        let limit = thread.process().limit(Resource::RealtimePriority);
        let old = task.policy();
        let raises = priority_of(new) > priority_of(old) || number_of(new) != number_of(old);
        if let Some(priority) = new.priority()
            && raises
            && u64::from(priority) > limit
        {
            return Err(Errno::EPERM);
        }
        if old == Policy::Idle && new == Policy::Fair {
            check_nice(thread, MAX_NICE, nice).map_err(|_| Errno::EPERM)?;
        }
        check_nice(thread, task.nice(), nice).map_err(|_| Errno::EPERM)?;
        if OnFork::of(target) == OnFork::Reset && on_fork == OnFork::Inherit {
            return Err(Errno::EPERM);
        }
    }
    target.reset_on_fork.store(on_fork == OnFork::Reset, Ordering::Relaxed);
    task.set_policy(new, nice);
    Ok(())
}

/// Sets policy and real-time priority.
///
/// # Errors
/// - `EINVAL`: no such policy, or a priority it does not have.
/// - `ESRCH`: there is no such thread.
/// - `EPERM`: the caller may not.
///
/// Source: sched_setscheduler(2)
fn sched_setscheduler(
    thread: &Thread,
    pid: i32,
    number: u32,
    param: Option<UserPtr<i32>>,
) -> Result<()> {
    if pid < 0 {
        return Err(Errno::EINVAL);
    }
    let priority = thread.read(param.ok_or(Errno::EINVAL)?)?;
    let new = policy(number & !number::RESET_ON_FORK, priority)?;
    let target = find(thread, pid)?;
    let nice = task(&target)?.nice();
    let on_fork = OnFork::new(number & number::RESET_ON_FORK != 0);
    change(thread, &target, new, nice, on_fork)
}

/// The policy's number.
///
/// Source: sched_getscheduler(2)
fn sched_getscheduler(thread: &Thread, pid: i32) -> Result<usize> {
    let target = find(thread, pid)?;
    let flag = if OnFork::of(&target) == OnFork::Reset { number::RESET_ON_FORK } else { 0 };
    Ok((number_of(task(&target)?.policy()) | flag) as usize)
}

/// Sets the real-time priority, keeping the policy.
///
/// # Errors
/// As sched_setscheduler.
///
/// Source: sched_setparam(2)
fn sched_setparam(thread: &Thread, pid: i32, param: Option<UserPtr<i32>>) -> Result<()> {
    if pid < 0 {
        return Err(Errno::EINVAL);
    }
    let priority = thread.read(param.ok_or(Errno::EINVAL)?)?;
    let target = find(thread, pid)?;
    let (number, nice) = (number_of(task(&target)?.policy()), task(&target)?.nice());
    change(thread, &target, policy(number, priority)?, nice, OnFork::of(&target))
}

/// Stores the real-time priority.
///
/// Source: sched_getparam(2)
fn sched_getparam(thread: &Thread, pid: i32, param: Option<UserPtr<i32>>) -> Result<()> {
    let param = param.ok_or(Errno::EINVAL)?;
    let target = find(thread, pid)?;
    thread.write(param, &priority_of(task(&target)?.policy()))
}

/// The highest priority of a policy.
///
/// Source: sched_get_priority_max(2)
fn sched_get_priority_max(_thread: &Thread, number: u32) -> Result<usize> {
    priority_range(number).map(|(_, highest)| highest)
}

/// The lowest priority of a policy.
///
/// Source: sched_get_priority_min(2)
fn sched_get_priority_min(_thread: &Thread, number: u32) -> Result<usize> {
    priority_range(number).map(|(lowest, _)| lowest)
}

fn priority_range(number: u32) -> Result<(usize, usize)> {
    match number {
        number::FIFO | number::ROUND_ROBIN => Ok((1, 99)),
        number::OTHER | number::BATCH | number::IDLE | number::DEADLINE => Ok((0, 0)),
        _ => Err(Errno::EINVAL),
    }
}

/// Stores how long a turn is: 100 ms for round-robin, none for FIFO, the fair slice for others.
///
/// Source: sched_rr_get_interval(2)
fn sched_rr_get_interval(thread: &Thread, pid: i32, interval: UserPtr<Timespec>) -> Result<()> {
    let target = find(thread, pid)?;
    let tv_nsec = match task(&target)?.policy() {
        Policy::RoundRobin(_) => 100_000_000,
        Policy::Fifo(_) => 0,
        Policy::Fair | Policy::Batch | Policy::Idle => 4_000_000,
    };
    thread.write(interval, &Timespec { tv_sec: 0, tv_nsec })
}

/// Sets which CPUs a thread may run on.
///
/// # Errors
/// - `EINVAL`: none of them runs.
/// - `EPERM`: another user's thread.
/// - `ESRCH`: there is no such thread.
///
/// Source: sched_setaffinity(2)
fn sched_setaffinity(thread: &Thread, pid: i32, len: u32, mask: UserPtr<u8>) -> Result<()> {
    let mut bytes = [0; size_of::<u64>()];
    let len = (len as usize).min(bytes.len());
    thread.read_bytes(mask.address(), &mut bytes[..len])?;
    let target = find(thread, pid)?;
    may_change(thread, &target)?;
    let running = CpuSet::first(framework::cpu::count());
    let set = CpuSet::from_bits(u64::from_le_bytes(bytes)).and(running);
    if set.is_empty() {
        return Err(Errno::EINVAL);
    }
    task(&target)?.set_affinity(set);
    Ok(())
}

/// Stores which CPUs a thread may run on; returns how many bytes.
///
/// # Errors
/// - `EINVAL`: too few bytes, or no multiple of 8.
/// - `ESRCH`: there is no such thread.
///
/// Source: sched_getaffinity(2)
fn sched_getaffinity(thread: &Thread, pid: i32, len: u32, mask: UserPtr<u8>) -> Result<usize> {
    let size = size_of::<u64>();
    if (len as usize) < size || !(len as usize).is_multiple_of(size) {
        return Err(Errno::EINVAL);
    }
    let target = if pid < 0 { Err(Errno::ESRCH) } else { find(thread, pid) }?;
    let set = task(&target)?.affinity().and(CpuSet::first(framework::cpu::count()));
    thread.write_bytes(mask.address(), &set.bits().to_le_bytes())?;
    Ok(size)
}

/// `struct sched_attr`, first version.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable)]
struct SchedAttr {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

/// Sets policy, nice value and priority.
///
/// # Errors
/// As sched_setscheduler, and:
/// - `E2BIG`: a larger structure with something in the part not known here.
///
/// Source: sched_setattr(2)
fn sched_setattr(
    thread: &Thread,
    pid: i32,
    at: Option<UserPtr<SchedAttr>>,
    flags: u32,
) -> Result<()> {
    const SIZE: usize = size_of::<SchedAttr>();
    /// Children start as ordinary threads.
    const RESET_ON_FORK: u64 = 1;
    if pid < 0 || flags != 0 {
        return Err(Errno::EINVAL);
    }
    let at = at.ok_or(Errno::EINVAL)?;
    let size = match thread.read(at.cast::<u32>())? as usize {
        0 => SIZE,
        size => size,
    };
    if !(SIZE..=framework::PAGE_SIZE).contains(&size) {
        thread.write(at.cast::<u32>(), &u32::try_from(SIZE).map_err(|_| Errno::EINVAL)?)?;
        return Err(Errno::E2BIG);
    }
    let mut attr = SchedAttr::new_zeroed();
    thread.read_bytes(at.address(), attr.as_mut_bytes())?;
    let rest = thread.read_slice::<u8>(at.byte_offset(SIZE)?, size - SIZE)?;
    if rest.iter().any(|byte| *byte != 0) {
        return Err(Errno::E2BIG);
    }
    if attr.flags & !RESET_ON_FORK != 0 {
        return Err(Errno::EINVAL);
    }
    let priority = i32::try_from(attr.priority).map_err(|_| Errno::EINVAL)?;
    let new = policy(attr.policy, priority)?;
    let target = find(thread, pid)?;
    let nice = match new {
        Policy::Fair | Policy::Batch => clamp_nice(attr.nice),
        _ => task(&target)?.nice(),
    };
    change(thread, &target, new, nice, OnFork::new(attr.flags & RESET_ON_FORK != 0))
}

/// Stores policy, nice value and priority.
///
/// # Errors
/// - `EINVAL`: too small a structure, or flags.
/// - `ESRCH`: there is no such thread.
///
/// Source: sched_getattr(2)
fn sched_getattr(
    thread: &Thread,
    pid: i32,
    at: Option<UserPtr<SchedAttr>>,
    size: u32,
    flags: u32,
) -> Result<()> {
    const SIZE: usize = size_of::<SchedAttr>();
    if flags != 0 || !(SIZE..=framework::PAGE_SIZE).contains(&(size as usize)) {
        return Err(Errno::EINVAL);
    }
    let at = at.ok_or(Errno::EINVAL)?;
    let target = find(thread, pid)?;
    let (policy, nice) = (task(&target)?.policy(), task(&target)?.nice());
    let attr = SchedAttr {
        size: u32::try_from(SIZE).map_err(|_| Errno::EINVAL)?,
        policy: number_of(policy),
        flags: u64::from(OnFork::of(&target) == OnFork::Reset),
        // Real-time threads have none that counts.
        nice: if policy.priority().is_some() { 0 } else { i32::from(nice) },
        priority: policy.priority().map_or(0, u32::from),
        ..SchedAttr::default()
    };
    thread.write(at, &attr)
}

#[cfg(test)]
mod tests {
    use super::{SchedAttr, clamp_nice, number, policy};
    use abi::Errno;
    use executor::Policy;

    #[test]
    fn priorities_belong_to_their_policies() {
        assert_eq!(policy(number::FIFO, 99), Ok(Policy::Fifo(99)));
        assert_eq!(policy(number::FIFO, 0), Err(Errno::EINVAL));
        assert_eq!(policy(number::OTHER, 1), Err(Errno::EINVAL));
        assert_eq!(policy(number::RESET_ON_FORK, 0), Err(Errno::EINVAL));
        assert_eq!(clamp_nice(-100), -20);
        assert_eq!(size_of::<SchedAttr>(), 48);
    }
}
