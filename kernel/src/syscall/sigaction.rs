//! What signals do: sigaction(2), sigprocmask(2), sigaltstack(2), sigreturn(2), sigsuspend(2),
//! sigwaitinfo(2), sigpending(2), pause(2), restart_syscall(2).

use super::{Outcome, Row, UserPtr, row};
use crate::{
    signal::{self, Action, AltStack, Info, SignalSet, stack_flags},
    thread::{Restart, Thread},
};
use abi::{Errno, Result, Signal, Timespec};
use alloc::boxed::Box;
use core::{future::pending, sync::atomic::Ordering, time::Duration};
use executor::timer::sleep_until;

pub(super) const ROWS: &[Row] = &[
    row!(13 "rt_sigaction" (number: i32, new: Option<UserPtr<Action>>,
        old: Option<UserPtr<Action>>, size: usize) => rt_sigaction, Full),
    row!(14 "rt_sigprocmask" (how: i32, new: Option<UserPtr<u64>>, old: Option<UserPtr<u64>>,
        size: usize) => rt_sigprocmask, Full),
    row!(15 "rt_sigreturn" () => rt_sigreturn, Full),
    row!(34 "pause" () => pause, Full),
    row!(127 "rt_sigpending" (set: UserPtr<u64>, size: usize) => rt_sigpending, Full),
    row!(128 "rt_sigtimedwait" (set: UserPtr<u64>, info: Option<UserPtr<[u8; Info::SIZE]>>,
        timeout: Option<UserPtr<Timespec>>, size: usize) => rt_sigtimedwait, Full),
    row!(130 "rt_sigsuspend" (mask: UserPtr<u64>, size: usize) => rt_sigsuspend, Full),
    row!(131 "sigaltstack" (new: Option<UserPtr<AltStack>>, old: Option<UserPtr<AltStack>>)
        => sigaltstack, Full),
    row!(219 "restart_syscall" () => restart_syscall, Full),
];

/// Bytes of a `sigset_t`.
const SET_SIZE: usize = 8;

/// Refuses sets of another size.
fn check_size(size: usize) -> Result<()> {
    if size == SET_SIZE { Ok(()) } else { Err(Errno::EINVAL) }
}

/// Reads and replaces what a signal does.
///
/// # Errors
/// - `EINVAL`: no such signal, or one that cannot be caught.
/// - `EFAULT`: a pointer is bad.
///
/// Source: sigaction(2)
fn rt_sigaction(
    thread: &Thread,
    number: i32,
    new: Option<UserPtr<Action>>,
    old: Option<UserPtr<Action>>,
    size: usize,
) -> Result<()> {
    check_size(size)?;
    let signal = Signal::new(number)?;
    let new = new.map(|new| thread.read(new)).transpose()?;
    if new.is_some() && SignalSet::UNBLOCKABLE.contains(signal) {
        return Err(Errno::EINVAL);
    }
    let actions = thread.process().actions.lock().clone();
    let before = match new {
        None => actions.get(signal),
        Some(mut action) => {
            action.flags &= signal::Flags::KNOWN.bits();
            action.mask &= !SignalSet::UNBLOCKABLE.bits();
            let before = actions.set(signal, action);
            if action.ignores(signal) {
                signal::discard(thread.process(), signal);
            }
            before
        }
    };
    thread.write_optional(old, &before)
}

/// Reads and changes which signals are blocked.
///
/// # Errors
/// - `EINVAL`: `how` is unknown.
/// - `EFAULT`: a pointer is bad.
///
/// Source: sigprocmask(2)
fn rt_sigprocmask(
    thread: &Thread,
    how: i32,
    new: Option<UserPtr<u64>>,
    old: Option<UserPtr<u64>>,
    size: usize,
) -> Result<()> {
    const BLOCK: i32 = 0;
    const UNBLOCK: i32 = 1;
    const SET: i32 = 2;
    check_size(size)?;
    let before = thread.tcb.blocked();
    if let Some(new) = new {
        let set = SignalSet::from_bits(thread.read(new)?);
        let after = match how {
            BLOCK => before | set,
            UNBLOCK => before & !set,
            SET => set,
            _ => return Err(Errno::EINVAL),
        };
        signal::set_blocked(thread, after);
    }
    thread.write_optional(old, &before.bits())
}

/// Returns from a handler; a frame that is none ends the program.
///
/// Source: sigreturn(2)
fn rt_sigreturn(thread: &mut Thread) -> Result<usize> {
    // A call that a handler interrupted has ended for good.
    *thread.restart.get_mut() = Restart::None;
    match signal::sigreturn(thread) {
        Ok(rax) => Ok(rax),
        Err(_) => {
            let at = framework::VirtAddr::new(0);
            signal::force(thread, Info::fault(Signal::SEGV, signal::code::KERNEL, at));
            Ok(thread.context.regs().rax.get())
        }
    }
}

/// Waits for a signal that is caught or ends the process.
///
/// # Errors
/// - `EINTR`: always, after the handler.
///
/// Source: pause(2)
fn pause(thread: &Thread) -> Result<Outcome<'_>> {
    Ok(Outcome::Wait(Box::pin(async move {
        match thread.wait(pending::<()>()).await {
            Ok(()) => Ok(0),
            Err(_) => Err(Errno::ERESTARTNOHAND),
        }
    })))
}

