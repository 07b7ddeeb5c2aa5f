//! Processes: what threads share, and how processes are related.
//!
//! ```text
//!   Process ──threads──▶ Tcb ...          (until each thread ends)
//!      │ ▲─────process── Tcb
//!      ├─family: parent (weak), children (until they are waited for), group ─▶ session
//!      └─signals, actions, limits, usage
//! ```
//! A process whose last thread has ended is a zombie: it stays in the table with its exit status
//! until its parent waits for it.

mod group;
mod limits;
mod pidfd;
mod table;
mod usage;
mod wait;

use crate::{
    count::Processes,
    cred::Credentials,
    signal::{Actions, ProcessSignals, SignalSet},
    system::System,
    thread::{Tcb, Work},
    time::ProcessTimers,
};
use abi::{Pid, Signal};
use alloc::{
    sync::{Arc, Weak},
    vec::Vec,
};
use arrayvec::ArrayString;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU32, Ordering};
use executor::wait::WaitQueue;
use framework::{Instant, count::Counted};
use spin::Mutex;

pub use group::{Group, Session};
pub use limits::{INFINITY, Limit, Limits, Privilege, Resource, max_threads};
pub use pidfd::PidFd;
pub use table::{Counts, Entries, PID_MAX, PidTable};
pub use usage::{Counters, Usage, UsageOf};
pub use wait::{Change, State, Wait, WaitFor, Which};

/// How a process ended, as wait(2) encodes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// It called exit with this status.
    Exited(u8),
    /// A signal ended it.
    Killed {
        /// The signal.
        signal: Signal,
        /// Whether the default action is to dump core.
        core: bool,
    },
}

impl ExitStatus {
    /// The word wait4(2) stores.
    pub fn to_wait_status(self) -> i32 {
        match self {
            Self::Exited(status) => i32::from(status) << 8,
            // The bit says a core file was written; none ever is.
            Self::Killed { signal, .. } => i32::from(signal.number()),
        }
    }
}

/// A process.
#[derive(Debug)]
pub struct Process {
    /// The number (what getpid(2) returns).
    pub pid: Pid,
    /// The system it lives in.
    pub system: &'static System,
    /// Parents, children and group.
    pub family: Mutex<Family>,
    /// The parent's number beside the family, for those who ask only for it; 0 for none.
    parent_pid: AtomicI32,
    /// Threads, and how they end.
    pub threads: Mutex<Threads>,
    /// Signals for the process as a whole, and whether it is stopped.
    pub signals: Mutex<ProcessSignals>,
    /// What it does on signals; shared across `CLONE_SIGHAND`.
    pub actions: Mutex<Arc<Actions>>,
    /// Resource limits.
    pub limits: Mutex<Limits>,
    /// What ended threads and waited-for children used.
    pub usage: Mutex<usage::Totals>,
    /// Woken when a child changes state.
    pub child_events: WaitQueue,
    /// Woken when a signal becomes pending (signalfd).
    pub signal_events: WaitQueue,
    /// Woken when the process has ended, and when one of its threads has.
    pub exit_events: WaitQueue,
    /// The signal its parent gets when it ends; 0 for none.
    pub exit_signal: AtomicU8,
    /// Whether orphans below it become its children (`PR_SET_CHILD_SUBREAPER`).
    pub subreaper: AtomicBool,
    /// Nobody will wait for it: it leaves no zombie.
    pub unowned: AtomicBool,
    /// Whether it has called execve since it was made.
    pub has_executed: AtomicBool,
    /// Whether others may look into it (`PR_SET_DUMPABLE`).
    pub dumpable: AtomicU8,
    /// Interval and POSIX timers.
    pub timers: Mutex<ProcessTimers>,
    /// The execution domain (personality(2)).
    pub personality: AtomicU32,
    /// How likely the OOM killer chooses it, -1000 to 1000.
    pub oom_score_adjustment: AtomicI32,
    /// When it was made.
    pub started: Instant,
    /// The name of its main thread, which outlives that thread.
    name: Mutex<ArrayString<16>>,
    credentials: Mutex<Arc<Credentials>>,
    _counted: Counted<Processes>,
}

