//! Where stubs come from: one process that forks when asked, and stubs that are used again.
//!
//! A thread that never ends starts the zygote and is the parent of all stubs, because they die with
//! the thread that started them: when the kernel's process ends, in whatever way, nothing is left.

use super::{
    Stub, answers,
    block::{self, Block},
    image::{DATA_FD, IMAGE_FD, PHYS_FD},
};
use crate::machine::{affinity, cpu::lock, memory, sys, sys::Child};
use core::{
    ffi::c_void,
    ptr,
    sync::atomic::{AtomicI32, Ordering},
};
use std::{
    fs::File,
    io::Error,
    os::fd::{AsRawFd, RawFd},
    sync::{Mutex, OnceLock, mpsc},
    thread,
    vec::Vec,
};

/// The most stubs there are at a time; each takes some 100 KiB of the host.
const MAX_STUBS: usize = 2048;
/// How many idle stubs are kept.
const KEPT: usize = 64;

struct Zygote {
    child: Child,
    block: Block,
    /// Where the blocks begin, in this process.
    blocks: usize,
    /// Blocks that were given back, and the first that was never used.
    free: Vec<usize>,
    fresh: usize,
    /// The host CPU that it, and what it forks, is bound to.
    place: Option<usize>,
}

static ZYGOTE: OnceLock<Mutex<Zygote>> = OnceLock::new();
#[allow(clippy::vec_box, reason = "a stub moves between owners by its box")]
static IDLE: Mutex<Vec<Box<Stub>>> = Mutex::new(Vec::new());

/// Takes a stub that maps nothing, once its operations are carried out; bound to the host CPU
/// `place`, if given.
pub(super) fn take(place: Option<usize>) -> Result<Box<Stub>, Error> {
    let idle = {
        let mut idle = lock(&IDLE);
        let near = idle.iter().rposition(|stub| stub.place == place);
        near.map(|index| idle.remove(index)).or_else(|| idle.pop())
    };
    let mut stub = match idle {
        Some(stub) => stub,
        None => return Ok(Box::new(lock(ZYGOTE.get_or_init(start)).fork(place)?)),
    };
    stub.pass_on(place);
    Ok(stub)
}

/// Takes a stub back: to be used again if it did as it should, else to end.
pub(super) fn give(stub: Box<Stub>) {
    let mut idle = lock(&IDLE);
    if stub.is_sound && idle.len() < KEPT {
        idle.push(stub);
        return;
    }
    drop(idle);
    let slot = stub.slot;
    drop(stub);
    if let Some(zygote) = ZYGOTE.get() {
        lock(zygote).free.push(slot);
    }
}

impl Zygote {
    fn fork(&mut self, place: Option<usize>) -> Result<Stub, Error> {
        if let Some(cpu) = place
            && self.place != place
            && affinity::set(self.child.pid, cpu)
        {
            self.place = place;
        }
        let slot = self.free.pop().unwrap_or(self.fresh);
        if slot == MAX_STUBS {
            return Err(Error::from_raw_os_error(libc::EAGAIN));
        }
        self.fresh = self.fresh.max(slot + 1);
        let stub = self.fork_into(slot);
        if stub.is_err() {
            self.free.push(slot);
        }
        stub
    }

    fn fork_into(&mut self, slot: usize) -> Result<Stub, Error> {
        let block = block_at(self.blocks, slot);
        block.reset();
        block.set_long(block::PARENT, std::process::id().into());
        self.block.set_long(block::SLOT, (slot * block::LEN) as u64);
        self.block.give();
        if !answers(&self.block, &self.child) {
            sys::refuse(
                "the process that makes others to live",
                &Error::from_raw_os_error(libc::EIO),
            );
        }
        let result = self.block.get(block::RESULT).cast_signed();
        if result <= 0 {
            return Err(Error::from_raw_os_error(-result));
        }
        let child = Child::new(result)?;
        if !answers(&block, &child) {
            return Err(Error::from_raw_os_error(libc::EIO));
        }
        match block.get(block::ERROR).cast_signed() {
            0 => Ok(Stub::new(child, block, slot, self.place)),
            error => {
                sys::refuse("filters of system calls (seccomp)", &Error::from_raw_os_error(error))
            }
        }
    }
}

fn block_at(blocks: usize, slot: usize) -> Block {
    Block::new(ptr::with_exposed_provenance_mut(blocks + slot * block::LEN))
}

/// Starts the zygote in a thread of its own.
#[cold]
fn start() -> Mutex<Zygote> {
    check_host();
    let (send, receive) = mpsc::channel();
    let body = move || {
        let zygote = start_here();
        let _ = send.send(zygote);
        loop {
            thread::park();
        }
    };
    let spawned = thread::Builder::new().name("zygote".into()).spawn(body);
    if let Err(error) = spawned {
        sys::refuse("another thread", &error);
    }
    Mutex::new(receive.recv().expect("the thread sends a zygote or ends the process"))
}

