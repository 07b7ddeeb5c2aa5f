//! The table of numbers: threads, processes, process groups and sessions.
//!
//! A number is free only when nothing uses it: a process group outlives its leader, a session its
//! leader's group. The table's lock also guards every change of the family tree.

use super::{Group, Process, Session};
use crate::thread::Tcb;
use abi::{Errno, Pid, Result};
use alloc::{
    sync::{Arc, Weak},
    vec::Vec,
};
use hashbrown::HashMap;
use spin::{Mutex, MutexGuard};

/// One more than the highest number (Linux's default `pid_max`).
pub const PID_MAX: u32 = 32768;

/// Numbers below this are not used again after the first round, as on Linux.
const RESERVED_PIDS: u32 = 300;

/// What a number stands for.
#[derive(Debug, Default)]
struct Slot {
    thread: Option<Arc<Tcb>>,
    process: Option<Arc<Process>>,
    group: Weak<Group>,
    session: Weak<Session>,
}

impl Slot {
    fn is_free(&self) -> bool {
        self.thread.is_none()
            && self.process.is_none()
            && self.live_group().is_none()
            && self.live_session().is_none()
    }

    /// The process group, which is there as long as it has members: a terminal may know of it
    /// longer.
    fn live_group(&self) -> Option<Arc<Group>> {
        self.group.upgrade().filter(|group| !group.is_empty())
    }

    /// The session, likewise.
    fn live_session(&self) -> Option<Arc<Session>> {
        self.session.upgrade().filter(|session| !session.is_empty())
    }
}

/// All threads, processes, groups and sessions by number.
#[derive(Debug)]
pub struct PidTable {
    entries: Mutex<Entries>,
}

/// The table, locked.
#[derive(Debug)]
pub struct Entries {
    slots: HashMap<u32, Slot>,
    next: u32,
    /// Numbers given out so far, and the last of them.
    made: u64,
    last: u32,
    init: Option<Arc<Process>>,
}

/// How many numbers are in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Numbers of anything.
    pub numbers: usize,
    /// Numbers of threads.
    pub threads: usize,
    /// Numbers of processes, zombies included.
    pub processes: usize,
}

impl PidTable {
    /// An empty table.
    pub fn new() -> Self {
        Self {
            entries: Mutex::new(Entries {
                slots: HashMap::new(),
                next: 1,
                made: 0,
                last: 0,
                init: None,
            }),
        }
    }

    /// Locks the table, and with it the family tree.
    pub fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock()
    }

    /// The thread with this number.
    pub fn thread(&self, pid: Pid) -> Option<Arc<Tcb>> {
        self.lock().thread(pid)
    }

    /// The process with this number, zombies included.
    pub fn process(&self, pid: Pid) -> Option<Arc<Process>> {
        self.lock().process(pid)
    }

    /// The process group with this number.
    pub fn group(&self, pid: Pid) -> Option<Arc<Group>> {
        self.lock().group(pid)
    }

    /// All processes in the order of their numbers, zombies included.
    pub fn processes(&self) -> Vec<Arc<Process>> {
        self.lock().processes()
    }
}

impl Default for PidTable {
    fn default() -> Self {
        Self::new()
    }
}

impl Entries {
    /// Takes a free number; the caller fills its slot before it unlocks the table.
    ///
    /// # Errors
    /// - `EAGAIN`: all numbers are in use.
    /// - `ENOMEM`: no memory for a larger table.
    pub fn allocate(&mut self) -> Result<Pid> {
        self.slots.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        for _ in 0..PID_MAX {
            let number = self.next;
            self.next = if number + 1 >= PID_MAX { RESERVED_PIDS } else { number + 1 };
            if self.slots.get(&number).is_none_or(Slot::is_free) {
                self.slots.insert(number, Slot::default());
                self.made += 1;
                self.last = number;
                return Pid::new(number.cast_signed()).ok_or(Errno::EAGAIN);
            }
        }
        Err(Errno::EAGAIN)
    }

    fn slot(&mut self, pid: Pid) -> &mut Slot {
        self.slots.entry(pid.get()).or_default()
    }

    /// Makes `pid` the number of `thread`.
    pub fn insert_thread(&mut self, pid: Pid, thread: Arc<Tcb>) {
        self.slot(pid).thread = Some(thread);
    }

    /// Makes `process.pid` the number of `process`; the first one is init.
    pub fn insert_process(&mut self, process: Arc<Process>) {
        if self.init.is_none() {
            self.init = Some(Arc::clone(&process));
        }
        let pid = process.pid;
        self.slot(pid).process = Some(process);
    }

    /// Makes `group.pid` the number of `group`.
    pub fn insert_group(&mut self, group: &Arc<Group>) {
        self.slot(group.pid).group = Arc::downgrade(group);
    }

