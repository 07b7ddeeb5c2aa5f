//! Process groups and sessions (credentials(7)).

use super::Process;
use abi::Pid;
use alloc::{
    sync::{Arc, Weak},
    vec::Vec,
};
use io::tty::Tty;
use spin::Mutex;

/// A session: process groups that may share a controlling terminal.
pub struct Session {
    /// The number: that of the process that made it.
    pub pid: Pid,
    leader: Weak<Process>,
    tty: Mutex<Option<Arc<Tty>>>,
}

impl Session {
    /// A session without a terminal or a leader.
    pub fn new(pid: Pid) -> Arc<Self> {
        Arc::new(Self { pid, leader: Weak::new(), tty: Mutex::new(None) })
    }

    /// A session of `leader` without a terminal.
    pub fn led_by(leader: &Arc<Process>) -> Arc<Self> {
        Arc::new(Self { pid: leader.pid, leader: Arc::downgrade(leader), tty: Mutex::new(None) })
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

    /// The members, zombies included.
    pub fn members(&self) -> Vec<Arc<Process>> {
        self.members.lock().iter().filter_map(Weak::upgrade).collect()
    }

    /// Adds a process; the caller holds the table's lock.
    pub(super) fn add(&self, process: &Arc<Process>) {
        self.members.lock().push(Arc::downgrade(process));
    }

    /// Removes a process; the caller holds the table's lock.
    pub(super) fn remove(&self, process: &Process) {
        self.members.lock().retain(|member| !core::ptr::eq(member.as_ptr(), process));
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
