//! The end of a thread, and of a process with its last thread.

use super::Thread;
use crate::{
    file::FdTable,
    process::{Entries, ExitStatus, Group, Process},
    signal::{self, Flags, IGNORE, Info},
};
use abi::{Events, Signal};
use alloc::{sync::Arc, vec::Vec};
use core::sync::atomic::Ordering;
use framework::{USER_END, USER_START};

impl Thread {
    /// Gives back what the thread holds, and ends the process if it was the last.
    ///
    /// Called by the thread's loop when it has left user mode for good.
    pub(super) fn finish(&mut self) {
        self.leave_memory();
        let tcb = Arc::clone(&self.tcb);
        let usage = tcb.usage();
        {
            let mut view = tcb.view.lock();
            (view.memory, view.files, view.fs) = (None, None, None);
        }
        // Who waits for the process finds its files closed and its locks gone.
        drop(core::mem::replace(&mut self.files, Arc::new(FdTable::new())));
        let process = Arc::clone(self.process());
        process.usage.lock().threads += usage;
        self.system.ended_faults.absorb(&tcb.counters);
        let own = ExitStatus::Exited(self.exit_status);
        let is_main = self.tid() == process.pid;
        let last = {
            let mut threads = process.threads.lock();
            threads.live.retain(|thread| !Arc::ptr_eq(thread, &tcb));
            if is_main {
                threads.main_status = Some(own);
            }
            threads.live.is_empty().then(|| threads.exiting.or(threads.main_status).unwrap_or(own))
        };
        self.system.pids.lock().remove_thread(self.tid());
        match last {
            Some(status) => end_process(&process, status),
            None => {
                signal::count_gone(&process);
                process.exit_events.wake_all(Events::IN.bits());
            }
        }
    }

    /// Whether it is the last to hold an address space that takes long to give back.
    pub(super) fn has_much_memory(&self) -> bool {
        // The other half of the thread holds it too.
        Arc::strong_count(&self.memory) <= 2 && self.memory.is_large(usize::MAX)
    }

    /// Gives most of the memory back, letting others run in between.
    pub(super) async fn release_memory(&mut self) {
        self.leave_memory();
        self.memory.release_slowly(USER_START..USER_END).await;
    }

    /// Tells those who wait for this thread to leave its address space: joiners, robust futexes,
    /// the parent of a vfork.
    pub(super) fn leave_memory(&mut self) {
        crate::futex::exit_robust_list(self);
        if let Some(at) = self.clear_child_tid.take()
            && self.write(at, &0_u32).is_ok()
        {
            crate::futex::wake_after_exit(self, at);
        }
        if let Some(done) = self.vfork_done.take() {
            done.set();
        }
    }
}

/// Makes a process without threads a zombie, and tells its relatives.
fn end_process(process: &Arc<Process>, status: ExitStatus) {
    if process.is_init() {
        process.system.init_ended(status);
    }
    crate::time::end_timers(process);
    let mut hung_up: Vec<Arc<Group>> = Vec::new();
    let mut entries = process.system.pids.lock();
    let forgotten = give_away_children(&mut entries, process, &mut hung_up);
    leave_session(process, &mut hung_up);
    process.threads.lock().ended = Some(status);
    drop(entries);
    forgotten.iter().for_each(Process::reap);
    for group in hung_up {
        signal::send_to_group(&group, Signal::HUP);
        signal::send_to_group(&group, Signal::CONT);
    }
    process.exit_events.wake_all((Events::IN | Events::HUP).bits());
    tell_parent(process, status);
}

