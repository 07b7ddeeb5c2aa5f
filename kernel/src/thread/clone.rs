//! New threads and processes: fork(2), vfork(2), clone(2), clone3(2).

use super::{Resources, Tcb, Thread, VforkDone, Work};
use crate::{
    count::Threads,
    cred::Capabilities,
    process::{Process, Resource, max_threads},
    signal::{Actions, AltStack},
    syscall::{Outcome, UserPtr},
};
use abi::{Errno, Pid, Result, Signal};
use alloc::{boxed::Box, sync::Arc};
use core::sync::atomic::Ordering;
use executor::Spawn;
use framework::{count::Kind, frame};

bitflags::bitflags! {
    /// `CLONE_*`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct CloneFlags: u64 {
        /// The child shares the address space.
        const VM = 0x100;
        /// It shares root, working directory and umask.
        const FS = 0x200;
        /// It shares the descriptors.
        const FILES = 0x400;
        /// It shares the signal actions.
        const SIGHAND = 0x800;
        /// The parent gets a descriptor of it.
        const PIDFD = 0x1000;
        /// It is traced too.
        const PTRACE = 0x2000;
        /// The parent waits until it calls execve or ends.
        const VFORK = 0x4000;
        /// Its parent is the caller's parent.
        const PARENT = 0x8000;
        /// It is a thread of the caller's process.
        const THREAD = 0x1_0000;
        /// A new mount namespace.
        const NEWNS = 0x2_0000;
        /// It shares System V semaphore adjustments.
        const SYSVSEM = 0x4_0000;
        /// It has this `fs` base.
        const SETTLS = 0x8_0000;
        /// Its number is stored in the parent's memory.
        const PARENT_SETTID = 0x10_0000;
        /// Zero is stored in its memory when it ends.
        const CHILD_CLEARTID = 0x20_0000;
        /// Without effect.
        const DETACHED = 0x40_0000;
        /// It cannot be forced to be traced.
        const UNTRACED = 0x80_0000;
        /// Its number is stored in its memory.
        const CHILD_SETTID = 0x100_0000;
        /// A new cgroup namespace.
        const NEWCGROUP = 0x200_0000;
        /// A new UTS namespace.
        const NEWUTS = 0x400_0000;
        /// A new IPC namespace.
        const NEWIPC = 0x800_0000;
        /// A new user namespace.
        const NEWUSER = 0x1000_0000;
        /// A new pid namespace.
        const NEWPID = 0x2000_0000;
        /// A new network namespace.
        const NEWNET = 0x4000_0000;
        /// It shares the I/O context.
        const IO = 0x8000_0000;
        /// Its caught signals go back to their defaults (clone3 only).
        const CLEAR_SIGHAND = 0x1_0000_0000;
        /// It starts in another cgroup (clone3 only).
        const INTO_CGROUP = 0x2_0000_0000;
        /// A new time namespace (clone3 only).
        const NEWTIME = 0x80;
    }
}

impl CloneFlags {
    /// The flags that ask for a namespace.
    pub const NAMESPACES: Self = Self::NEWNS
        .union(Self::NEWCGROUP)
        .union(Self::NEWUTS)
        .union(Self::NEWIPC)
        .union(Self::NEWUSER)
        .union(Self::NEWPID)
        .union(Self::NEWNET)
        .union(Self::NEWTIME);
}

/// What is to be made.
#[derive(Clone, Copy, Debug)]
pub struct CloneRequest {
    /// What is shared and stored.
    pub flags: CloneFlags,
    /// What the parent gets when the child ends.
    pub exit_signal: Option<Signal>,
    /// The stack pointer; the caller's if none.
    pub stack: Option<usize>,
    /// Where the number is stored for the parent.
    pub parent_tid: UserPtr<u32>,
    /// Where the number is stored, and cleared, for the child.
    pub child_tid: UserPtr<u32>,
    /// The `fs` base.
    pub tls: usize,
    /// Where a descriptor of the child is stored (`CLONE_PIDFD`).
    pub pidfd: Option<UserPtr<u32>>,
}