    /// Makes `session.pid` the number of `session`.
    pub fn insert_session(&mut self, session: &Arc<Session>) {
        self.slot(session.pid).session = Arc::downgrade(session);
    }

    /// Takes the thread's number back.
    pub fn remove_thread(&mut self, pid: Pid) {
        self.slot(pid).thread = None;
        self.release(pid);
    }

    /// Takes the process's number back (it has been waited for).
    pub fn remove_process(&mut self, pid: Pid) {
        self.slot(pid).process = None;
        self.release(pid);
    }

    /// Forgets a slot that stands for nothing.
    pub fn release(&mut self, pid: Pid) {
        if self.slots.get(&pid.get()).is_some_and(Slot::is_free) {
            self.slots.remove(&pid.get());
        }
    }

    /// The thread with this number.
    pub fn thread(&self, pid: Pid) -> Option<Arc<Tcb>> {
        self.slots.get(&pid.get())?.thread.clone()
    }

    /// The process with this number, zombies included.
    pub fn process(&self, pid: Pid) -> Option<Arc<Process>> {
        self.slots.get(&pid.get())?.process.clone()
    }

    /// The process group with this number.
    pub fn group(&self, pid: Pid) -> Option<Arc<Group>> {
        self.slots.get(&pid.get())?.live_group()
    }

    /// Whether a process group or a session has this number.
    pub fn is_group_or_session(&self, pid: Pid) -> bool {
        self.slots
            .get(&pid.get())
            .is_some_and(|slot| slot.live_group().is_some() || slot.live_session().is_some())
    }

    /// All processes in the order of their numbers, zombies included.
    pub fn processes(&self) -> Vec<Arc<Process>> {
        let mut all: Vec<_> = self.slots.values().filter_map(|slot| slot.process.clone()).collect();
        all.sort_unstable_by_key(|process| process.pid);
        all
    }

    /// The first process, which takes in orphans.
    pub fn init(&self) -> Option<Arc<Process>> {
        self.init.clone()
    }

    /// How many threads were ever made.
    pub fn made(&self) -> u64 {
        self.made
    }

    /// The number given out last.
    pub fn last(&self) -> u32 {
        self.last
    }

    /// How many numbers there are, and for what.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts { numbers: self.slots.len(), ..Counts::default() };
        for slot in self.slots.values() {
            counts.threads += usize::from(slot.thread.is_some());
            counts.processes += usize::from(slot.process.is_some());
        }
        counts
    }

    /// The process with the lowest number from `from` on, zombies included.
    pub fn next_process(&self, from: u32) -> Option<Pid> {
        /// Mostly the next one is near, and need not be looked for in the whole table.
        const NEAR: u32 = 64;
        let is_process =
            |number: &u32| self.slots.get(number).is_some_and(|slot| slot.process.is_some());
        let near = (from..from.saturating_add(NEAR)).find(is_process);
        let lowest = near.or_else(|| {
            let all = self.slots.keys().copied().filter(|number| *number >= from);
            all.filter(is_process).min()
        });
        Pid::new(lowest?.cast_signed())
    }
}

#[cfg(test)]
mod tests {
    use super::{PID_MAX, PidTable, RESERVED_PIDS};
    use crate::process::{Group, Session};
    use abi::{Errno, Pid};

    #[test]
    fn numbers_start_at_one_and_skip_what_is_in_use() {
        let table = PidTable::new();
        let mut entries = table.lock();
        assert_eq!(entries.allocate(), Ok(Pid::INIT));
        let session = Session::new(Pid::INIT);
        let group = Group::new(Pid::INIT, session);
        group.add_nobody();
        entries.insert_group(&group);
        for number in 2..PID_MAX {
            let pid = entries.allocate().unwrap();
            assert_eq!(pid.get(), number);
            entries.release(pid);
        }
        assert_eq!(entries.allocate().unwrap().get(), RESERVED_PIDS, "the second round");
        assert!(entries.is_group_or_session(Pid::INIT));
        drop(group);
        assert!(!entries.is_group_or_session(Pid::INIT));
    }

    #[test]
    fn a_full_table_says_so() {
        let table = PidTable::new();
        let mut entries = table.lock();
        let mut groups = Vec::new();
        for _ in 1..PID_MAX {
            let pid = entries.allocate().unwrap();
            let group = Group::new(pid, Session::new(pid));
            group.add_nobody();
            entries.insert_group(&group);
            groups.push(group);
        }
        assert_eq!(entries.allocate(), Err(Errno::EAGAIN));
        groups.remove(400);
        assert_eq!(entries.allocate().unwrap().get(), 401);
    }
}
