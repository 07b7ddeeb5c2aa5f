//! Process groups and sessions (credentials(7)).

use super::Process;
use abi::Pid;
use alloc::{
    sync::{Arc, Weak},
    vec::Vec,
};
use core::sync::atomic::{AtomicUsize, Ordering};
use io::tty::Tty;
use spin::Mutex;

/// A session: process groups that may share a controlling terminal.
pub struct Session {
    /// The number: that of the process that made it.
    pub pid: Pid,
    leader: Weak<Process>,
    tty: Mutex<Option<Arc<Tty>>>,
    /// Groups with members; changes only under the lock of the process table.
    groups: AtomicUsize,
}

impl Session {
    /// A session without a terminal or a leader.
    pub fn new(pid: Pid) -> Arc<Self> {
        Arc::new(Self {
            pid,
            leader: Weak::new(),
            tty: Mutex::new(None),
            groups: AtomicUsize::new(0),
        })
    }

    /// A session of `leader` without a terminal.
    pub fn led_by(leader: &Arc<Process>) -> Arc<Self> {
        Arc::new(Self {
            pid: leader.pid,
            leader: Arc::downgrade(leader),
            tty: Mutex::new(None),
            groups: AtomicUsize::new(0),
        })
    }

    /// Whether nobody is in it any more.
    pub fn is_empty(&self) -> bool {
        self.groups.load(Ordering::Relaxed) == 0
    }

    /// The process that made it, while it lives.
    pub fn leader(&self) -> Option<Arc<Process>> {
        self.leader.upgrade()
    }

    /// The controlling terminal.
    pub fn tty(&self) -> Option<Arc<Tty>> {
        self.tty.lock().clone()
    }

    /// Changes the controlling terminal; the terminal's side is up to the caller.
    pub fn set_tty(&self, tty: Option<Arc<Tty>>) {
        let old = core::mem::replace(&mut *self.tty.lock(), tty);
        drop(old);
    }
}

/// A process group.
#[derive(Debug)]
pub struct Group {
    /// The number: that of the process that made it.
    pub pid: Pid,
    /// The session.
    pub session: Arc<Session>,
    members: Mutex<Vec<Weak<Process>>>,
}

impl Group {
    /// A group without members.
    pub fn new(pid: Pid, session: Arc<Session>) -> Arc<Self> {
        Arc::new(Self { pid, session, members: Mutex::new(Vec::new()) })
    }

    /// Whether it has no members any more: then its number means nothing.
    pub fn is_empty(&self) -> bool {
        self.members.lock().is_empty()
    }

    /// The members, zombies included.
    pub fn members(&self) -> Vec<Arc<Process>> {
        self.members.lock().iter().filter_map(Weak::upgrade).collect()
    }

    /// Calls `each` for every member, zombies included. Nobody joins meanwhile: what is sent to the
    /// group reaches all of it.
    pub fn for_each_member(&self, each: &mut dyn FnMut(&Arc<Process>)) {
        let members = self.members.lock();
        members.iter().filter_map(Weak::upgrade).for_each(|member| each(&member));
    }

    /// Adds a process; the caller holds the table's lock.
    pub(super) fn add(&self, process: &Arc<Process>) {
        let mut members = self.members.lock();
        if members.is_empty() {
            self.session.groups.fetch_add(1, Ordering::Relaxed);
        }
        members.push(Arc::downgrade(process));
    }

    /// Removes a process; the caller holds the table's lock.
    pub(super) fn remove(&self, process: &Process) {
        let mut members = self.members.lock();
        if members.is_empty() {
            return;
        }
        members.retain(|member| !core::ptr::eq(member.as_ptr(), process));
        if members.is_empty() {
            self.session.groups.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Gives the group a member that is no process.
    #[cfg(test)]
    pub(super) fn add_nobody(&self) {
        self.members.lock().push(Weak::new());
    }

    /// Whether no member has a parent in another group of the same session, who could continue it
    /// after a stop. `except` is taken as gone.
    pub fn is_orphaned(&self, except: Option<&Process>) -> bool {
        !self.members().iter().any(|member| {
            let gone = except.is_some_and(|process| core::ptr::eq(process, &raw const **member));
            if gone || member.is_zombie() {
                return false;
            }
            let Some(parent) = member.parent() else { return false };
            let group = parent.group();
            group.pid != self.pid && group.session.pid == self.session.pid
        })
    }

    /// Whether a member is stopped.
    pub fn has_stopped_member(&self) -> bool {
        self.members().iter().any(|member| member.signals.lock().stop.stop_report.is_some())
    }
}

impl core::fmt::Debug for Session {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Session({:?})", self.pid)
    }
}
