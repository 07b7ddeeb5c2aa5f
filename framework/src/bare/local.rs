//! What each CPU keeps for itself, reached by the GS segment while the kernel runs.
//!
//! Only the CPU it belongs to touches its `Local`, and kernel code is never preempted on its CPU,
//! so plain cells do; what interrupt handlers also touch is atomic.

use super::{boot::STACK_SIZE, fpu, registers};
use crate::{
    cpu::{CpuId, MAX_CPUS},
    slab::Magazines,
};
use core::{
    arch::asm,
    cell::{Cell, UnsafeCell},
    mem::offset_of,
    ptr,
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
};
use x86_64::structures::tss::TaskStateSegment;

/// Data of one CPU. The first fields are known to `trap.s` by their offsets.
#[repr(C, align(64))]
pub(super) struct Local {
    /// Its own address, so that `gs:[0]` is a pointer.
    this: Cell<*const Self>,
    /// Where the entry code keeps a register for a moment.
    pub(super) scratch: Cell<usize>,
    /// The error code of the last trap from user mode.
    pub(super) error: Cell<u64>,
    /// Puts the first stack pointer of the task state segment on an 8-byte boundary.
    _padding: u32,
    /// The task state segment; its first stack pointer is the kernel stack of a trap from user mode.
    pub(super) tss: UnsafeCell<TaskStateSegment>,
    /// Its segment descriptors.
    pub(super) gdt: UnsafeCell<[u64; 10]>,
    id: Cell<CpuId>,
    /// Something happened that ends user mode: an interrupt or a kick that came in kernel mode.
    attention: AtomicBool,
    /// The physical address of the program's table that it translates by, 0 for none.
    pub(super) root: Cell<u64>,
    /// The set of CPUs of that space, which this one is in.
    pub(super) space: Cell<*const AtomicU32>,
    /// The program whose FPU state is in the registers, or null.
    pub(super) fpu: Cell<*mut fpu::State>,
    /// FPU instructions do not trap.
    pub(super) fpu_enabled: Cell<bool>,
    /// The program that ran last, and whose FPU the flag above is right for; see `Fpu::id`.
    pub(super) program: Cell<u64>,
    /// Its part of the kernel heap.
    pub(super) magazines: Magazines,
    /// The ticket of the program that can be gone on with as it is; see `user.rs`.
    ticket: AtomicU64,
    /// How many tickets this CPU has given.
    tickets: Cell<u64>,
    /// The end of the part of its registers that a trap saves; see `trap.s`.
    regs: Cell<usize>,
    /// The program's segment bases that are loaded.
    pub(super) fs_base: Cell<usize>,
    pub(super) gs_base: Cell<usize>,
}

// SAFETY: by the rule of this module, each `Local` is used by one CPU alone.
unsafe impl Sync for Local {}

pub(super) const SCRATCH: usize = offset_of!(Local, scratch);
pub(super) const REGS: usize = offset_of!(Local, regs);
pub(super) const ERROR: usize = offset_of!(Local, error);
pub(super) const TRAP_STACK: usize =
    offset_of!(Local, tss) + offset_of!(TaskStateSegment, privilege_stack_table);

/// A ticket that no program has.
const VOID: u64 = u64::MAX;

static LOCALS: [Local; MAX_CPUS] = [const { Local::new() }; MAX_CPUS];

impl Local {
    const fn new() -> Self {
        Self {
            this: Cell::new(ptr::null()),
            scratch: Cell::new(0),
            error: Cell::new(0),
            _padding: 0,
            tss: UnsafeCell::new(TaskStateSegment::new()),
            gdt: UnsafeCell::new([0; 10]),
            id: Cell::new(CpuId::new(0)),
            attention: AtomicBool::new(false),
            root: Cell::new(0),
            space: Cell::new(ptr::null()),
            fpu: Cell::new(ptr::null_mut()),
            fpu_enabled: Cell::new(false),
            program: Cell::new(0),
            magazines: Magazines::new(),
            ticket: AtomicU64::new(VOID),
            tickets: Cell::new(0),
            regs: Cell::new(0),
            fs_base: Cell::new(0),
            gs_base: Cell::new(0),
        }
    }

    /// The CPU.
    #[inline]
    pub(super) fn id(&self) -> CpuId {
        self.id.get()
    }

    /// A ticket that no program and no CPU has had.
    pub(super) fn next_ticket(&self) -> u64 {
        let next = self.tickets.get() + 1;
        self.tickets.set(next);
        let ticket = next * MAX_CPUS as u64 + u64::from(self.id().get());
        self.ticket.store(ticket, Ordering::Relaxed);
        ticket
    }

    /// Makes the next (or the present) entry into user mode end at once.
    #[inline]
    pub(super) fn set_attention(&self) {
        self.attention.store(true, Ordering::Relaxed);
        self.void_ticket();
    }

    /// Makes the next entry into user mode look at everything again.
    #[inline]
    pub(super) fn void_ticket(&self) {
        self.ticket.store(VOID, Ordering::Relaxed);
    }

    /// The ticket of the program that can be gone on with as it is.
    #[inline]
    pub(super) fn ticket(&self) -> u64 {
        self.ticket.load(Ordering::Relaxed)
    }

    /// Whether something asked for attention since the last call; interrupts are off.
    #[inline]
    pub(super) fn take_attention(&self) -> bool {
        let set = self.attention.load(Ordering::Relaxed);
        if set {
            self.attention.store(false, Ordering::Relaxed);
        }
        set
    }
}

/// Makes `gs` of the CPU that runs this point to the data of `id`.
pub(super) fn install(id: CpuId) {
    let local = &LOCALS[id.index()];
    local.this.set(local);
    local.id.set(id);
    registers::write_msr(registers::GS_BASE, ptr::from_ref(local).addr() as u64);
}

/// This CPU's data. Only for straight code: after an `.await` it may be another CPU's.
#[inline]
pub(super) fn local() -> &'static Local {
    let this: *const Local;
    // SAFETY: `install` has set the GS base to a `Local`, whose first field is its address.
    unsafe {
        asm!("mov {}, gs:[0]", out(reg) this, options(pure, readonly, nostack, preserves_flags));
    }
    // SAFETY: the address is that of an element of `LOCALS`, which is never mutably borrowed.
    unsafe { &*this }
}

/// What `count` counts in the magazines of all CPUs.
pub(super) fn sum_of_magazines(count: &dyn Fn(&Magazines) -> usize) -> usize {
    LOCALS.iter().map(|local| count(&local.magazines)).sum()
}

/// The CPU this code runs on.
#[inline]
pub(super) fn id() -> CpuId {
    local().id()
}

/// Bytes of the stacks that non-maskable interrupts, double faults and machine checks run on.
pub(super) const FAULT_STACK_SIZE: usize = STACK_SIZE / 4;