impl CloneRequest {
    /// What fork(2) asks for.
    pub fn fork() -> Self {
        let nowhere = UserPtr::new(framework::VirtAddr::new(0));
        Self {
            flags: CloneFlags::empty(),
            exit_signal: Some(Signal::CHLD),
            stack: None,
            parent_tid: nowhere,
            child_tid: nowhere,
            tls: 0,
            pidfd: None,
        }
    }

    /// Refuses combinations that mean nothing, in Linux's order.
    fn check(&self, thread: &Thread) -> Result<()> {
        let flags = self.flags;
        let both = |a: CloneFlags, b: CloneFlags| flags.contains(a) && flags.intersects(b);
        let without = |a: CloneFlags, b: CloneFlags| flags.contains(a) && !flags.contains(b);
        if both(CloneFlags::FS, CloneFlags::NEWNS | CloneFlags::NEWUSER)
            || without(CloneFlags::THREAD, CloneFlags::SIGHAND)
            || without(CloneFlags::SIGHAND, CloneFlags::VM)
            || both(CloneFlags::SIGHAND, CloneFlags::CLEAR_SIGHAND)
            || both(CloneFlags::PIDFD, CloneFlags::THREAD)
            || both(CloneFlags::THREAD, CloneFlags::NEWUSER | CloneFlags::NEWPID)
            || flags.contains(CloneFlags::PARENT) && thread.process().is_init()
        {
            return Err(Errno::EINVAL);
        }
        if flags.intersects(CloneFlags::NAMESPACES) {
            let may = thread.credentials.has(Capabilities::SYS_ADMIN)
                || flags.contains(CloneFlags::NEWUSER);
            return Err(if may { Errno::EINVAL } else { Errno::EPERM });
        }
        if flags.contains(CloneFlags::INTO_CGROUP) {
            return Err(Errno::EINVAL);
        }
        Ok(())
    }
}

/// Makes a thread or a process as `request` says; returns its number.
///
/// With `VFORK` the call waits until the child has left the address space; only a kill ends that
/// wait early.
///
/// # Errors
/// - `EINVAL`: flags that contradict each other, or a namespace, which there is not.
/// - `EAGAIN`: too many threads or processes.
/// - `ENOMEM`: no memory.
/// - `ERESTARTNOINTR`: a signal comes first.
///
/// Source: clone(2), copy_process
pub fn clone<'a>(thread: &'a Thread, request: &CloneRequest) -> Result<Outcome<'a>> {
    request.check(thread)?;
    // A signal to several processes must not miss a child that is just being made.
    if thread.tcb.work().intersects(Work::SIGNAL | Work::EXIT) {
        return Err(Errno::ERESTARTNOINTR);
    }
    check_process_limit(thread)?;
    check_room(request.flags)?;
    let flags = request.flags;
    check_memory(flags)?;
    let pidfd = request.pidfd.map(|at| thread.reserve_pidfd(at)).transpose()?;
    let made = make(thread, request);
    let (mut child, parent) = made.inspect_err(|_| {
        if let Some(fd) = pidfd {
            thread.give_up_pidfd(fd);
        }
    })?;
    if let Some(fd) = pidfd {
        thread.fill_pidfd(fd, child.process());
    }
    let tid = child.tid();
    if flags.contains(CloneFlags::PARENT_SETTID) {
        // As on Linux, a bad address does not undo the clone.
        let _ = thread.write(request.parent_tid, &tid.get());
    }
    let done = flags.contains(CloneFlags::VFORK).then(|| Arc::new(VforkDone::new()));
    child.vfork_done.clone_from(&done);
    drop(parent);
    start(thread, child);
    match done {
        None => Ok(Outcome::Done(tid.as_usize())),
        Some(done) => Ok(Outcome::Wait(Box::pin(wait_for_vfork(thread, done, tid)))),
    }
}

/// Frames that must be free for a new thread and, with its own address space, for a new process.
const THREAD_FRAMES: usize = 8;
const PROCESS_FRAMES: usize = 32;

