//! Threads: the half a thread's own loop owns, and the half that others may see.
//!
//! A [`Thread`] is owned by its loop's future, so what is in it needs no lock. A [`Tcb`] is shared:
//! by the process's list of threads, by those who send signals, by `/proc`.

mod access;
mod clone;
mod exec;
mod exit;
mod oom;
mod paths;
mod user_loop;
mod vfork;
mod wait;

use crate::{
    count::Threads,
    cred::Credentials,
    file::{FdTable, FsContext},
    memory::Memory,
    process::{Counters, Process},
    signal::{AltStack, SignalSet, ThreadSignals, TrapInfo},
    start::First,
    syscall::{DEFAULT_SLACK_NS, Table, UserPtr},
    system::System,
};
use abi::Pid;
use alloc::{boxed::Box, sync::Arc};
use arrayvec::ArrayString;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};
use executor::{Spawn, TaskRef};
use framework::{Instant, UserContext, count::Counted, cpu};
use spin::{Mutex, Once};

pub use access::PATH_MAX;
pub use clone::{CloneFlags, CloneRequest, clone};
pub use exec::{Program, Start, exec, find, no_arguments};
pub use oom::kill_largest;
pub use user_loop::user_loop;
pub use vfork::VforkDone;
pub use wait::Restart;

bitflags::bitflags! {
    /// What a thread has to look at before it returns to user mode.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Work: u32 {
        /// A signal that is not blocked may be pending.
        const SIGNAL = 1;
        /// The thread has to end.
        const EXIT = 2;
        /// The process is stopped, or is about to be.
        const STOP = 4;
        /// A call replaced the signal mask until the next return to user mode.
        const RESTORE_MASK = 8;
    }
}

/// A thread as its loop owns it.
#[derive(Debug)]
pub struct Thread {
    /// Registers and FPU state.
    pub context: UserContext,
    /// The address space.
    pub memory: Arc<Memory>,
    /// The descriptors.
    pub files: Arc<FdTable>,
    /// Root, working directory and umask.
    pub fs: Arc<FsContext>,
    /// Who the thread is; the [`Tcb`] has a copy for others.
    pub credentials: Arc<Credentials>,
    /// The half others may see.
    pub tcb: Arc<Tcb>,
    /// The system the thread lives in.
    pub system: &'static System,
    /// How an interrupted call goes on in restart_syscall(2).
    pub restart: Mutex<Restart>,
    /// Where zero is stored and a futex woken at exit (`CLONE_CHILD_CLEARTID`).
    pub clear_child_tid: Option<UserPtr<u32>>,
    /// Where the thread's number is stored when it starts (`CLONE_CHILD_SETTID`).
    pub set_child_tid: Option<UserPtr<u32>>,
    /// The head of the robust futex list.
    pub robust_list: Option<UserPtr<usize>>,
    /// The alternate signal stack.
    pub alt_stack: AltStack,
    /// The mask to put back after a call that replaced it.
    pub saved_mask: Mutex<Option<SignalSet>>,
    /// The last exception, for signal frames.
    pub last_trap: TrapInfo,
    /// Whether a signal was forced whose default action must be taken, by init too.
    pub forced: bool,
    /// Told when this thread stops using the address space of a vfork(2)ing parent.
    pub vfork_done: Option<Arc<VforkDone>>,
    /// What the first thread runs before it first enters user mode.
    pub(crate) first_program: Option<Box<First>>,
    /// The status given to exit(2).
    pub exit_status: u8,
    /// The system calls it finds.
    pub calls: &'static Table,
}

impl Thread {
    /// The process this thread belongs to.
    pub fn process(&self) -> &Arc<Process> {
        &self.tcb.process
    }

    /// The thread's number.
    pub fn tid(&self) -> Pid {
        self.tcb.tid()
    }

