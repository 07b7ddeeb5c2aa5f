//! Traps: the entry code, exceptions of the kernel, and interrupts.

use super::{
    backtrace::Place,
    descriptors::{USER_CODE, USER_DATA},
    interrupt,
    local::{self, local},
};
use crate::user::Regs;
use core::{
    arch::{asm, global_asm},
    fmt,
    mem::offset_of,
};

global_asm!(
    include_str!("trap.s"),
    TRAP_STACK = const local::TRAP_STACK,
    SCRATCH = const local::SCRATCH,
    REGS = const local::REGS,
    ERROR = const local::ERROR,
    USER_CODE = const USER_CODE,
    USER_DATA = const USER_DATA,
    RAX = const from_end(offset_of!(Regs, rax)),
    RBX = const from_end(offset_of!(Regs, rbx)),
    RCX = const from_end(offset_of!(Regs, rcx)),
    RDX = const from_end(offset_of!(Regs, rdx)),
    RSI = const from_end(offset_of!(Regs, rsi)),
    RDI = const from_end(offset_of!(Regs, rdi)),
    RBP = const from_end(offset_of!(Regs, rbp)),
    RSP = const from_end(offset_of!(Regs, rsp)),
    R8 = const from_end(offset_of!(Regs, r8)),
    R9 = const from_end(offset_of!(Regs, r9)),
    R10 = const from_end(offset_of!(Regs, r10)),
    R11 = const from_end(offset_of!(Regs, r11)),
    R12 = const from_end(offset_of!(Regs, r12)),
    R13 = const from_end(offset_of!(Regs, r13)),
    R14 = const from_end(offset_of!(Regs, r14)),
    R15 = const from_end(offset_of!(Regs, r15)),
    RIP = const from_end(offset_of!(Regs, rip)),
    RFLAGS = const from_end(offset_of!(Regs, rflags)),
    kernel_interrupt = sym kernel_interrupt,
    kernel_exception = sym kernel_exception,
);

unsafe extern "C" {
    safe static trap_stubs: u8;
    safe static syscall_entry: u8;
    /// Runs user mode until the next trap; its convention is its own, see `trap.s`.
    pub(super) fn enter_by_sysret();
    /// The same for any registers.
    pub(super) fn enter_by_iret();
}

/// Bytes of the part of [`Regs`] that is pushed by a system call.
pub(super) const PUSHED: usize = offset_of!(Regs, rsp) + size_of::<usize>();

/// An offset as `trap.s` counts it: from the end of the pushed part.
const fn from_end(offset: usize) -> isize {
    offset.cast_signed() - PUSHED.cast_signed()
}

/// What [`enter_by_sysret`] returns for a system call.
pub(super) const SYSCALL: usize = 256;

/// The first vector of an interrupt; those below are exceptions.
pub(super) const FIRST_INTERRUPT: usize = 32;

/// The address of the entry stub of `vector`.
pub(super) fn stub(vector: usize) -> usize {
    (&raw const trap_stubs).addr() + 16 * vector
}

/// The address where `syscall` enters.
pub(super) fn syscall_address() -> usize {
    (&raw const syscall_entry).addr()
}

/// Registers at an exception in kernel mode, in the order in which `trap.s` pushes them.
#[repr(C)]
pub(super) struct Frame {
    r15: usize,
    r14: usize,
    r13: usize,
    r12: usize,
    r11: usize,
    r10: usize,
    r9: usize,
    r8: usize,
    rdi: usize,
    rsi: usize,
    rbp: usize,
    rbx: usize,
    rdx: usize,
    rcx: usize,
    rax: usize,
    vector: usize,
    error: usize,
    rip: usize,
    cs: usize,
    rflags: usize,
    rsp: usize,
    ss: usize,
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "rip {:016x} rsp {:016x} rflags {:08x}", self.rip, self.rsp, self.rflags)?;
        writeln!(f, "rax {:016x} rbx {:016x} rcx {:016x}", self.rax, self.rbx, self.rcx)?;
        writeln!(f, "rdx {:016x} rsi {:016x} rdi {:016x}", self.rdx, self.rsi, self.rdi)?;
        writeln!(f, "rbp {:016x} r8  {:016x} r9  {:016x}", self.rbp, self.r8, self.r9)?;
        writeln!(f, "r10 {:016x} r11 {:016x} r12 {:016x}", self.r10, self.r11, self.r12)?;
        writeln!(f, "r13 {:016x} r14 {:016x} r15 {:016x}", self.r13, self.r14, self.r15)?;
        writeln!(f, "cs {:x} ss {:x}", self.cs, self.ss)?;
        write!(f, "at {}", Place(self.rip))
    }
}

/// An interrupt that came in kernel mode; interrupts are off.
extern "C" fn kernel_interrupt(vector: u8) {
    if !interrupt::interrupt(vector) {
        local().set_attention();
    }
}

const NMI: usize = 2;
const DOUBLE_FAULT: usize = 8;
const PAGE_FAULT: usize = 14;

/// An exception in kernel mode: a fault of a user copy, or the end.
extern "C" fn kernel_exception(frame: &mut Frame) {
    match frame.vector {
        NMI => interrupt::nmi(frame.rip, frame.rbp),
        PAGE_FAULT => match landing(frame.rip) {
            Some(rip) => frame.rip = rip,
            None => panic!(
                "page fault in kernel mode at {:#x}, error {:#x}\n{frame}",
                page_fault_address(),
                frame.error
            ),
        },
        DOUBLE_FAULT => panic!("double fault, as a full kernel stack causes it\n{frame}"),
        vector => panic!("exception {vector} in kernel mode, error {:#x}\n{frame}", frame.error),
    }
}

/// Where the last page fault was.
#[inline]
pub(super) fn page_fault_address() -> usize {
    let address;
    // SAFETY: reading CR2 has no effect.
    unsafe { asm!("mov {}, cr2", out(reg) address, options(nomem, nostack, preserves_flags)) };
    address
}

/// Where an instruction that may fault on user memory goes on; see `copy.rs`.
#[repr(C)]
struct Landing {
    from: usize,
    to: usize,
}

unsafe extern "C" {
    safe static exception_table: Landing;
    safe static exception_table_end: Landing;
}

fn landings() -> (*const Landing, usize) {
    let start = &raw const exception_table;
    let end = (&raw const exception_table_end).addr();
    (start, end.wrapping_sub(start.addr()) / size_of::<Landing>())
}

/// Puts the table in order; once, before it is write-protected.
pub(super) fn sort_landings() {
    let (start, len) = landings();
    // SAFETY: the link script puts the table's entries between the two symbols; nothing has faulted
    // yet, so nobody reads it, and the boot page tables let us write it.
    let table = unsafe { core::slice::from_raw_parts_mut(start.cast_mut(), len) };
    table.sort_unstable_by_key(|landing| landing.from);
}

fn landing(rip: usize) -> Option<usize> {
    let (start, len) = landings();
    // SAFETY: as in `sort_landings`; the table does not change any more.
    let table = unsafe { core::slice::from_raw_parts(start, len) };
    let found = table.binary_search_by_key(&rip, |landing| landing.from).ok()?;
    Some(table[found].to)
}
