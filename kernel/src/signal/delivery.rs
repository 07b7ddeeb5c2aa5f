//! Delivering signals on the way back to user mode.

use super::{Action, DEFAULT, Default, Flags, Info, SignalSet, frame, queue, stop};
use crate::{
    process::ExitStatus,
    thread::{Thread, Work},
};
use abi::{Errno, Signal};
use core::sync::atomic::Ordering;

/// A call that a signal may have interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupted {
    /// How it ended: one of the restart codes.
    pub errno: Errno,
    /// The call's number.
    pub number: usize,
}

/// The number of restart_syscall(2).
const RESTART_SYSCALL: usize = 219;

/// The length of the `syscall` instruction.
const SYSCALL_LENGTH: usize = 2;

/// What becomes of an interrupted call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Continuation {
    /// It returns `EINTR`.
    Fail,
    /// It is made again.
    Again,
    /// restart_syscall(2) is made in its place.
    RestartBlock,
}

/// Decides what becomes of a call that ended with `errno`, given the handler that runs, if any.
fn continuation(errno: Errno, handler: Option<&Action>) -> Continuation {
    match (errno, handler) {
        (Errno::ERESTARTNOINTR, _) | (Errno::ERESTARTSYS | Errno::ERESTARTNOHAND, None) => {
            Continuation::Again
        }
        (Errno::ERESTARTSYS, Some(action)) if action.flags().contains(Flags::RESTART) => {
            Continuation::Again
        }
        (Errno::ERESTART_RESTARTBLOCK, None) => Continuation::RestartBlock,
        _ => Continuation::Fail,
    }
}

/// Puts the decision into the registers.
fn settle(thread: &mut Thread, interrupted: Interrupted, handler: Option<&Action>) {
    let regs = thread.context.regs_mut();
    let number = match continuation(interrupted.errno, handler) {
        Continuation::Fail => return regs.rax.set(Errno::EINTR.to_return_value()),
        Continuation::Again => interrupted.number,
        Continuation::RestartBlock => RESTART_SYSCALL,
    };
    regs.rax.set(number);
    regs.rip = regs.rip.wrapping_sub(SYSCALL_LENGTH);
}

/// Delivers what is pending until there is nothing more, or the process stops or ends.
///
/// The first handler decides how an interrupted call goes on.
pub fn deliver(thread: &mut Thread, interrupted: &mut Option<Interrupted>) {
    while !thread.tcb.work().intersects(Work::EXIT | Work::STOP) {
        let Some((info, action)) = next(thread) else { return };
        if action.ignores(info.signal) {
            continue;
        }
        if action.handler == DEFAULT {
            apply_default(thread, info.signal);
            continue;
        }
        if let Some(interrupted) = interrupted.take() {
            settle(thread, interrupted, Some(&action));
        }
        run_handler(thread, &info, &action);
    }
}

/// Ends the exit work: an interrupted call that no handler has settled goes on, and a mask that
/// was replaced for the call comes back.
pub fn finish(thread: &mut Thread, interrupted: Option<Interrupted>) {
    if let Some(interrupted) = interrupted {
        settle(thread, interrupted, None);
    }
    restore_mask(thread);
}

/// Puts back the mask that a call replaced while it waited.
pub fn restore_mask(thread: &Thread) {
    thread.tcb.clear_work(Work::RESTORE_MASK);
    let saved = thread.saved_mask.lock().take();
    if let Some(mask) = saved {
        set_blocked(thread, mask);
    }
}

/// Replaces the mask until the call has ended and its signals are delivered (sigsuspend, ppoll).
pub fn replace_mask(thread: &Thread, mask: SignalSet) {
    *thread.saved_mask.lock() = Some(thread.tcb.blocked());
    thread.tcb.set_work(Work::RESTORE_MASK);
    set_blocked(thread, mask);
}

/// Takes the next signal that is not blocked, with its action.
fn next(thread: &Thread) -> Option<(Info, Action)> {
    // Cleared first: a signal that comes in between sets it again.
    thread.tcb.clear_work(Work::SIGNAL);
    let process = thread.process();
    let blocked = thread.tcb.blocked();
    let mut shared = process.signals.lock();
    let mut own = thread.tcb.signals.lock();
    let info = queue::take(&mut own.pending, &mut shared.pending, blocked)?;
    let more = (own.pending.set() | shared.pending.set()) & !blocked;
    drop((own, shared));
    if !more.is_empty() {
        thread.tcb.set_work(Work::SIGNAL);
    }
    let action = process.actions.lock().get(info.signal);
    Some((info, action))
}