/// Refuses what the system as a whole has no room for: the kernel's own allocations for the child
/// cannot fail half-way.
///
/// # Errors
/// - `EAGAIN`: there are as many threads as there may be.
/// - `ENOMEM`: only the reserve is left.
fn check_room(flags: CloneFlags) -> Result<()> {
    if Threads::live().count() >= max_threads() {
        return Err(Errno::EAGAIN);
    }
    let frames = if flags.contains(CloneFlags::VM) { THREAD_FRAMES } else { PROCESS_FRAMES };
    if frame::can_allocate(frames) { Ok(()) } else { Err(Errno::ENOMEM) }
}

/// Enforces `RLIMIT_NPROC` on ordinary users.
fn check_process_limit(thread: &Thread) -> Result<()> {
    let credentials = &thread.credentials;
    let exempt = Capabilities::SYS_RESOURCE | Capabilities::SYS_ADMIN;
    if credentials.uid == 0 || credentials.effective.intersects(exempt) {
        return Ok(());
    }
    let limit = thread.process().limit(Resource::Processes);
    let of_user = |process: &&Arc<Process>| process.credentials().uid == credentials.uid;
    let processes = thread.system.pids.processes();
    let count: usize =
        processes.iter().filter(of_user).map(|process| process.threads.lock().live.len()).sum();
    if count as u64 >= limit { Err(Errno::EAGAIN) } else { Ok(()) }
}

/// Frames that a process takes at least: tables, kernel records, the first pages it writes.
const FRAMES_OF_PROCESS: usize = 32;
/// The part of memory that is left to the threads there are: each new one is refused before.
const KEPT_PART: usize = 64;

/// Refuses what memory would not suffice for: a fork that fails is an error that programs handle,
/// a fork that succeeds and then finds no page is the end of some process.
fn check_memory(flags: CloneFlags) -> Result<()> {
    let own = if flags.contains(CloneFlags::VM) { 1 } else { FRAMES_OF_PROCESS };
    let kept = framework::frame::stats().total / KEPT_PART;
    if framework::frame::can_allocate(own + kept) { Ok(()) } else { Err(Errno::ENOMEM) }
}

/// Makes the child with all it shares or copies, and enters it into the table.
fn make(thread: &Thread, request: &CloneRequest) -> Result<(Thread, Arc<Process>)> {
    let flags = request.flags;
    let resources = Resources {
        memory: if flags.contains(CloneFlags::VM) {
            Arc::clone(&thread.memory)
        } else {
            thread.memory.fork()?
        },
        files: if flags.contains(CloneFlags::FILES) {
            Arc::clone(&thread.files)
        } else {
            thread.files.duplicate()?
        },
        fs: if flags.contains(CloneFlags::FS) {
            Arc::clone(&thread.fs)
        } else {
            thread.fs.duplicate()
        },
        credentials: Arc::clone(&thread.credentials),
    };
    let mut context = thread.context.duplicate()?;
    context.set_result(0);
    if let Some(stack) = request.stack {
        context.regs_mut().rsp = stack;
    }
    if flags.contains(CloneFlags::SETTLS) {
        context.regs_mut().fs_base = request.tls;
    }
    let (tcb, process) = enter(thread, request, &resources)?;
    let mut child = Thread::new(context, tcb, resources);
    if !flags.contains(CloneFlags::VM) || flags.contains(CloneFlags::VFORK) {
        child.alt_stack = thread.alt_stack;
    } else {
        child.alt_stack = AltStack::NONE;
    }
    child.clear_child_tid = flags.contains(CloneFlags::CHILD_CLEARTID).then_some(request.child_tid);
    child.set_child_tid = flags.contains(CloneFlags::CHILD_SETTID).then_some(request.child_tid);
    Ok((child, process))
}