/// How a process is related to others; changes only under the lock of the process table.
#[derive(Debug)]
pub struct Family {
    /// Who waits for it; none for init.
    pub parent: Weak<Process>,
    /// Children, zombies included.
    pub children: Vec<Arc<Process>>,
    /// The process group.
    pub group: Arc<Group>,
}

/// The threads of a process.
#[derive(Debug, Default)]
pub struct Threads {
    /// Those that have not ended.
    pub live: Vec<Arc<Tcb>>,
    /// Set once the whole process has to end.
    pub exiting: Option<ExitStatus>,
    /// Set while execve(2) ends all threads but the one with this number.
    pub replaced_by: Option<Pid>,
    /// How the main thread ended, if others are left.
    pub main_status: Option<ExitStatus>,
    /// Set when the last thread has ended.
    pub ended: Option<ExitStatus>,
    /// Whether somebody has waited for the zombie, which is about to go.
    pub reaped: bool,
}

impl Process {
    /// A process without threads, related to `parent` only on its own side.
    pub fn new(
        pid: Pid,
        system: &'static System,
        parent: Weak<Self>,
        group: Arc<Group>,
        limits: Limits,
        actions: Arc<Actions>,
        credentials: Arc<Credentials>,
    ) -> Arc<Self> {
        let parent_pid = parent.upgrade().map_or(0, |parent| parent.pid.as_i32());
        Arc::new(Self {
            pid,
            system,
            parent_pid: AtomicI32::new(parent_pid),
            family: Mutex::new(Family { parent, children: Vec::new(), group }),
            threads: Mutex::new(Threads::default()),
            signals: Mutex::new(ProcessSignals::default()),
            actions: Mutex::new(actions),
            limits: Mutex::new(limits),
            usage: Mutex::default(),
            child_events: WaitQueue::new(),
            exit_events: WaitQueue::new(),
            signal_events: WaitQueue::new(),
            exit_signal: AtomicU8::new(Signal::CHLD.number()),
            subreaper: AtomicBool::new(false),
            unowned: AtomicBool::new(false),
            has_executed: AtomicBool::new(false),
            dumpable: AtomicU8::new(1),
            timers: Mutex::default(),
            personality: AtomicU32::new(0),
            oom_score_adjustment: AtomicI32::new(0),
            started: framework::time::now(),
            name: Mutex::new(ArrayString::new()),
            credentials: Mutex::new(credentials),
            _counted: Counted::new(),
        })
    }

    /// The parent; `None` for init.
    pub fn parent(&self) -> Option<Arc<Self>> {
        self.family.lock().parent.upgrade()
    }

    /// The parent's number; `None` for init.
    pub fn parent_pid(&self) -> Option<Pid> {
        Pid::new(self.parent_pid.load(Ordering::Relaxed))
    }

    /// Makes the process a child of `parent`, on its own side only; the caller holds the table's
    /// lock.
    pub fn set_parent(&self, _entries: &mut Entries, parent: &Arc<Self>) {
        let mut family = self.family.lock();
        family.parent = Arc::downgrade(parent);
        self.parent_pid.store(parent.pid.as_i32(), Ordering::Relaxed);
    }

    /// The process group.
    pub fn group(&self) -> Arc<Group> {
        Arc::clone(&self.family.lock().group)
    }

    /// The session.
    pub fn session(&self) -> Arc<Session> {
        Arc::clone(&self.family.lock().group.session)
    }

    /// Whether this is the session's leader.
    pub fn is_session_leader(&self) -> bool {
        self.session().pid == self.pid
    }

    /// Whether this is the first process.
    pub fn is_init(&self) -> bool {
        self.pid == Pid::INIT
    }

    /// Whether it takes in orphans without ever waiting for them: then nobody does.
    pub fn forgets_orphans(&self) -> bool {
        self.is_init() && !self.system.has_init()
    }

    /// Whether it ignores signals it has no handler for, as an init does.
    pub fn is_protected(&self) -> bool {
        self.is_init() && self.system.has_init()
    }