    /// Replaces the credentials, for this thread and for those who look at it.
    pub fn set_credentials(&mut self, credentials: Arc<Credentials>) {
        self.tcb.view.lock().credentials = Arc::clone(&credentials);
        self.process().set_credentials(Arc::clone(&credentials));
        self.credentials = credentials;
    }

    /// A thread of `tcb` with these resources, and everything else as a new program has it.
    pub fn new(context: UserContext, tcb: Arc<Tcb>, resources: Resources) -> Self {
        let calls = tcb.process.system.calls().table();
        Self {
            context,
            memory: resources.memory,
            files: resources.files,
            fs: resources.fs,
            credentials: resources.credentials,
            system: tcb.process.system,
            tcb,
            restart: Mutex::new(Restart::None),
            clear_child_tid: None,
            set_child_tid: None,
            robust_list: None,
            alt_stack: AltStack::NONE,
            saved_mask: Mutex::new(None),
            last_trap: TrapInfo::default(),
            forced: false,
            vfork_done: None,
            first_program: None,
            exit_status: 0,
            calls,
        }
    }

    /// Starts the thread's loop as a task.
    pub fn start(self, how: Spawn<'_>) {
        let tcb = Arc::clone(&self.tcb);
        let task = executor::spawn(how, user_loop(self));
        tcb.task.call_once(|| task);
        // Who gave it work before the task was known could not wake it.
        if !tcb.work().is_empty() {
            tcb.wake();
        }
    }
}

/// What a thread is made with; shared or copied from its maker as `CLONE_*` says.
#[derive(Clone, Debug)]
pub struct Resources {
    /// The address space.
    pub memory: Arc<Memory>,
    /// The descriptors.
    pub files: Arc<FdTable>,
    /// Root, working directory and umask.
    pub fs: Arc<FsContext>,
    /// Who the thread is.
    pub credentials: Arc<Credentials>,
}

/// What others may see of a thread's resources; empty once it has ended.
#[derive(Debug)]
pub struct View {
    /// The address space.
    pub memory: Option<Arc<Memory>>,
    /// The descriptors.
    pub files: Option<Arc<FdTable>>,
    /// Root, working directory and umask.
    pub fs: Option<Arc<FsContext>>,
    /// Who the thread is.
    pub credentials: Arc<Credentials>,
    /// The name (`PR_SET_NAME`), padded with NUL.
    pub name: [u8; 16],
}

/// The half of a thread that others may see.
#[derive(Debug)]
pub struct Tcb {
    tid: AtomicU32,
    work: AtomicU32,
    /// Blocked signals; only the owner writes, under the lock of `signals`.
    pub(crate) blocked: AtomicU64,
    /// Signals that sigtimedwait(2) waits for; only the owner writes.
    pub(crate) awaited: AtomicU64,
    /// The process.
    pub process: Arc<Process>,
    /// Signals for this thread alone.
    pub signals: Mutex<ThreadSignals>,
    /// Resources.
    pub view: Mutex<View>,
    /// What it used.
    pub counters: Counters,
    /// The signal it gets when its parent ends (`PR_SET_PDEATHSIG`); 0 for none.
    pub parent_death_signal: AtomicU8,
    /// How late its timers may be (`PR_SET_TIMERSLACK`); kept for programs that ask.
    pub timer_slack_ns: AtomicU64,
    /// The I/O priority (ioprio_set(2)): class and level; 0 if none is set.
    pub io_priority: AtomicU16,
    /// Whether children start as ordinary threads (`SCHED_RESET_ON_FORK`).
    pub reset_on_fork: AtomicBool,
    /// Whether execve(2) can give it no more rights (`PR_SET_NO_NEW_PRIVS`).
    pub no_new_privileges: AtomicBool,
    /// When it was made.
    pub started: Instant,
    /// The head of the robust futex list.
    pub robust_list: Mutex<Option<UserPtr<usize>>>,
    task: Once<TaskRef>,
    _counted: Counted<Threads>,
}