/// What the signal does without a handler.
fn apply_default(thread: &Thread, signal: Signal) {
    let process = thread.process();
    if process.is_protected() && signal != Signal::KILL && !thread.forced {
        return;
    }
    match Default::of(signal) {
        Default::Ignore | Default::Continue => {}
        Default::Stop => {
            // A stop from the keyboard needs somebody who could continue the group.
            if signal != Signal::STOP && process.group().is_orphaned(None) {
                return;
            }
            stop::begin(process, signal);
        }
        Default::Terminate => {
            process.begin_exit(ExitStatus::Killed { signal, core: false });
        }
        Default::Core => {
            process.begin_exit(ExitStatus::Killed { signal, core: true });
        }
    }
}

/// Makes the handler run at the next return to user mode.
fn run_handler(thread: &mut Thread, info: &Info, action: &Action) {
    let signal = info.signal;
    if action.flags().contains(Flags::RESETHAND) {
        let default = Action { handler: DEFAULT, ..*action };
        thread.process().actions.lock().set(signal, default);
    }
    let blocked = thread.tcb.blocked();
    let to_restore = thread.saved_mask.lock().take().unwrap_or(blocked);
    if frame::push(thread, info, action, to_restore).is_err() {
        // There is no room for the frame: the program cannot go on. For the handler of this very
        // signal there would be none again.
        if signal == Signal::SEGV {
            thread.process().actions.lock().set(signal, Action::default());
        }
        force(thread, Info::fault(Signal::SEGV, super::code::KERNEL, framework::VirtAddr::new(0)));
        return;
    }
    let mut masked = blocked | SignalSet::from_bits(action.mask);
    if !action.flags().contains(Flags::NODEFER) {
        masked.insert(signal);
    }
    set_blocked(thread, masked);
}

/// Replaces the thread's mask; what is pending and no longer blocked becomes work.
pub fn set_blocked(thread: &Thread, set: SignalSet) {
    let set = set & !SignalSet::UNBLOCKABLE;
    thread.tcb.blocked.store(set.bits(), Ordering::SeqCst);
    refresh_work(thread);
}

/// Sets the work bit if something is pending that is not blocked, else clears it.
pub fn refresh_work(thread: &Thread) {
    thread.tcb.clear_work(Work::SIGNAL);
    if !(thread.tcb.pending() & !thread.tcb.blocked()).is_empty() {
        thread.tcb.set_work(Work::SIGNAL);
    }
}

/// Sends a signal that the thread's own instruction caused. It cannot be blocked or ignored: then
/// its default action, the end, is taken.
pub fn force(thread: &mut Thread, info: Info) {
    let signal = info.signal;
    let actions = thread.process().actions.lock().clone();
    let action = actions.get(signal);
    let mut blocked = thread.tcb.blocked();
    if action.handler == super::IGNORE || blocked.contains(signal) {
        actions.set(signal, Action::default());
    }
    if actions.get(signal).handler == DEFAULT {
        thread.forced = true;
    }
    blocked.remove(signal);
    thread.tcb.blocked.store(blocked.bits(), Ordering::SeqCst);
    // A synchronous signal is no real-time one: it is never refused.
    let _ = thread.tcb.signals.lock().pending.push(info, None);
    thread.tcb.set_work(Work::SIGNAL);
}

#[cfg(test)]
mod tests {
    use super::{Continuation, continuation};
    use crate::signal::{Action, Flags};
    use abi::Errno;

    #[test]
    fn restarts_are_decided_as_linux_does() {
        let plain = Action { handler: 0x1000, ..Action::default() };
        let restart = Action { flags: Flags::RESTART.bits(), ..plain };
        let table = [
            (Errno::ERESTARTSYS, None, Continuation::Again),
            (Errno::ERESTARTSYS, Some(&plain), Continuation::Fail),
            (Errno::ERESTARTSYS, Some(&restart), Continuation::Again),
            (Errno::ERESTARTNOINTR, Some(&plain), Continuation::Again),
            (Errno::ERESTARTNOHAND, None, Continuation::Again),
            (Errno::ERESTARTNOHAND, Some(&restart), Continuation::Fail),
            (Errno::ERESTART_RESTARTBLOCK, None, Continuation::RestartBlock),
            (Errno::ERESTART_RESTARTBLOCK, Some(&restart), Continuation::Fail),
        ];
        for (errno, handler, expected) in table {
            assert_eq!(continuation(errno, handler), expected, "{errno:?} {handler:?}");
        }
    }
}