/// Gives the children to the nearest ancestor that takes orphans, else to init. Returns the zombies
/// that nobody waits for.
fn give_away_children(
    entries: &mut Entries,
    process: &Arc<Process>,
    hung_up: &mut Vec<Arc<Group>>,
) -> Vec<Arc<Process>> {
    let mut forgotten = Vec::new();
    let children = core::mem::take(&mut process.family.lock().children);
    if children.is_empty() {
        return forgotten;
    }
    let Some(reaper) = reaper_of(entries, process) else { return forgotten };
    for child in children {
        child.set_parent(entries, &reaper);
        for thread in child.live_threads() {
            let number = i32::from(thread.parent_death_signal.load(Ordering::Relaxed));
            if let Ok(signal) = Signal::new(number) {
                // A full queue loses the signal, as it does on Linux.
                let _ = signal::post_to_thread(&thread, Info::kernel(signal));
            }
        }
        let group = child.group();
        if held_by(&group, process) && group.is_orphaned(None) && group.has_stopped_member() {
            hung_up.push(group);
        }
        let ended = child.threads.lock().ended;
        if reaper.forgets_orphans() {
            child.unowned.store(true, Ordering::Relaxed);
            if ended.is_some() {
                forgotten.push(child);
            }
            continue;
        }
        reaper.family.lock().children.push(Arc::clone(&child));
        if let Some(status) = ended {
            child.exit_signal.store(Signal::CHLD.number(), Ordering::Relaxed);
            // The lock order allows it: signals come after the table.
            send_exit_signal(&reaper, &child, status);
        }
        reaper.child_events.wake_all(Events::IN.bits());
    }
    forgotten
}

/// Who takes in the children of `process`.
fn reaper_of(entries: &Entries, process: &Arc<Process>) -> Option<Arc<Process>> {
    let mut ancestor = process.parent();
    while let Some(candidate) = ancestor {
        if candidate.subreaper.load(Ordering::Relaxed) && !candidate.is_zombie() {
            return Some(candidate);
        }
        ancestor = candidate.parent();
    }
    entries.init().filter(|init| !Arc::ptr_eq(init, process))
}

/// Whether `parent` keeps a group with a child of it from being orphaned: only a group that loses
/// such a parent becomes orphaned, others were it before.
fn held_by(group: &Group, parent: &Process) -> bool {
    let own = parent.group();
    own.pid != group.pid && own.session.pid == group.session.pid
}

/// Sees whether the end of `process` orphans its own group, and gives up a controlling terminal.
fn leave_session(process: &Arc<Process>, hung_up: &mut Vec<Arc<Group>>) {
    let group = process.group();
    let held = process.parent().is_some_and(|parent| held_by(&group, &parent));
    if held && group.is_orphaned(Some(process)) && group.has_stopped_member() {
        hung_up.push(Arc::clone(&group));
    }
    if process.is_session_leader() {
        group.session.hang_up();
    }
}

/// Sends the exit signal and wakes wait(2); a parent that ignores SIGCHLD has no zombies.
fn tell_parent(process: &Arc<Process>, status: ExitStatus) {
    let Some(parent) = process.parent() else { return };
    if send_exit_signal(&parent, process, status) {
        process.reap();
    }
    parent.child_events.wake_all(Events::IN.bits());
}

/// Sends the exit signal; returns whether the parent wants no zombie.
fn send_exit_signal(parent: &Arc<Process>, child: &Process, status: ExitStatus) -> bool {
    if child.unowned.load(Ordering::Relaxed) {
        return true;
    }
    let number = i32::from(child.exit_signal.load(Ordering::Relaxed));
    let Ok(signal) = Signal::new(number) else { return false };
    let action = parent.actions.lock().get(signal);
    let (code, value) = status.to_child_code();
    let uid = child.credentials().uid;
    // Only a full queue of real-time signals refuses; then the parent learns it from wait(2).
    let _ = signal::post_to_process(parent, Info::child(signal, code, child.pid.get(), uid, value));
    let unwanted = action.handler == IGNORE || action.flags().contains(Flags::NOCLDWAIT);
    signal == Signal::CHLD && unwanted
}

impl Process {
    /// Removes a zombie for good: from the table, its parent and its group.
    pub fn reap(self: &Arc<Self>) {
        let mut entries = self.system.pids.lock();
        self.leave_group(&mut entries);
        if let Some(parent) = self.parent() {
            parent.family.lock().children.retain(|child| !Arc::ptr_eq(child, self));
        }
        entries.remove_process(self.pid);
        let group = self.group();
        entries.release(group.pid);
        entries.release(group.session.pid);
    }
}
