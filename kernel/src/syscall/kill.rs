//! Sending signals: kill(2), tkill(2), tgkill(2), sigqueue(3).

use super::{Row, UserPtr, row};
use crate::{
    process::Process,
    signal::{self, Info, code},
    thread::{Tcb, Thread},
};
use abi::{Errno, Pid, Result, Signal};
use alloc::{collections::BTreeSet, sync::Arc, vec::Vec};

pub(super) const ROWS: &[Row] = &[
    row!(62 "kill" (pid: i32, number: i32) => kill, Full),
    row!(129 "rt_sigqueueinfo" (pid: i32, number: i32, info: UserPtr<[u8; Info::SIZE]>)
        => rt_sigqueueinfo, Full),
    row!(200 "tkill" (tid: i32, number: i32) => tkill, Full),
    row!(234 "tgkill" (pid: i32, tid: i32, number: i32) => tgkill, Full),
    row!(297 "rt_tgsigqueueinfo" (pid: i32, tid: i32, number: i32,
        info: UserPtr<[u8; Info::SIZE]>) => rt_tgsigqueueinfo, Full),
];

/// The signal to send; none only checks the permission.
fn parse(number: i32) -> Result<Option<Signal>> {
    if number == 0 { Ok(None) } else { Signal::new(number).map(Some) }
}

fn from_caller(thread: &Thread, signal: Signal, code: i32) -> Info {
    Info::from_process(signal, code, thread.process().pid.get(), thread.credentials.uid)
}

fn send(thread: &Thread, target: &Arc<Process>, signal: Option<Signal>) -> Result<()> {
    signal::may_signal(&thread.credentials, thread.process(), target, signal)?;
    signal.map_or(Ok(()), |signal| {
        signal::post_to_process(target, from_caller(thread, signal, code::USER))
    })
}

/// Sends a signal to a process, a group, or every process.
///
/// # Errors
/// - `EINVAL`: no such signal.
/// - `ESRCH`: there is nobody.
/// - `EPERM`: none of them may be signalled.
///
/// Source: kill(2)
fn kill(thread: &Thread, pid: i32, number: i32) -> Result<()> {
    let signal = parse(number)?;
    if pid > 0 {
        // A thread's number stands for its process.
        let pids = &thread.system.pids;
        let pid = Pid::new(pid).ok_or(Errno::ESRCH)?;
        let process = pids.process(pid).or_else(|| pids.thread(pid).map(|t| t.process.clone()));
        return send(thread, &process.ok_or(Errno::ESRCH)?, signal);
    }
    let mut result = Err(Errno::ESRCH);
    let mut reached = BTreeSet::new();
    // Again, until nobody is new: a process that has its signal makes no child any more, but one
    // that had none yet may have made some meanwhile.
    for _ in 0..ROUNDS {
        let before = reached.len();
        for target in targets(thread, pid)? {
            if !reached.insert(target.pid) {
                continue;
            }
            match send(thread, &target, signal) {
                Ok(()) => result = Ok(()),
                Err(errno) if result.is_err() => result = Err(errno),
                Err(_) => {}
            }
        }
        if reached.len() == before {
            break;
        }
    }
    result
}

/// How often [`kill`] looks for new members: programs that catch the signal may go on for ever.
const ROUNDS: usize = 64;

/// Who is meant by a number that is not a process's, at one moment of the table.
fn targets(thread: &Thread, pid: i32) -> Result<Vec<Arc<Process>>> {
    let own = thread.process();
    if pid == -1 {
        let mut all = thread.system.pids.processes();
        all.retain(|process| !process.is_init() && !Arc::ptr_eq(process, own));
        return Ok(all);
    }
    let group = match pid {
        0 => own.group().pid,
        _ => pid.checked_neg().and_then(Pid::new).ok_or(Errno::ESRCH)?,
    };
    let entries = thread.system.pids.lock();
    Ok(entries.group(group).map(|group| group.members()).unwrap_or_default())
}

