//! fork(2), vfork(2), clone(2), clone3(2).

use super::{Outcome, Row, UserPtr, row};
use crate::thread::{self, CloneFlags, CloneRequest, Thread};
use abi::{Errno, Result, Signal};
use framework::{PAGE_SIZE, VirtAddr};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes};

pub(super) const ROWS: &[Row] = &[
    row!(56 "clone" (flags: u64, stack: usize, parent_tid: UserPtr<u32>,
        child_tid: UserPtr<u32>, tls: usize) => clone, Partial, "namespaces"),
    row!(57 "fork" () => fork, Full),
    row!(58 "vfork" () => vfork, Full),
    row!(435 "clone3" (args: UserPtr<CloneArgs>, size: usize) => clone3, Partial,
        "namespaces, set_tid, CLONE_INTO_CGROUP"),
];

/// The low byte of clone's flags: the exit signal.
const SIGNAL_MASK: u64 = 0xff;

/// Makes a process that is a copy of the caller's.
///
/// # Errors
/// Those of [`thread::clone`].
///
/// Source: fork(2)
fn fork(thread: &Thread) -> Result<Outcome<'_>> {
    thread::clone(thread, &CloneRequest::fork())
}

/// Makes a process that borrows the caller's memory until it calls execve or ends.
///
/// # Errors
/// Those of [`thread::clone`].
///
/// Source: vfork(2)
fn vfork(thread: &Thread) -> Result<Outcome<'_>> {
    let flags = CloneFlags::VFORK | CloneFlags::VM;
    thread::clone(thread, &CloneRequest { flags, ..CloneRequest::fork() })
}

/// Makes a thread or a process.
///
/// # Errors
/// - `EINVAL`: an exit signal that is none, or `CLONE_PIDFD` with what it excludes.
/// - those of [`thread::clone`].
///
/// Source: clone(2)
fn clone(
    thread: &Thread,
    flags: u64,
    stack: usize,
    parent_tid: UserPtr<u32>,
    child_tid: UserPtr<u32>,
    tls: usize,
) -> Result<Outcome<'_>> {
    let number = i32::try_from(flags & SIGNAL_MASK).map_err(|_| Errno::EINVAL)?;
    let exit_signal = if number == 0 { None } else { Some(Signal::new(number)?) };
    // The flags above 32 bits are clone3's.
    let flags = CloneFlags::from_bits_retain(flags & 0xffff_ff00);
    // Both would be stored at the same place.
    let pidfd = flags.contains(CloneFlags::PIDFD).then_some(parent_tid);
    if pidfd.is_some() && flags.intersects(CloneFlags::PARENT_SETTID | CloneFlags::DETACHED) {
        return Err(Errno::EINVAL);
    }
    let stack = (stack != 0).then_some(stack);
    let request = CloneRequest { flags, exit_signal, stack, parent_tid, child_tid, tls, pidfd };
    thread::clone(thread, &request)
}

/// `struct clone_args`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// The size of the first version of the structure.
const CLONE_ARGS_SIZE_V0: usize = 64;

/// Makes a thread or a process, described by a structure.
///
/// # Errors
/// - `EINVAL`: a structure that is too small, or fields that contradict each other.
/// - `E2BIG`: one that is larger, with something in the part not known here.
/// - those of [`thread::clone`].
///
/// Source: clone3(2)
fn clone3(thread: &Thread, at: UserPtr<CloneArgs>, size: usize) -> Result<Outcome<'_>> {
    if size < CLONE_ARGS_SIZE_V0 {
        return Err(Errno::EINVAL);
    }
    if size > PAGE_SIZE {
        return Err(Errno::E2BIG);
    }
    let mut args = CloneArgs::new_zeroed();
    let known = size.min(size_of::<CloneArgs>());
    thread.read_bytes(at.address(), &mut args.as_mut_bytes()[..known])?;
    let rest = thread.read_slice::<u8>(at.byte_offset(known)?, size - known)?;
    if rest.iter().any(|byte| *byte != 0) {
        return Err(Errno::E2BIG);
    }
    let flags = CloneFlags::from_bits(args.flags).ok_or(Errno::EINVAL)?;
    let number = i32::try_from(args.exit_signal).map_err(|_| Errno::EINVAL)?;
    let exit_signal = if number == 0 { None } else { Some(Signal::new(number)?) };
    if flags.contains(CloneFlags::DETACHED)
        || args.set_tid_size != 0
        || flags.intersects(CloneFlags::THREAD | CloneFlags::PARENT) && exit_signal.is_some()
        || (args.stack == 0) != (args.stack_size == 0)
    {
        return Err(Errno::EINVAL);
    }
    let number = |value: u64| usize::try_from(value).map_err(|_| Errno::EFAULT);
    let pointer = |value: u64| number(value).map(|value| UserPtr::new(VirtAddr::new(value)));
    let stack = match args.stack {
        0 => None,
        stack => Some(number(stack.checked_add(args.stack_size).ok_or(Errno::EINVAL)?)?),
    };
    let request = CloneRequest {
        flags,
        exit_signal,
        stack,
        parent_tid: pointer(args.parent_tid)?,
        child_tid: pointer(args.child_tid)?,
        tls: number(args.tls)?,
        pidfd: match flags.contains(CloneFlags::PIDFD) {
            true => Some(pointer(args.pidfd)?),
            false => None,
        },
    };
    thread::clone(thread, &request)
}
