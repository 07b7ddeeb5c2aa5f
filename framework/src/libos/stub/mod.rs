//! Stubs: processes of the host in which programs run.
//!
//! A stub is what a CPU is to an address space: it runs one program at a time, traps to the kernel,
//! and remembers some of the page table (`tlb.rs`). There is one for each space on each CPU that has
//! run it, so no two threads ever share what is in it. It holds nothing that could not be had again:
//! a stub may be told to forget everything, be given to another space, or be killed between traps.
//!
//! ```text
//!   0x0000_0001_0000  the guest's: parts of the memory file, and nothing else
//!   0x7fff_ffe0_0000  the window: the program (stub.s), to read and run
//!   0x7fff_ffe1_0000              the block (block.rs), shared with the kernel
//! ```
//! A trap is a signal: the host puts all registers on the stack in the block, the handler gives the
//! turn to the kernel and sleeps; the kernel changes the registers in place, leaves operations to be
//! carried out, and gives the turn back; the handler returns from the signal. A system call is made a
//! signal by the filter (filter.rs).
//!
//! The guest can write the block and jump into the window, and so forge traps and mappings of its
//! own process. The kernel believes nothing it reads there, and ends a stub whose trap is in the
//! window or which does not answer; its process is then killed (vector 18, the machine check).
//! The library OS isolates for development: it does not hold a hostile program that wants into
//! another one.

mod block;
mod filter;
mod image;
mod tlb;
mod zygote;

use super::{affinity, cpu::Runner, fpu::Fpu, sys::Child};
use crate::{
    VirtAddr,
    user::{Exception, PageFault, Regs, Trap},
};
pub(super) use block::Frame;
use block::{Block, Registers};
use core::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use std::{boxed::Box, io::Error};
pub(super) use tlb::Tlb;

/// Flags that a program may have: the status flags, TF, DF, NT, RF, AC and ID.
const USER_FLAGS: usize = 0x25_4dd5;
/// Always one, and interrupts on.
const FIXED_FLAGS: usize = 0x202;
/// The selectors of a 64-bit program: CS and, far above it, SS.
const SELECTORS: u64 = 0x002b_0000_0000_0033;

/// Places of the host's register array.
const FLAGS: usize = 17;
const ERROR: usize = 19;
const VECTOR: usize = 20;
const CR2: usize = 22;

/// The architecture of a 64-bit system call, as the host tells it.
const X86_64: u64 = 0xc000_003e;

const PROTECTION: u8 = 13;
const PAGE_FAULT: u64 = 14;
/// Exceptions that a program can make.
const VECTORS: [u64; 13] = [0, 1, 3, 4, 5, 6, 9, 10, 11, 12, 13, 16, 17];
const SIMD: u64 = 19;

/// The stub is dead, or has done what no stub does; or its host has no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lost;

/// What came out of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// For the kernel.
    Trap(Trap),
    /// A page fault of the host's: perhaps only the stub does not know the page.
    Fault(PageFault),
    /// The signal of a kick.
    Kick,
    /// Nothing to do with the program.
    Nothing,
    /// An operation failed; the program did not run.
    Refused,
}

/// A stub whose turn it is not.
#[derive(Debug)]
pub(super) struct Stub {
    child: Child,
    block: Block,
    slot: usize,
    /// The host CPU it is bound to.
    place: Option<usize>,
    /// Tells it from all others that ever were.
    serial: u64,
    /// The program whose FPU state is in the registers.
    fpu: u64,
    /// It has done nothing wrong.
    is_sound: bool,
    pub(super) tlb: Tlb,
    /// A page that the program waits for.
    pub(super) wanted: Option<PageFault>,
    /// What was tried in vain of late.
    vain: Vain,
}

/// Counts what may go right at the next try, so that it ends.
#[derive(Clone, Copy, Debug, Default)]
struct Vain {
    /// The last page the stub was told of, how often in a row, and how many before.
    page: VirtAddr,
    times: u32,
    pages: u32,
    /// Operations that the host refused.
    refusals: u32,
}

impl Vain {
    const MAX: u32 = 10;
    /// So many pages are not in vain.
    const PROGRESS: u32 = 64;
}

impl Stub {
    /// A stub that maps nothing, bound to a host CPU if one is given.
    ///
    /// # Errors
    /// The host has no more processes or memory.
    pub(super) fn take(place: Option<usize>) -> Result<Box<Self>, Error> {
        zygote::take(place)
    }

