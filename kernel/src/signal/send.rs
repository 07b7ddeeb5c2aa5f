//! Sending signals: who may, what is dropped, which thread is woken.

use super::{Actions, Info, SignalSet, code};
use crate::{
    cred::{Capabilities, Charge, Credentials, Limited},
    process::{ExitStatus, Group, Process, Resource},
    thread::{Tcb, Thread, Work},
};
use abi::{Errno, Result, Signal};
use alloc::sync::Arc;
use core::sync::atomic::Ordering;

/// Whether who has `sender` may send `signal` to `target` (kill(2)).
///
/// # Errors
/// - `EPERM`: it may not.
pub fn may_signal(
    sender: &Credentials,
    sender_process: &Process,
    target: &Process,
    signal: Option<Signal>,
) -> Result<()> {
    if core::ptr::eq(sender_process, target) || sender.has(Capabilities::KILL) {
        return Ok(());
    }
    let same_session =
        signal == Some(Signal::CONT) && sender_process.session().pid == target.session().pid;
    let of_target = target.credentials();
    let same_user =
        [of_target.uid, of_target.suid].iter().any(|uid| [sender.uid, sender.euid].contains(uid));
    if same_session || same_user { Ok(()) } else { Err(Errno::EPERM) }
}

/// Sends a signal to a process; any of its threads takes it.
///
/// # Errors
/// - `EAGAIN`: too many real-time signals are queued.
pub fn post_to_process(target: &Arc<Process>, info: Info) -> Result<()> {
    prepare(target, info.signal);
    let result = add_to_process(target, info);
    // Last: whoever goes on finds the signal, and does not first make its call again.
    if info.signal == Signal::CONT {
        super::stop::resume(target);
    }
    result
}

fn add_to_process(target: &Arc<Process>, info: Info) -> Result<()> {
    let signal = info.signal;
    let threads = target.live_threads();
    // A blocked or awaited signal is kept: the action may change before it is taken.
    let kept = threads.iter().any(|thread| thread.keeps(signal));
    if !kept && is_dropped(target, signal) {
        return Ok(());
    }
    let charge = charge(target, &info)?;
    target.signals.lock().pending.push(info, charge)?;
    super::stop::wake_signal_waiters(target, signal);
    if signal == Signal::KILL {
        target.begin_exit(ExitStatus::Killed { signal, core: false });
        return Ok(());
    }
    // The thread that has not blocked it, the main one first.
    if let Some(thread) = threads.iter().find(|thread| !thread.blocked().contains(signal)) {
        thread.add_work(Work::SIGNAL);
    }
    Ok(())
}

/// Sends a signal to one thread.
///
/// # Errors
/// - `EAGAIN`: too many real-time signals are queued.
pub fn post_to_thread(target: &Tcb, info: Info) -> Result<()> {
    prepare(&target.process, info.signal);
    let result = add_to_thread(target, info);
    if info.signal == Signal::CONT {
        super::stop::resume(&target.process);
    }
    result
}

fn add_to_thread(target: &Tcb, info: Info) -> Result<()> {
    let signal = info.signal;
    let process = &target.process;
    if !target.keeps(signal) && is_dropped(process, signal) {
        return Ok(());
    }
    let charge = charge(process, &info)?;
    target.signals.lock().pending.push(info, charge)?;
    super::stop::wake_signal_waiters(process, signal);
    if signal == Signal::KILL {
        process.begin_exit(ExitStatus::Killed { signal, core: false });
    } else if !target.blocked().contains(signal) {
        target.add_work(Work::SIGNAL);
    }
    Ok(())
}

/// Charges the target's user for a real-time signal, of which there may be any number. A timer was
/// charged when it was made, and has one signal pending at most.
///
/// # Errors
/// - `EAGAIN`: he has as many as `RLIMIT_SIGPENDING` allows.
fn charge(target: &Process, info: &Info) -> Result<Option<Charge>> {
    if !info.signal.is_realtime() || info.code == code::TIMER {
        return Ok(None);
    }
    let (uid, most) = (target.credentials().uid, target.limit(Resource::PendingSignals));
    let charge = target.system.users.charge(uid, Limited::Signals, most);
    // What kill(2) sends has nothing to be lost but its number.
    let plain = matches!(info.code, code::USER | code::KERNEL);
    if charge.is_some() || plain { Ok(charge) } else { Err(Errno::EAGAIN) }
}

/// Sends a signal of the kernel to every process of a group.
pub fn send_to_group(group: &Group, signal: Signal) {
    group.for_each_member(&mut |member| {
        // A full queue refuses only real-time signals, which the kernel does not send.
        let _ = post_to_process(member, Info::kernel(signal));
    });
}

/// Stop signals and SIGCONT undo each other, whatever the process thinks of them.
fn prepare(target: &Arc<Process>, signal: Signal) {
    let discarded = if SignalSet::STOPS.contains(signal) {
        SignalSet::of(&[Signal::CONT])
    } else if signal == Signal::CONT {
        SignalSet::STOPS
    } else {
        return;
    };
    target.signals.lock().pending.discard(discarded);
    for thread in target.live_threads() {
        thread.signals.lock().pending.discard(discarded);
    }
}

/// Drops a pending signal that the process has begun to ignore.
pub fn discard(process: &Process, signal: Signal) {
    let set = SignalSet::of(&[signal]);
    process.signals.lock().pending.discard(set);
    for thread in process.live_threads() {
        thread.signals.lock().pending.discard(set);
    }
}

/// Whether the signal would have no effect on a thread that has not blocked it.
fn is_dropped(target: &Process, signal: Signal) -> bool {
    let actions: Arc<Actions> = Arc::clone(&target.actions.lock());
    let action = actions.get(signal);
    if action.ignores(signal) {
        return true;
    }
    // Nobody ends or stops init but init itself.
    target.is_protected() && action.handler == super::DEFAULT
}

impl Thread {
    /// Sends the thread itself a signal of the kernel.
    pub fn send_self(&self, signal: Signal) {
        // A full queue refuses only real-time signals, which the kernel does not send.
        let _ = post_to_thread(&self.tcb, Info::kernel(signal));
    }
}

impl Tcb {
    /// The signals that are blocked.
    pub fn blocked(&self) -> SignalSet {
        SignalSet::from_bits(self.blocked.load(Ordering::SeqCst))
    }

    /// Whether a signal stays pending for the thread whatever its action.
    fn keeps(&self, signal: Signal) -> bool {
        let awaited = SignalSet::from_bits(self.awaited.load(Ordering::SeqCst));
        (self.blocked() | awaited).contains(signal)
    }

    /// The signals that are pending for the thread, the process's included.
    pub fn pending(&self) -> SignalSet {
        let process = self.process.signals.lock().pending.set();
        process | self.signals.lock().pending.set()
    }
}