/// Finds a thread, of process `pid` if that is given.
fn find(thread: &Thread, pid: Option<i32>, tid: i32) -> Result<Arc<Tcb>> {
    let tid = Pid::new(tid).ok_or(Errno::EINVAL)?;
    let pid = match pid {
        Some(pid) => Some(Pid::new(pid).ok_or(Errno::EINVAL)?),
        None => None,
    };
    let target = thread.system.pids.thread(tid).ok_or(Errno::ESRCH)?;
    if pid.is_some_and(|pid| target.process.pid != pid) { Err(Errno::ESRCH) } else { Ok(target) }
}

fn send_to_thread(thread: &Thread, pid: Option<i32>, tid: i32, number: i32) -> Result<()> {
    let target = find(thread, pid, tid)?;
    let signal = parse(number)?;
    signal::may_signal(&thread.credentials, thread.process(), &target.process, signal)?;
    signal.map_or(Ok(()), |signal| {
        signal::post_to_thread(&target, from_caller(thread, signal, code::TKILL))
    })
}

/// Sends a signal to a thread.
///
/// # Errors
/// - `EINVAL`: no such signal, or a number that is not positive.
/// - `ESRCH`: there is no such thread.
/// - `EPERM`: it may not be signalled.
///
/// Source: tkill(2)
fn tkill(thread: &Thread, tid: i32, number: i32) -> Result<()> {
    send_to_thread(thread, None, tid, number)
}

/// Sends a signal to a thread of a process.
///
/// # Errors
/// As tkill.
///
/// Source: tgkill(2)
fn tgkill(thread: &Thread, pid: i32, tid: i32, number: i32) -> Result<()> {
    send_to_thread(thread, Some(pid), tid, number)
}

/// Reads a `siginfo_t` to send; a program may not pretend to be the kernel or kill(2).
fn read_info(
    thread: &Thread,
    info: UserPtr<[u8; Info::SIZE]>,
    number: i32,
    target: Pid,
) -> Result<Option<Info>> {
    let bytes = thread.read(info)?;
    let Some(signal) = parse(number)? else { return Ok(None) };
    let info = Info::from_bytes(signal, &bytes);
    let forged = info.code >= 0 || info.code == code::TKILL;
    if forged && target != thread.process().pid { Err(Errno::EPERM) } else { Ok(Some(info)) }
}

/// Sends a signal with data to a process.
///
/// # Errors
/// - `EAGAIN`: its queue is full.
/// - `EPERM`: a code that only the kernel uses, or it may not be signalled.
/// - `ESRCH`: there is no such process.
///
/// Source: rt_sigqueueinfo(2)
fn rt_sigqueueinfo(
    thread: &Thread,
    pid: i32,
    number: i32,
    info: UserPtr<[u8; Info::SIZE]>,
) -> Result<()> {
    let pid = Pid::new(pid).ok_or(Errno::ESRCH)?;
    let info = read_info(thread, info, number, pid)?;
    let target = thread.system.pids.process(pid).ok_or(Errno::ESRCH)?;
    let signal = info.map(|info| info.signal);
    signal::may_signal(&thread.credentials, thread.process(), &target, signal)?;
    info.map_or(Ok(()), |info| signal::post_to_process(&target, info))
}

/// Sends a signal with data to a thread.
///
/// # Errors
/// As rt_sigqueueinfo.
///
/// Source: rt_tgsigqueueinfo(2)
fn rt_tgsigqueueinfo(
    thread: &Thread,
    pid: i32,
    tid: i32,
    number: i32,
    info: UserPtr<[u8; Info::SIZE]>,
) -> Result<()> {
    let of = Pid::new(pid).ok_or(Errno::EINVAL)?;
    let info = read_info(thread, info, number, of)?;
    let target = find(thread, Some(pid), tid)?;
    let signal = info.map(|info| info.signal);
    signal::may_signal(&thread.credentials, thread.process(), &target.process, signal)?;
    info.map_or(Ok(()), |info| signal::post_to_thread(&target, info))
}