    /// Gives it up.
    pub(super) fn release(self: Box<Self>) {
        zygote::give(self);
    }

    /// Makes it one for another space, bound to this host CPU.
    pub(super) fn pass_on(&mut self, place: Option<usize>) {
        self.tlb.clear();
        self.wanted = None;
        self.settle();
        if let Some(cpu) = place
            && self.place != place
            && affinity::set(self.child.pid, cpu)
        {
            self.place = place;
        }
    }

    fn new(child: Child, block: Block, slot: usize, place: Option<usize>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            child,
            block,
            slot,
            place,
            serial: NEXT.fetch_add(1, Ordering::Relaxed),
            fpu: 0,
            is_sound: true,
            tlb: Tlb::new(),
            wanted: None,
            vain: Vain::default(),
        }
    }

    /// Who runs the program, to be signalled.
    pub(super) fn runner(&self) -> Runner {
        Runner { pid: self.child.pid, tid: self.child.pid }
    }

    /// The turn, to be given and waited for.
    pub(super) fn turn(&self) -> Turn {
        Turn(self.block)
    }

    /// Whether the process has ended.
    pub(super) fn is_dead(&self) -> bool {
        self.child.is_dead()
    }

    /// Ends the process, which is not used again.
    pub(super) fn condemn(&mut self) {
        self.is_sound = false;
        self.child.kill();
    }

    /// The stub was told of a page that the program could not touch; that helps, or nothing does.
    pub(super) fn told(&mut self, page: VirtAddr) -> Result<(), Lost> {
        if self.vain.page != page {
            self.vain.pages += 1;
            self.vain = Vain { page, times: 0, ..self.vain };
        }
        self.vain.times += 1;
        if self.vain.times <= Vain::MAX { Ok(()) } else { Err(Lost) }
    }

    /// The host has refused an operation. To forget everything gives it back what it may be short
    /// of; if that does not help for long, nothing does.
    fn refused(&mut self) -> Result<(), Lost> {
        if self.vain.pages > Vain::PROGRESS {
            self.vain.refusals = 0;
        }
        self.vain.pages = 0;
        self.vain.refusals += 1;
        self.tlb.clear();
        if self.vain.refusals <= Vain::MAX { Ok(()) } else { Err(Lost) }
    }

    /// Makes the stub ready to run the program, all but giving it the turn.
    pub(super) fn load(&mut self, regs: &mut Regs, fpu: &mut Fpu) -> Result<(), Lost> {
        let frame = self.block.frame().ok_or(Lost)?;
        for base in [&mut regs.fs_base, &mut regs.gs_base] {
            if !is_canonical(*base) {
                *base = 0;
            }
        }
        regs.rflags = regs.rflags & USER_FLAGS | FIXED_FLAGS;
        frame.set_registers(&to_host(regs), image::MASK);
        self.block.set_long(block::FS_BASE, regs.fs_base as u64);
        self.block.set_long(block::GS_BASE, regs.gs_base as u64);
        if fpu.place != self.serial || self.fpu != fpu.id() {
            fpu.load(&frame).ok_or(Lost)?;
            fpu.place = self.serial;
            self.fpu = fpu.id();
        }
        self.leave_operations()
    }

    /// Leaves what is to be done to the address space; carries out first what does not fit.
    fn leave_operations(&mut self) -> Result<(), Lost> {
        self.block.set(block::ERROR, 0);
        loop {
            let operations = self.tlb.take(block::MAX_OPERATIONS);
            self.block.set_operations(&operations);
            let come_back = self.tlb.has_pending();
            self.block.set(block::COME_BACK, come_back.into());
            if !come_back {
                return Ok(());
            }
            self.block.give();
            if !answers(&self.block, &self.child) {
                return Err(Lost);
            }
            if self.block.get(block::ERROR) != 0 {
                self.block.set(block::ERROR, 0);
                self.refused()?;
            }
        }
    }

    /// Takes the registers after the turn has come back, and finds out why.
    pub(super) fn collect(&mut self, regs: &mut Regs, fpu: &mut Fpu) -> Result<Event, Lost> {
        if self.block.get(block::ERROR) != 0 {
            self.refused()?;
            return Ok(Event::Refused);
        }
        let frame = self.block.frame().ok_or(Lost)?;
        let registers = frame.registers();
        from_host(&registers, regs);
        if image::is_in_window(regs.rip) {
            return Err(Lost);
        }
        regs.fs_base = base(self.block.get_long(block::FS_BASE));
        regs.gs_base = base(self.block.get_long(block::GS_BASE));
        fpu.save(&frame).ok_or(Lost)?;
        self.event(&registers, regs)
    }

    fn event(&mut self, registers: &Registers, regs: &mut Regs) -> Result<Event, Lost> {
        let signal = self.block.get(block::SIGNAL).cast_signed();
        if signal == libc::SIGALRM {
            return Ok(Event::Kick);
        }
        if self.block.get(block::SIGNAL_CODE).cast_signed() <= 0 {
            return Ok(Event::Nothing); // somebody on the host sent it
        }
        if signal == libc::SIGSYS {
            if self.block.get_long(block::CALL) >> 32 == X86_64 {
                return Ok(Event::Trap(Trap::Syscall));
            }
            // The machine has no gate for `int 0x80`.
            regs.rip = regs.rip.wrapping_sub(2);
            return Ok(exception(PROTECTION, 0x402));
        }
        let (vector, error) = (registers[VECTOR], registers[ERROR]);
        if signal == libc::SIGSEGV && vector == PAGE_FAULT {
            return Ok(Event::Fault(PageFault {
                at: VirtAddr::new(word(registers[CR2])),
                write: error & 2 != 0,
                execute: error & 16 != 0,
                present: false,
            }));
        }
        if VECTORS.contains(&vector) || vector == SIMD {
            return Ok(exception(u8::try_from(vector).map_err(|_| Lost)?, error));
        }
        Err(Lost)
    }

    /// A trap is handed to the kernel: what is tried again from now on is something else.
    pub(super) fn settle(&mut self) {
        self.vain = Vain::default();
    }
}