    /// Whether its last thread has ended.
    pub fn is_zombie(&self) -> bool {
        self.threads.lock().ended.is_some()
    }

    /// The threads that have not ended.
    pub fn live_threads(&self) -> Vec<Arc<Tcb>> {
        self.threads.lock().live.clone()
    }

    /// The thread whose number is the process's, or the oldest one left.
    pub fn main_thread(&self) -> Option<Arc<Tcb>> {
        self.threads.lock().live.first().cloned()
    }

    /// Orders all threads to end with `status`, unless they already have such an order. Returns
    /// the status that counts.
    pub fn begin_exit(&self, status: ExitStatus) -> ExitStatus {
        let mut threads = self.threads.lock();
        let status = *threads.exiting.get_or_insert(status);
        for thread in &threads.live {
            thread.add_work(Work::EXIT);
        }
        status
    }

    /// The limit of a resource that is enforced.
    pub fn limit(&self, resource: Resource) -> u64 {
        self.limits.lock().get(resource).soft
    }

    /// Its CPU time has passed `RLIMIT_CPU`: which signal says so. As on Linux, each `SIGXCPU`
    /// raises the soft limit by a second.
    pub fn pass_cpu_limit(&self) -> Signal {
        let mut limits = self.limits.lock();
        let Limit { soft, hard } = limits.get(Resource::Cpu);
        if self.cpu_time().as_secs() >= hard {
            return Signal::KILL;
        }
        limits.raise_cpu(soft.saturating_add(1));
        Signal::XCPU
    }

    /// One more than the highest descriptor it may open (`RLIMIT_NOFILE`).
    pub fn descriptor_limit(&self) -> u64 {
        self.limit(Resource::Files)
    }

    /// How large files may become (`RLIMIT_FSIZE`).
    pub fn file_size_limit(&self) -> u64 {
        self.limit(Resource::FileSize)
    }

    /// Signals it ignores and catches, for `/proc/PID/status`.
    pub fn signal_dispositions(&self) -> (SignalSet, SignalSet) {
        self.actions.lock().dispositions()
    }

    /// Moves the process to `group`; the caller holds the table's lock.
    pub fn set_group(self: &Arc<Self>, _entries: &mut Entries, group: Arc<Group>) {
        group.add(self);
        let old = core::mem::replace(&mut self.family.lock().group, group);
        old.remove(self);
    }

    /// Makes the process a member of its group; the caller holds the table's lock.
    pub fn join_group(self: &Arc<Self>, _entries: &mut Entries) {
        self.group().add(self);
    }

    /// Leaves its group for good (it has been waited for); the caller holds the table's lock.
    pub fn leave_group(&self, _entries: &mut Entries) {
        self.group().remove(self);
    }

    /// Whether addresses are not to be random (`ADDR_NO_RANDOMIZE`).
    pub fn has_fixed_layout(&self) -> bool {
        self.personality.load(Ordering::Relaxed) & 0x004_0000 != 0
    }

    /// Who the process is, as others see it: what a thread of it set last.
    pub fn credentials(&self) -> Arc<Credentials> {
        Arc::clone(&self.credentials.lock())
    }

    /// Replaces what others see as the process's credentials.
    pub fn set_credentials(&self, credentials: Arc<Credentials>) {
        *self.credentials.lock() = credentials;
    }

    /// The name of its main thread, also once that has ended.
    pub fn name(&self) -> ArrayString<16> {
        *self.name.lock()
    }

    /// Keeps the name of the main thread.
    pub(crate) fn set_name(&self, name: ArrayString<16>) {
        *self.name.lock() = name;
    }

    /// Whether the process has executed since it was made.
    pub fn has_executed(&self) -> bool {
        self.has_executed.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::ExitStatus;
    use abi::Signal;

    #[test]
    fn statuses_are_encoded_as_wait_expects() {
        assert_eq!(ExitStatus::Exited(3).to_wait_status(), 0x300);
        let killed = ExitStatus::Killed { signal: Signal::SEGV, core: true };
        assert_eq!(killed.to_wait_status(), 11);
    }
}
