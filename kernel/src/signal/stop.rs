//! Stopping and continuing a process, and telling its parent.
//!
//! A stop signal that is delivered sets `stop` and gives every thread the work to stop. Each one
//! counts itself on its way into the wait; the last one reports the stop to the parent. SIGCONT
//! clears `stop` when it is *sent*, and wakes them all.

use super::{Flags, Info, SignalSet, code};
use crate::{
    process::{ExitStatus, Process},
    thread::{Thread, Work},
};
use abi::{Events, Signal};
use alloc::sync::Arc;
use core::{future::poll_fn, sync::atomic::Ordering, task::Poll};

/// Whether a process is stopped, and what its parent has not been told yet.
#[derive(Debug, Default)]
pub struct StopState {
    /// The signal that stops it, until it is continued.
    pub signal: Option<Signal>,
    /// Threads that have come to a stop.
    pub stopped: usize,
    /// The signal all threads have stopped for.
    pub stop_report: Option<Signal>,
    /// Whether wait(2) has reported that.
    pub stop_reported: bool,
    /// A continuation that wait(2) has not reported.
    pub continue_report: bool,
}

/// Begins a stop: every thread stops on its next way to user mode.
pub(super) fn begin(process: &Process, signal: Signal) {
    let mut signals = process.signals.lock();
    if signals.stop.signal.is_none() {
        signals.stop.signal = Some(signal);
        signals.stop.stopped = 0;
    }
    drop(signals);
    for thread in process.live_threads() {
        thread.add_work(Work::STOP);
    }
}

/// Ends a stop: what sending SIGCONT does, also to a process that blocks it.
pub(super) fn resume(process: &Arc<Process>) {
    let mut signals = process.signals.lock();
    let was_stopped = signals.stop.signal.take().is_some();
    signals.stop.stop_report = None;
    if was_stopped {
        signals.stop.continue_report = true;
    }
    drop(signals);
    if !was_stopped {
        return;
    }
    for thread in process.live_threads() {
        thread.clear_work(Work::STOP);
        thread.wake();
    }
    notify_parent(process, code::CLD_CONTINUED, i32::from(Signal::CONT.number()));
}

/// Waits until the process is continued or the thread has to end.
pub async fn stopped(thread: &Thread) {
    let process = thread.process();
    arrive(process);
    poll_fn(|_| {
        // The waker is the thread's own: resume and begin_exit wake it.
        let continued = process.signals.lock().stop.signal.is_none();
        if continued || thread.tcb.work().contains(Work::EXIT) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    thread.tcb.clear_work(Work::STOP);
}

/// Counts a thread that stops; the last one reports it.
fn arrive(process: &Arc<Process>) {
    process.signals.lock().stop.stopped += 1;
    report_if_all_stopped(process);
}

/// Sees whether a thread that ended was the one a stop was waiting for.
pub fn count_gone(process: &Arc<Process>) {
    report_if_all_stopped(process);
}

fn report_if_all_stopped(process: &Arc<Process>) {
    let live = process.threads.lock().live.len();
    let mut signals = process.signals.lock();
    let stop = &mut signals.stop;
    let Some(signal) = stop.signal else { return };
    if stop.stopped < live || stop.stop_report.is_some() {
        return;
    }
    stop.stop_report = Some(signal);
    stop.stop_reported = false;
    drop(signals);
    notify_parent(process, code::CLD_STOPPED, i32::from(signal.number()));
}

/// Sends SIGCHLD about a stop or a continuation, unless the parent does not want it, and wakes
/// wait(2).
pub fn notify_parent(process: &Process, code: i32, status: i32) {
    let Some(parent) = process.parent() else { return };
    let action = parent.actions.lock().get(Signal::CHLD);
    if !action.flags().contains(Flags::NOCLDSTOP) {
        let uid = process.credentials().uid;
        let info = Info::child(Signal::CHLD, code, process.pid.get(), uid, status);
        // SIGCHLD is no real-time signal: it is never refused.
        let _ = super::post_to_process(&parent, info);
    }
    parent.child_events.wake_all(Events::IN.bits());
}

/// Wakes those who wait for a signal to be pending: signalfd and sigtimedwait.
pub(super) fn wake_signal_waiters(process: &Process, signal: Signal) {
    for thread in process.live_threads() {
        // sigtimedwait blocks what it waits for, so a pending signal alone would not wake it.
        if SignalSet::from_bits(thread.awaited.load(Ordering::SeqCst)).contains(signal) {
            thread.wake();
        }
    }
    process.signal_events.wake_all(Events::IN.bits());
}

impl ExitStatus {
    /// `si_code` and `si_status` of the parent's signal.
    pub fn to_child_code(self) -> (i32, i32) {
        match self {
            Self::Exited(status) => (code::CLD_EXITED, i32::from(status)),
            Self::Killed { signal, .. } => (code::CLD_KILLED, i32::from(signal.number())),
        }
    }
}
