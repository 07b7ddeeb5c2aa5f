//! Process groups and sessions: setpgid(2), getpgid(2), setsid(2), getsid(2).

use super::{Row, row};
use crate::{
    process::{Entries, Group, Process, Session},
    thread::Thread,
};
use abi::{Errno, Pid, Result};
use alloc::sync::Arc;

pub(super) const ROWS: &[Row] = &[
    row!(109 "setpgid" (pid: i32, group: i32) => setpgid, Full),
    row!(111 "getpgrp" () => getpgrp, Full),
    row!(112 "setsid" () => setsid, Full),
    row!(121 "getpgid" (pid: i32) => getpgid, Full),
    row!(124 "getsid" (pid: i32) => getsid, Full),
];

/// The process `pid`, the caller's own if 0.
fn target(thread: &Thread, pid: i32) -> Result<Arc<Process>> {
    if pid == 0 {
        return Ok(Arc::clone(thread.process()));
    }
    let pid = Pid::new(pid).ok_or(Errno::ESRCH)?;
    let pids = &thread.system.pids;
    pids.process(pid).or_else(|| pids.thread(pid).map(|t| t.process.clone())).ok_or(Errno::ESRCH)
}

/// Moves a process, the caller or a child that has not called execve, to a group of the session.
///
/// # Errors
/// - `EINVAL`: a negative group.
/// - `ESRCH`: no such process, or neither the caller nor its child.
/// - `EACCES`: the child has called execve.
/// - `EPERM`: another session, a session leader, or no such group in the session.
///
/// Source: setpgid(2)
fn setpgid(thread: &Thread, pid: i32, group: i32) -> Result<()> {
    if group < 0 || (group == 0 && pid < 0) {
        return Err(Errno::EINVAL);
    }
    let own = thread.process();
    let process = target(thread, pid)?;
    let group = if group == 0 { process.pid } else { Pid::new(group).ok_or(Errno::EINVAL)? };
    let mut entries = thread.system.pids.lock();
    if !Arc::ptr_eq(&process, own) {
        if process.parent().is_none_or(|parent| !Arc::ptr_eq(&parent, own)) {
            return Err(Errno::ESRCH);
        }
        if process.session().pid != own.session().pid {
            return Err(Errno::EPERM);
        }
        if process.has_executed() {
            return Err(Errno::EACCES);
        }
    }
    if process.is_session_leader() {
        return Err(Errno::EPERM);
    }
    let session = process.session();
    let joined = match entries.group(group) {
        Some(found) if found.session.pid == session.pid => found,
        None if group == process.pid => new_group(&mut entries, group, session),
        _ => return Err(Errno::EPERM),
    };
    let left = process.group().pid;
    if left != joined.pid {
        process.set_group(&mut entries, joined);
        entries.release(left);
    }
    Ok(())
}

fn new_group(entries: &mut Entries, pid: Pid, session: Arc<Session>) -> Arc<Group> {
    let group = Group::new(pid, session);
    entries.insert_group(&group);
    group
}

/// The caller's group.
///
/// Source: getpgrp(2)
fn getpgrp(thread: &Thread) -> usize {
    thread.process().group().pid.as_usize()
}

/// The group of a process.
///
/// # Errors
/// - `ESRCH`: there is no such process.
///
/// Source: getpgid(2)
fn getpgid(thread: &Thread, pid: i32) -> Result<usize> {
    Ok(target(thread, pid)?.group().pid.as_usize())
}

/// The session of a process.
///
/// # Errors
/// - `ESRCH`: there is no such process.
///
/// Source: getsid(2)
fn getsid(thread: &Thread, pid: i32) -> Result<usize> {
    Ok(target(thread, pid)?.session().pid.as_usize())
}

/// Makes a session with one group, the caller's; it has no controlling terminal.
///
/// # Errors
/// - `EPERM`: there is a group with the caller's number.
///
/// Source: setsid(2)
fn setsid(thread: &Thread) -> Result<usize> {
    let process = thread.process();
    let mut entries = thread.system.pids.lock();
    if entries.is_group_or_session(process.pid) {
        return Err(Errno::EPERM);
    }
    let session = Session::led_by(process);
    entries.insert_session(&session);
    let group = new_group(&mut entries, process.pid, session);
    let old = process.group();
    process.set_group(&mut entries, group);
    let (old_group, old_session) = (old.pid, old.session.pid);
    drop(old);
    entries.release(old_group);
    entries.release(old_session);
    Ok(process.pid.as_usize())
}