fn exception(vector: u8, error: u64) -> Event {
    Event::Trap(Trap::Exception(Exception { vector, error }))
}

/// Gives and awaits turns without the stub, which others may look at meanwhile.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn(Block);

impl Turn {
    /// Lets the stub run.
    pub(super) fn give(self) {
        self.0.give();
    }

    /// Whether it has trapped.
    pub(super) fn is_back(self) -> bool {
        self.0.is_ours()
    }

    /// Waits for a trap, but not longer than this; may return earlier.
    pub(super) fn wait(self, timeout: Duration) {
        self.0.wait(timeout);
    }
}

/// Waits until the turn is the kernel's; false if the process ends or takes too long.
fn answers(block: &Block, child: &Child) -> bool {
    /// For a process to start on a busy host.
    const PATIENCE: Duration = Duration::from_secs(20);
    const STEP: Duration = Duration::from_millis(10);
    let start = std::time::Instant::now();
    while !block.is_ours() {
        block.wait(STEP);
        let waited = start.elapsed();
        if waited >= STEP && child.is_dead() && !block.is_ours() || waited > PATIENCE {
            return false;
        }
    }
    true
}

pub(super) const fn is_canonical(at: usize) -> bool {
    const HALF: u32 = 47;
    at >> HALF == 0 || at >> HALF == usize::MAX >> HALF
}

fn word(value: u64) -> usize {
    usize::try_from(value).expect("both are 64 bits")
}

fn base(value: u64) -> usize {
    let base = word(value);
    if is_canonical(base) { base } else { 0 }
}

fn to_host(regs: &Regs) -> [u64; 19] {
    let host = [
        regs.r8,
        regs.r9,
        regs.r10,
        regs.r11,
        regs.r12,
        regs.r13,
        regs.r14,
        regs.r15,
        regs.rdi,
        regs.rsi,
        regs.rbp,
        regs.rbx,
        regs.rdx,
        regs.rax.get(),
        regs.rcx,
        regs.rsp,
        regs.rip,
        regs.rflags,
        0,
    ];
    let mut host = host.map(|value| value as u64);
    host[FLAGS + 1] = SELECTORS;
    host
}

fn from_host(host: &Registers, regs: &mut Regs) {
    let targets = [
        &mut regs.r8,
        &mut regs.r9,
        &mut regs.r10,
        &mut regs.r11,
        &mut regs.r12,
        &mut regs.r13,
        &mut regs.r14,
        &mut regs.r15,
        &mut regs.rdi,
        &mut regs.rsi,
        &mut regs.rbp,
        &mut regs.rbx,
        &mut regs.rdx,
        regs.rax.get_mut(),
        &mut regs.rcx,
        &mut regs.rsp,
        &mut regs.rip,
        &mut regs.rflags,
    ];
    for (target, value) in targets.into_iter().zip(host) {
        *target = word(*value);
    }
}
