//! execve(2): another program in the same process.
//!
//! Everything that can fail happens first, in a new address space; then the other threads end, and
//! the thread changes over. So an error always leaves the old program as it was.

mod find;

use super::{Tcb, Thread, Work};
use crate::{
    file::FdTable,
    memory::{
        Layout, Limits, Memory,
        elf::{Arguments, Executable, Identity, LoadRequest},
    },
    process::Resource,
    signal::AltStack,
};
use abi::{Errno, Events, Result, Signal};
use alloc::{sync::Arc, vec::Vec};
use core::sync::atomic::Ordering;
use framework::VirtAddr;
use io::mem::Draw;

pub use find::{Start, find, no_arguments};

/// A program that has been found and read, ready to replace another one.
#[derive(Debug)]
pub struct Program {
    /// Its image.
    pub executable: Executable,
    /// Its interpreter's image (the dynamic loader).
    pub interpreter: Option<Executable>,
    /// Arguments and environment, those of `#!` included.
    pub arguments: Arguments,
    /// The path it was called by.
    pub file_name: Vec<u8>,
    /// Owner and group it takes on, if it is set-user-ID or set-group-ID.
    pub set_ids: (Option<u32>, Option<u32>),
}

/// Replaces the program of `thread`'s process.
///
/// Waits until the other threads have ended.
///
/// # Errors
/// - `ENOMEM`, `E2BIG`, `EINVAL`: it does not fit into an address space.
/// - `EAGAIN`: another thread is ending the process, or executes a program itself.
///
/// Source: execve(2)
pub async fn exec(thread: &mut Thread, program: &Program) -> Result<usize> {
    let credentials = thread
        .credentials
        .after_exec(program.set_ids, thread.tcb.no_new_privileges.load(Ordering::Relaxed));
    let gained = credentials.is_privileged_over(&thread.credentials);
    let credentials = Arc::new(credentials);
    let identity = Identity {
        uid: credentials.uid,
        euid: credentials.euid,
        gid: credentials.gid,
        egid: credentials.egid,
        secure: gained,
        min_signal_stack: 2048 + framework::UserContext::fpu_size(),
    };
    let (mut random, mut shift) = ([0; 16], [0; 2]);
    let memory = {
        let mut draw = thread.system.random.draw();
        draw.fill(&mut random);
        draw.fill(&mut shift);
        new_memory(thread, &mut draw)?
    };
    let stack_shift = usize::from(u16::from_ne_bytes(shift) & 0x1ff0);
    let loaded = memory.load(&LoadRequest {
        program: &program.executable,
        interpreter: program.interpreter.as_ref(),
        arguments: &program.arguments,
        file_name: &program.file_name,
        identity,
        random,
        stack_shift,
    })?;
    end_other_threads(thread).await?;
    // The thread's view holds one reference. More mean that another process shares the table
    // (`CLONE_FILES`), or that somebody looks at it in /proc.
    let shared = Arc::strong_count(&thread.files) > 2;
    let files = if shared { Some(thread.files.duplicate()?) } else { None };
    // Nothing fails from here on.
    change_over(thread, memory, files, (loaded.entry, loaded.stack));
    let old = core::mem::replace(&mut thread.credentials, Arc::clone(&credentials));
    if *old != *credentials {
        thread.set_credentials(credentials);
    }
    if gained {
        thread.tcb.parent_death_signal.store(0, Ordering::Relaxed);
        thread.process().dumpable.store(0, Ordering::Relaxed);
    } else {
        thread.process().dumpable.store(1, Ordering::Relaxed);
    }
    thread.tcb.set_name(base_name(&program.file_name));
    // What execve returns is the new program's first rax.
    Ok(0)
}

/// The last part of a path.
fn base_name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

/// An empty address space under the process's limits.
fn new_memory(thread: &Thread, draw: &mut Draw) -> Result<Arc<Memory>> {
    let limits = *thread.process().limits.lock();
    let of = |resource: Resource| limits.get(resource).soft.into();
    let memory_limits = Limits {
        address_space: of(Resource::AddressSpace),
        data: of(Resource::Data),
        stack: of(Resource::Stack),
        locked: of(Resource::LockedMemory),
    };
    let mut random = || draw.word();
    let stack_limit = limits.get(Resource::Stack).soft;
    let randomized = !thread.process().has_fixed_layout();
    let layout = Layout::new(stack_limit, randomized.then_some(&mut random));
    Memory::new(layout, memory_limits)
}

/// Ends all threads of the process but this one, and gives this one the process's number.
async fn end_other_threads(thread: &Thread) -> Result<()> {
    let process = thread.process();
    {
        let mut threads = process.threads.lock();
        if threads.exiting.is_some() || threads.replaced_by.is_some() {
            return Err(Errno::EAGAIN);
        }
        if threads.live.len() > 1 {
            threads.replaced_by = Some(thread.tid());
            for other in threads.live.iter().filter(|other| !is(other, &thread.tcb)) {
                other.add_work(Work::EXIT);
            }
        }
    }
    let alone = || process.threads.lock().live.len() == 1;
    while !alone() {
        let listener = process.exit_events.listen(Events::IN.bits(), false);
        if alone() {
            break;
        }
        if thread.wait_killable(listener).await.is_err() {
            process.threads.lock().replaced_by = None;
            return Err(Errno::EAGAIN);
        }
    }
    let mut entries = thread.system.pids.lock();
    if thread.tid() != process.pid {
        entries.remove_thread(thread.tid());
        entries.insert_thread(process.pid, Arc::clone(&thread.tcb));
        thread.tcb.set_tid(process.pid);
    }
    let mut threads = process.threads.lock();
    threads.replaced_by = None;
    threads.main_status = None;
    Ok(())
}

fn is(a: &Arc<Tcb>, b: &Arc<Tcb>) -> bool {
    Arc::ptr_eq(a, b)
}

/// Leaves the old program behind.
fn change_over(
    thread: &mut Thread,
    memory: Arc<Memory>,
    files: Option<Arc<FdTable>>,
    (entry, stack): (VirtAddr, VirtAddr),
) {
    thread.leave_memory();
    thread.memory = memory;
    let regs = thread.context.regs_mut();
    *regs = framework::Regs { rip: entry.get(), rsp: stack.get(), ..Default::default() };
    // Interrupts on, and the bit that is always set.
    regs.rflags = 0x202;
    thread.context.fpu_reset();
    if let Some(files) = files {
        thread.files = files;
    }
    for file in thread.files.close_on_exec() {
        thread.release_locks(&file);
    }
    thread.alt_stack = AltStack::NONE;
    thread.robust_list = None;
    let process = Arc::clone(thread.process());
    {
        let mut actions = process.actions.lock();
        if Arc::strong_count(&actions) > 1 {
            *actions = actions.duplicate();
        }
        actions.reset();
    }
    crate::time::exec_timers(&process);
    process.exit_signal.store(Signal::CHLD.number(), Ordering::Relaxed);
    process.has_executed.store(true, Ordering::Relaxed);
    let mut view = thread.tcb.view.lock();
    view.memory = Some(Arc::clone(&thread.memory));
    view.files = Some(Arc::clone(&thread.files));
}

#[cfg(test)]
mod tests {
    use super::base_name;

    #[test]
    fn threads_are_named_after_the_file() {
        assert_eq!(base_name(b"/bin/sh"), b"sh");
        assert_eq!(base_name(b"sh"), b"sh");
    }
}