/// What cannot be tried without side effects.
fn check_host() {
    /// Programs set the bases of FS and GS themselves, and so does the stub.
    const FSGSBASE: libc::c_ulong = 2;
    // SAFETY: the call reads what the host put behind the arguments.
    let features = unsafe { libc::getauxval(libc::AT_HWCAP2) };
    if features & FSGSBASE == 0 {
        let error = Error::from_raw_os_error(libc::ENOSYS);
        sys::refuse("FSGSBASE, which Linux 5.9 has", &error);
    }
}

fn start_here() -> Zygote {
    block_signals();
    let need = |what, result: Result<File, Error>| {
        result.unwrap_or_else(|error| sys::refuse(what, &error))
    };
    let data = need("memory files (memfd_create)", make_data());
    let image = need("memory files to run (memfd_create)", super::image::make());
    let blocks = sys::map(Some(&data), MAX_STUBS * block::LEN)
        .unwrap_or_else(|error| sys::refuse("mapping the stubs' blocks (mmap)", &error))
        .expose_provenance();
    let block = block_at(blocks, 0);
    block.set_long(block::PARENT, std::process::id().into());
    let fds = [memory::file().as_raw_fd(), data.as_raw_fd(), image.as_raw_fd()];
    let child = execute(fds)
        .unwrap_or_else(|error| sys::refuse("running a memory file (execveat)", &error));
    if !answers(&block, &child) {
        let what = match child.status() {
            Some(1) => "mapping memory to run",
            Some(3) => "unmapping the vDSO",
            Some(4) => "giving up privileges (prctl)",
            _ => "a process that makes others",
        };
        sys::refuse(what, &Error::from_raw_os_error(libc::EPERM));
    }
    Zygote { child, block, blocks, free: Vec::new(), fresh: 1, place: None }
}

fn make_data() -> Result<File, Error> {
    let file = sys::memory_file(c"jinux-stubs", false)?;
    file.set_len((MAX_STUBS * block::LEN) as u64)?;
    Ok(file)
}

/// No signal of the kernel's process is handled by the thread that starts the zygote.
fn block_signals() {
    // SAFETY: a set is an array of words.
    let mut set: libc::sigset_t = unsafe { core::mem::zeroed() };
    // SAFETY: the set is ours.
    unsafe { libc::sigfillset(&raw mut set) };
    // SAFETY: the set is ours, and the old one is not wanted.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const set, ptr::null_mut()) };
}

/// What the new process needs, and where it says why it could not.
struct Start {
    fds: [RawFd; 3],
    error: AtomicI32,
}

/// Starts the image in a child of this thread.
fn execute(fds: [RawFd; 3]) -> Result<Child, Error> {
    const STACK: usize = 64 << 10;
    let mut start = Start { fds, error: AtomicI32::new(0) };
    let mut stack: Vec<u128> = std::vec![0; STACK / size_of::<u128>()];
    let top = stack.as_mut_ptr_range().end;
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the child runs on a stack of its own, and this thread waits until it is done with our
    // memory; all signals are blocked, so no handler runs in it.
    let pid = unsafe {
        libc::clone(run_image, top.cast::<c_void>(), flags, (&raw mut start).cast::<c_void>())
    };
    if pid < 0 {
        return Err(sys::last());
    }
    let child = Child::new(pid).unwrap_or_else(|error| {
        sys::refuse("handles of processes (pidfd_open)", &error);
    });
    match start.error.load(Ordering::Relaxed) {
        0 => Ok(child),
        error => Err(Error::from_raw_os_error(error)),
    }
}

/// The child: gives the descriptors their numbers and runs the image.
extern "C" fn run_image(start: *mut c_void) -> libc::c_int {
    // SAFETY: the parent waits, and its variable lives.
    let start = unsafe { &*start.cast::<Start>() };
    // SAFETY: none of these calls touches memory.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    // First out of the way of each other.
    // SAFETY: as above.
    let copies = start.fds.map(|fd| unsafe { libc::fcntl(fd, libc::F_DUPFD, 16) });
    for (copy, fd) in copies.into_iter().zip([PHYS_FD, DATA_FD, IMAGE_FD]) {
        // SAFETY: as above.
        unsafe { libc::dup2(copy, fd) };
    }
    // SAFETY: as above; the child has descriptors of its own.
    unsafe { libc::syscall(libc::SYS_close_range, 0, PHYS_FD - 1, 0) };
    // SAFETY: as above.
    unsafe { libc::syscall(libc::SYS_close_range, IMAGE_FD + 1, libc::c_uint::MAX, 0) };
    let arguments = [c"jinux-stub".as_ptr(), ptr::null()];
    let environment = [ptr::null::<libc::c_char>()];
    // SAFETY: the lists end with null pointers, the strings with a NUL.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            IMAGE_FD,
            c"".as_ptr(),
            arguments.as_ptr(),
            environment.as_ptr(),
            libc::AT_EMPTY_PATH,
        );
    }
    start.error.store(sys::last().raw_os_error().unwrap_or(libc::EIO), Ordering::Relaxed);
    127
}