/// Stores which signals are pending and blocked.
///
/// Source: sigpending(2)
fn rt_sigpending(thread: &Thread, set: UserPtr<u64>, size: usize) -> Result<()> {
    if size > SET_SIZE {
        return Err(Errno::EINVAL);
    }
    let pending = thread.tcb.pending() & thread.tcb.blocked();
    thread.write_bytes(set.address(), &pending.bits().to_ne_bytes()[..size])
}

/// Waits, with another mask for that time, for a signal.
///
/// # Errors
/// - `EINTR`: always, after the handler.
///
/// Source: sigsuspend(2)
fn rt_sigsuspend(thread: &Thread, mask: UserPtr<u64>, size: usize) -> Result<Outcome<'_>> {
    check_size(size)?;
    let mask = SignalSet::from_bits(thread.read(mask)?);
    signal::replace_mask(thread, mask);
    pause(thread)
}

/// Takes a pending signal of a set, waiting for one until a timeout; returns its number.
///
/// # Errors
/// - `EAGAIN`: none came in time.
/// - `EINVAL`: the timeout is no time.
/// - `EINTR`: another signal came first.
///
/// Source: sigwaitinfo(2)
fn rt_sigtimedwait(
    thread: &Thread,
    set: UserPtr<u64>,
    info: Option<UserPtr<[u8; Info::SIZE]>>,
    timeout: Option<UserPtr<Timespec>>,
    size: usize,
) -> Result<Outcome<'_>> {
    check_size(size)?;
    let set = SignalSet::from_bits(thread.read(set)?) & !SignalSet::UNBLOCKABLE;
    let timeout = match timeout {
        Some(timeout) => Some(Duration::try_from(thread.read(timeout)?)?),
        None => None,
    };
    let store = move |taken: Info| {
        thread.write_optional(info, &taken.to_bytes())?;
        Ok(usize::from(taken.signal.number()))
    };
    if let Some(taken) = signal::dequeue(thread, set) {
        return store(taken).map(Outcome::Done);
    }
    if timeout == Some(Duration::ZERO) {
        return Err(Errno::EAGAIN);
    }
    let deadline = timeout.map(|timeout| framework::time::now().saturating_add(timeout));
    Ok(Outcome::Wait(Box::pin(async move { store(wait_for_signal(thread, set, deadline).await?) })))
}

async fn wait_for_signal(
    thread: &Thread,
    set: SignalSet,
    deadline: Option<framework::Instant>,
) -> Result<Info> {
    // While it waits, the signals count as not blocked: they are sent to this thread, and the
    // default action of one that is ignored does not drop it.
    let blocked = thread.tcb.blocked();
    thread.tcb.awaited.store(set.bits(), Ordering::SeqCst);
    let taken = core::future::poll_fn(|_| match signal::dequeue(thread, set) {
        Some(info) => core::task::Poll::Ready(info),
        None => core::task::Poll::Pending,
    });
    let result = match deadline {
        None => thread.wait(taken).await,
        Some(deadline) => match thread.wait(executor::select(taken, sleep_until(deadline))).await {
            Ok(executor::Either::First(info)) => Ok(info),
            Ok(executor::Either::Second(())) => Err(Errno::EAGAIN),
            Err(errno) => Err(errno),
        },
    };
    thread.tcb.awaited.store(0, Ordering::SeqCst);
    debug_assert_eq!(blocked, thread.tcb.blocked(), "only the thread changes its mask");
    // Never restarted: the timeout would start again.
    result.map_err(|errno| if errno == Errno::EAGAIN { errno } else { Errno::EINTR })
}

/// Reads and replaces the alternate signal stack.
///
/// # Errors
/// - `EPERM`: the thread runs on it.
/// - `EINVAL`: unknown flags.
/// - `ENOMEM`: it is too small.
///
/// Source: sigaltstack(2)
fn sigaltstack(
    thread: &mut Thread,
    new: Option<UserPtr<AltStack>>,
    old: Option<UserPtr<AltStack>>,
) -> Result<()> {
    let before = thread.alt_stack;
    let on_it = before.contains(thread.context.regs().rsp);
    if let Some(new) = new {
        let stack = thread.read(new)?;
        if on_it {
            return Err(Errno::EPERM);
        }
        let mode = stack.flags & !stack_flags::AUTODISARM;
        thread.alt_stack = match mode {
            stack_flags::DISABLE => AltStack { flags: stack.flags, ..AltStack::NONE },
            0 | stack_flags::ONSTACK => {
                if stack.size < signal::min_stack_size() {
                    return Err(Errno::ENOMEM);
                }
                AltStack { flags: stack.flags & stack_flags::AUTODISARM, pad: 0, ..stack }
            }
            _ => return Err(Errno::EINVAL),
        };
    }
    let on = if on_it { stack_flags::ONSTACK } else { 0 };
    thread.write_optional(old, &AltStack { flags: before.flags | on, ..before })
}

/// Goes on with a call that a stop or an ignored signal interrupted.
///
/// # Errors
/// - `EINTR`: there is none.
///
/// Source: restart_syscall(2)
fn restart_syscall(thread: &Thread) -> Result<Outcome<'_>> {
    let restart = core::mem::take(&mut *thread.restart.lock());
    match restart {
        Restart::None => Err(Errno::EINTR),
        Restart::Sleep { deadline, remaining } => {
            Ok(super::time::sleep_restartable(thread, deadline, remaining))
        }
        Restart::Futex(wait) => super::futex::wait(thread, wait),
    }
}
