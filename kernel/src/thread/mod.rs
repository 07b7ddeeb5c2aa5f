//! Threads: the half a thread's own loop owns, and the half that others may see.
//!
//! A [`Thread`] is owned by its loop's future, so what is in it needs no lock. A [`Tcb`] is shared:
//! by the process's list of threads, by those who send signals, by `/proc`.

mod access;
mod user_loop;
mod wait;

use crate::{
    cred::Credentials,
    file::{FdTable, FsContext},
    memory::Memory,
    process::Process,
    signal::ThreadSignals,
    syscall::UserPtr,
    system::System,
};
use abi::Pid;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use executor::TaskRef;
use framework::UserContext;
use spin::{Mutex, Once};

pub use access::PATH_MAX;
pub use user_loop::user_loop;
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
    /// The head of the robust futex list.
    pub robust_list: Option<UserPtr<usize>>,
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
        self.credentials = credentials;
    }
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
    /// The process.
    pub process: Arc<Process>,
    /// Signals for this thread alone.
    pub signals: Mutex<ThreadSignals>,
    /// Resources.
    pub view: Mutex<View>,
    task: Once<TaskRef>,
}

impl Tcb {
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
        if let Some(task) = self.task.get() {
            task.wake();
        }
    }

    /// Clears work that has been looked at.
    pub(crate) fn clear_work(&self, work: Work) {
        self.work.fetch_and(!work.bits(), Ordering::SeqCst);
    }
}
