//! getrlimit(2), setrlimit(2), prlimit(2), getrusage(2), times(2).

use super::{Row, UserPtr, exit::Rusage, row};
use crate::{
    cred::Capabilities,
    file::MAX_FDS,
    process::{Limit, Privilege, Process, Resource, Usage, UsageOf},
    thread::Thread,
};
use abi::{Errno, Pid, Result};
use alloc::sync::Arc;
use core::{sync::atomic::Ordering, time::Duration};
use zerocopy::{FromBytes, Immutable, IntoBytes};

pub(super) const ROWS: &[Row] = &[
    row!(97 "getrlimit" (resource: u32, limit: UserPtr<Limit>) => getrlimit, Full),
    row!(98 "getrusage" (who: i32, usage: UserPtr<Rusage>) => getrusage, Full),
    row!(100 "times" (buffer: Option<UserPtr<Tms>>) => times, Full),
    row!(160 "setrlimit" (resource: u32, limit: UserPtr<Limit>) => setrlimit, Full),
    row!(302 "prlimit64" (pid: i32, resource: u32, new: Option<UserPtr<Limit>>,
        old: Option<UserPtr<Limit>>) => prlimit64, Full),
];

/// Stores a limit of the caller's process.
///
/// # Errors
/// - `EINVAL`: no such resource.
///
/// Source: getrlimit(2)
fn getrlimit(thread: &Thread, resource: u32, limit: UserPtr<Limit>) -> Result<()> {
    let resource = Resource::new(resource)?;
    let found = thread.process().limits.lock().get(resource);
    thread.write(limit, &found)
}

/// Sets a limit of the caller's process.
///
/// # Errors
/// - `EINVAL`: no such resource, or the soft limit is above the hard one.
/// - `EPERM`: the hard limit would rise.
///
/// Source: setrlimit(2)
fn setrlimit(thread: &Thread, resource: u32, limit: UserPtr<Limit>) -> Result<()> {
    let limit = thread.read(limit)?;
    set(thread, thread.process(), Resource::new(resource)?, limit)
}

fn set(thread: &Thread, target: &Arc<Process>, resource: Resource, limit: Limit) -> Result<()> {
    let privileged = if thread.credentials.has(Capabilities::SYS_RESOURCE) {
        Privilege::SysResource
    } else {
        Privilege::None
    };
    if resource == Resource::Files && limit.hard > u64::from(MAX_FDS) {
        return Err(Errno::EPERM);
    }
    target.limits.lock().set(resource, limit, privileged)?;
    if resource == Resource::Cpu {
        crate::time::watch_cpu_limit(target);
    }
    let memory = target.main_thread().and_then(|thread| thread.view.lock().memory.clone());
    if let Some(memory) = memory {
        let limits = memory.limits();
        let place = match resource {
            Resource::AddressSpace => &limits.address_space,
            Resource::Data => &limits.data,
            Resource::Stack => &limits.stack,
            Resource::LockedMemory => &limits.locked,
            _ => return Ok(()),
        };
        place.store(limit.soft, Ordering::Relaxed);
    }
    Ok(())
}

/// Stores and sets a limit of any process.
///
/// # Errors
/// - `ESRCH`: there is no such process.
/// - `EPERM`: it is another user's, or the hard limit would rise.
/// - `EINVAL`: no such resource, or the soft limit is above the hard one.
///
/// Source: prlimit(2)
fn prlimit64(
    thread: &Thread,
    pid: i32,
    resource: u32,
    new: Option<UserPtr<Limit>>,
    old: Option<UserPtr<Limit>>,
) -> Result<()> {
    let new = new.map(|new| thread.read(new)).transpose()?;
    let resource = Resource::new(resource)?;
    let target = find(thread, pid)?;
    let before = target.limits.lock().get(resource);
    if let Some(new) = new {
        set(thread, &target, resource, new)?;
    }
    thread.write_optional(old, &before)
}

fn find(thread: &Thread, pid: i32) -> Result<Arc<Process>> {
    if pid == 0 {
        return Ok(Arc::clone(thread.process()));
    }
    let pid = Pid::new(pid).ok_or(Errno::ESRCH)?;
    let target = thread.system.pids.thread(pid).ok_or(Errno::ESRCH)?.process.clone();
    let (own, other) = (&thread.credentials, target.credentials());
    let same = [other.uid, other.euid, other.suid].iter().all(|uid| *uid == own.uid)
        && [other.gid, other.egid, other.sgid].iter().all(|gid| *gid == own.gid);
    let allowed = same || Arc::ptr_eq(&target, thread.process());
    if allowed || own.has(Capabilities::SYS_RESOURCE) { Ok(target) } else { Err(Errno::EPERM) }
}

/// Stores what the process, its children or the thread used.
///
/// # Errors
/// - `EINVAL`: another `who`.
///
/// Source: getrusage(2)
fn getrusage(thread: &Thread, who: i32, usage: UserPtr<Rusage>) -> Result<()> {
    const SELF: i32 = 0;
    const CHILDREN: i32 = -1;
    const THREAD: i32 = 1;
    let used: Usage = match who {
        SELF => thread.process().usage(UsageOf::Process),
        CHILDREN => thread.process().usage(UsageOf::Children),
        THREAD => thread.tcb.usage(),
        _ => return Err(Errno::EINVAL),
    };
    thread.write(usage, &Rusage::from(&used))
}

/// `struct tms`: in ticks of 10 ms.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
struct Tms {
    user: i64,
    system: i64,
    children_user: i64,
    children_system: i64,
}

fn ticks(time: Duration) -> i64 {
    i64::try_from(time.as_millis() / 10).unwrap_or(i64::MAX)
}

/// Stores CPU times; returns the ticks since boot.
///
/// Source: times(2)
fn times(thread: &Thread, buffer: Option<UserPtr<Tms>>) -> Result<usize> {
    let own = thread.process().usage(UsageOf::Process);
    let children = thread.process().usage(UsageOf::Children);
    let tms = Tms {
        user: ticks(own.user),
        system: ticks(own.system),
        children_user: ticks(children.user),
        children_system: ticks(children.system),
    };
    thread.write_optional(buffer, &tms)?;
    let now = Duration::from_nanos(framework::time::now().as_nanos());
    usize::try_from(ticks(now)).map_err(|_| Errno::EOVERFLOW)
}