impl Tcb {
    /// The shared half of a thread that has not started.
    pub fn new(
        tid: Pid,
        process: Arc<Process>,
        resources: &Resources,
        name: [u8; 16],
    ) -> Arc<Self> {
        if tid == process.pid {
            process.set_name(text(&name));
        }
        Arc::new(Self {
            tid: AtomicU32::new(tid.get()),
            work: AtomicU32::new(0),
            blocked: AtomicU64::new(0),
            awaited: AtomicU64::new(0),
            process,
            signals: Mutex::default(),
            view: Mutex::new(View {
                memory: Some(Arc::clone(&resources.memory)),
                files: Some(Arc::clone(&resources.files)),
                fs: Some(Arc::clone(&resources.fs)),
                credentials: Arc::clone(&resources.credentials),
                name,
            }),
            counters: Counters::default(),
            parent_death_signal: AtomicU8::new(0),
            timer_slack_ns: AtomicU64::new(DEFAULT_SLACK_NS),
            io_priority: AtomicU16::new(0),
            reset_on_fork: AtomicBool::new(false),
            no_new_privileges: AtomicBool::new(false),
            started: framework::time::now(),
            robust_list: Mutex::new(None),
            task: Once::new(),
            _counted: Counted::new(),
        })
    }

    /// The thread's number; execve(2) can change it to the process's.
    pub fn tid(&self) -> Pid {
        let tid = self.tid.load(Ordering::Relaxed);
        Pid::new(tid.cast_signed()).expect("threads have positive numbers")
    }

    /// The executor's task, once the thread has been started.
    pub fn task(&self) -> Option<&TaskRef> {
        self.task.get()
    }

    /// What has to be looked at before user mode.
    pub fn work(&self) -> Work {
        Work::from_bits_retain(self.work.load(Ordering::Relaxed))
    }

    /// Gives the thread something to look at, and wakes it if it waits or runs user code.
    pub fn add_work(&self, work: Work) {
        self.work.fetch_or(work.bits(), Ordering::SeqCst);
        self.wake();
    }

    /// Gives the running thread itself, or one that has not started, something to look at.
    pub(crate) fn set_work(&self, work: Work) {
        self.work.fetch_or(work.bits(), Ordering::SeqCst);
        // Its next run is to end at once.
        cpu::kick(cpu::current());
    }

    /// Makes the thread look at its conditions again; it leaves user mode for that.
    pub fn wake(&self) {
        if let Some(task) = self.task.get() {
            task.wake();
            cpu::kick(task.cpu());
        }
    }

    /// Gives the thread another number: execve(2) makes the caller the main thread.
    pub(crate) fn set_tid(&self, tid: Pid) {
        self.tid.store(tid.get(), Ordering::Relaxed);
    }

    /// The name, without padding.
    pub fn name(&self) -> ArrayString<16> {
        text(&self.view.lock().name)
    }

    /// Names the thread; what is over 15 bytes is cut off.
    pub fn set_name(&self, name: &[u8]) {
        let mut padded = [0; 16];
        let len = name.len().min(15);
        padded[..len].copy_from_slice(&name[..len]);
        self.view.lock().name = padded;
        if self.tid() == self.process.pid {
            self.process.set_name(self.name());
        }
        if let Some(task) = self.task.get() {
            task.set_name(&self.name());
        }
    }

    /// Clears work that has been looked at.
    pub(crate) fn clear_work(&self, work: Work) {
        self.work.fetch_and(!work.bits(), Ordering::SeqCst);
    }
}

/// A name without its padding.
fn text(name: &[u8; 16]) -> ArrayString<16> {
    let len = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    let mut text = ArrayString::new();
    for byte in &name[..len] {
        let shown = if byte.is_ascii() { char::from(*byte) } else { '?' };
        // At most 16 ASCII characters.
        let _ = text.try_push(shown);
    }
    text
}
