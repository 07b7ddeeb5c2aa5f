//! A thread's own settings: set_tid_address(2), arch_prctl(2), set_robust_list(2), getcpu(2).

use super::{Row, UserPtr, row};
use crate::{cred::Capabilities, thread::Thread};
use abi::{Errno, Pid, Result};
use framework::{USER_END, VirtAddr};

pub(super) const ROWS: &[Row] = &[
    row!(158 "arch_prctl" (code: i32, address: usize) => arch_prctl, Partial,
        "CPUID faulting, shadow stacks, AMX"),
    row!(218 "set_tid_address" (at: UserPtr<u32>) => set_tid_address, Full),
    row!(273 "set_robust_list" (head: UserPtr<usize>, size: usize) => set_robust_list, Full),
    row!(274 "get_robust_list" (tid: i32, head: UserPtr<usize>, size: UserPtr<usize>)
        => get_robust_list, Full),
    row!(309 "getcpu" (cpu: Option<UserPtr<u32>>, node: Option<UserPtr<u32>>) => getcpu, Full),
];

/// Bytes of a `struct robust_list_head`.
const ROBUST_HEAD_SIZE: usize = 24;

/// Reads and sets the segment bases.
///
/// # Errors
/// - `EPERM`: an address outside the user half.
/// - `EINVAL`: another code.
///
/// Source: arch_prctl(2)
fn arch_prctl(thread: &mut Thread, code: i32, address: usize) -> Result<()> {
    const SET_GS: i32 = 0x1001;
    const SET_FS: i32 = 0x1002;
    const GET_FS: i32 = 0x1003;
    const GET_GS: i32 = 0x1004;
    let at = UserPtr::<usize>::new(VirtAddr::new(address));
    match code {
        SET_FS | SET_GS if address >= USER_END.get() => Err(Errno::EPERM),
        SET_FS => {
            thread.context.regs_mut().fs_base = address;
            Ok(())
        }
        SET_GS => {
            thread.context.regs_mut().gs_base = address;
            Ok(())
        }
        GET_FS => thread.write(at, &thread.context.regs().fs_base),
        GET_GS => thread.write(at, &thread.context.regs().gs_base),
        _ => Err(Errno::EINVAL),
    }
}

/// Sets where zero is stored when the thread ends; returns its number.
///
/// Source: set_tid_address(2)
fn set_tid_address(thread: &mut Thread, at: UserPtr<u32>) -> usize {
    thread.clear_child_tid = (!at.is_null()).then_some(at);
    thread.tid().as_usize()
}

/// Sets the head of the robust futex list.
///
/// # Errors
/// - `EINVAL`: a head of another size.
///
/// Source: set_robust_list(2)
fn set_robust_list(thread: &mut Thread, head: UserPtr<usize>, size: usize) -> Result<()> {
    if size != ROBUST_HEAD_SIZE {
        return Err(Errno::EINVAL);
    }
    thread.robust_list = (!head.is_null()).then_some(head);
    *thread.tcb.robust_list.lock() = thread.robust_list;
    Ok(())
}

/// Stores where a thread's robust futex list begins.
///
/// # Errors
/// - `ESRCH`: there is no such thread.
/// - `EPERM`: it is another user's.
///
/// Source: get_robust_list(2)
fn get_robust_list(
    thread: &Thread,
    tid: i32,
    head: UserPtr<usize>,
    size: UserPtr<usize>,
) -> Result<()> {
    let found = if tid == 0 {
        thread.robust_list
    } else {
        let pid = Pid::new(tid).ok_or(Errno::ESRCH)?;
        let target = thread.system.pids.thread(pid).ok_or(Errno::ESRCH)?;
        let same_user = target.process.credentials().uid == thread.credentials.uid;
        if !same_user && !thread.credentials.has(Capabilities::SYS_PTRACE) {
            return Err(Errno::EPERM);
        }
        *target.robust_list.lock()
    };
    thread.write(size, &ROBUST_HEAD_SIZE)?;
    thread.write(head, &found.map_or(0, |head| head.address().get()))
}

/// Stores which CPU, and which NUMA node, runs the caller.
///
/// Source: getcpu(2)
fn getcpu(thread: &Thread, cpu: Option<UserPtr<u32>>, node: Option<UserPtr<u32>>) -> Result<()> {
    let index = u32::try_from(framework::cpu::current().index()).map_err(|_| Errno::EFAULT)?;
    thread.write_optional(cpu, &index)?;
    thread.write_optional(node, &0)
}