/// Gives the child its number, its process and its relatives, all at once under the table's lock.
fn enter(
    thread: &Thread,
    request: &CloneRequest,
    resources: &Resources,
) -> Result<(Arc<Tcb>, Arc<Process>)> {
    let flags = request.flags;
    let own = thread.process();
    let name = thread.tcb.view.lock().name;
    let mut entries = thread.system.pids.lock();
    // A signal to a group that came since the first look has not reached the child.
    if thread.tcb.work().intersects(Work::SIGNAL | Work::EXIT) {
        return Err(Errno::ERESTARTNOINTR);
    }
    let tid = entries.allocate()?;
    let is_thread = flags.contains(CloneFlags::THREAD);
    let process = if is_thread { Arc::clone(own) } else { new_process(thread, request, tid) };
    let tcb = Tcb::new(tid, Arc::clone(&process), resources, name);
    tcb.blocked.store(thread.tcb.blocked.load(Ordering::Relaxed), Ordering::Relaxed);
    let no_new = thread.tcb.no_new_privileges.load(Ordering::Relaxed);
    tcb.no_new_privileges.store(no_new, Ordering::Relaxed);
    let io_priority = thread.tcb.io_priority.load(Ordering::Relaxed);
    tcb.io_priority.store(io_priority, Ordering::Relaxed);
    let slack = thread.tcb.timer_slack_ns.load(Ordering::Relaxed);
    tcb.timer_slack_ns.store(slack, Ordering::Relaxed);
    {
        let mut threads = process.threads.lock();
        if threads.exiting.is_some() || threads.replaced_by.is_some() {
            drop(threads);
            entries.release(tid);
            return Err(Errno::ERESTARTNOINTR);
        }
        threads.live.push(Arc::clone(&tcb));
    }
    if process.signals.lock().stop.signal.is_some() {
        tcb.set_work(Work::STOP);
    }
    entries.insert_thread(tid, Arc::clone(&tcb));
    if !is_thread {
        if let Some(parent) = process.parent() {
            parent.family.lock().children.push(Arc::clone(&process));
        }
        process.join_group(&mut entries);
        entries.insert_process(Arc::clone(&process));
    }
    Ok((tcb, process))
}

fn new_process(thread: &Thread, request: &CloneRequest, pid: Pid) -> Arc<Process> {
    let flags = request.flags;
    let own = thread.process();
    let parent = if flags.contains(CloneFlags::PARENT) {
        own.family.lock().parent.clone()
    } else {
        Arc::downgrade(own)
    };
    let actions: Arc<Actions> = if flags.contains(CloneFlags::SIGHAND) {
        own.actions.lock().clone()
    } else {
        own.actions.lock().duplicate()
    };
    if flags.contains(CloneFlags::CLEAR_SIGHAND) {
        actions.reset();
    }
    let limits = *own.limits.lock();
    let credentials = Arc::clone(&thread.credentials);
    let process =
        Process::new(pid, thread.system, parent, own.group(), limits, actions, credentials);
    let exit_signal = if flags.contains(CloneFlags::PARENT) {
        own.exit_signal.load(Ordering::Relaxed)
    } else {
        request.exit_signal.map_or(0, Signal::number)
    };
    process.exit_signal.store(exit_signal, Ordering::Relaxed);
    process.dumpable.store(own.dumpable.load(Ordering::Relaxed), Ordering::Relaxed);
    process.personality.store(own.personality.load(Ordering::Relaxed), Ordering::Relaxed);
    let adjustment = own.oom_score_adjustment.load(Ordering::Relaxed);
    process.oom_score_adjustment.store(adjustment, Ordering::Relaxed);
    crate::time::watch_cpu_limit(&process);
    process
}

/// Starts the child where its parent may run, as its parent competes.
fn start(thread: &Thread, child: Thread) {
    let name = thread.tcb.name();
    let mut how = Spawn::named(&name);
    if let Some(task) = thread.tcb.task() {
        how.policy = task.policy();
        how.nice = task.nice();
        how.affinity = task.affinity();
        if thread.tcb.reset_on_fork.load(Ordering::Relaxed) {
            if how.policy.priority().is_some() {
                (how.policy, how.nice) = (executor::Policy::Fair, 0);
            }
            how.nice = how.nice.max(0);
        }
    }
    child.start(how);
}

async fn wait_for_vfork(thread: &Thread, done: Arc<VforkDone>, tid: Pid) -> Result<usize> {
    while !done.is_set() {
        let listener = done.queue().listen(abi::Events::IN.bits(), false);
        if done.is_set() || thread.wait_killable(listener).await.is_err() {
            break;
        }
    }
    Ok(tid.as_usize())
}
