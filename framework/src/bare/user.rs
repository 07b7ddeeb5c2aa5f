//! Running user mode.

use super::{
    fpu::Fpu,
    interrupt,
    local::{Local, local},
    registers::{FS_BASE, KERNEL_GS_BASE, write_msr},
    trap::{self, FIRST_INTERRUPT, SYSCALL, enter_user},
};
use crate::{
    VirtAddr, VmSpace,
    user::{Exception, PageFault, Regs, Trap},
};
use core::arch::asm;
use x86_64::instructions::interrupts;

/// Flags that a program may have: the status flags, TF, DF, NT, RF, AC and ID.
const USER_FLAGS: usize = 0x25_4dd5;
/// Always one, and interrupts on.
const FIXED_FLAGS: usize = 0x202;
/// Flags that `sysret` gives back as they should be: all of the above but TF and RF.
const SYSRET_FLAGS: usize = USER_FLAGS & !0x1_0100;

/// The first bit of an address above the lower canonical half.
const HALF: u32 = 47;

const NO_FPU: usize = 7;
const PROTECTION: u8 = 13;
const PAGE_FAULT: usize = 14;

/// Enters user mode until the next trap that concerns the kernel.
pub(crate) fn run(regs: &mut Regs, fpu: &mut Fpu, space: &VmSpace) -> Trap {
    space.activate();
    loop {
        // What a system call left behind; all else is rare.
        let sysret = regs.rcx == regs.rip
            && regs.r11 == regs.rflags
            && regs.rflags & !SYSRET_FLAGS == FIXED_FLAGS
            && regs.rip >> HALF == 0;
        if !sysret && !sanitize(regs) {
            return Trap::Exception(Exception { vector: PROTECTION, error: 0 });
        }
        interrupts::disable();
        let local = local();
        if local.take_attention() {
            interrupts::enable();
            return Trap::Attention;
        }
        if local.program.get() != fpu.id()
            || regs.fs_base != local.fs_base.get()
            || regs.gs_base != local.gs_base.get()
        {
            change_program(local, regs, fpu);
        }
        let trap = enter(regs, sysret);
        if trap == SYSCALL {
            interrupts::enable();
            return Trap::Syscall;
        }
        if let Some(trap) = other(trap, fpu) {
            return trap;
        }
    }
}

/// Makes the registers ones that `iret` does not fault on, if there is an instruction to go to.
#[cold]
fn sanitize(regs: &mut Regs) -> bool {
    regs.rflags = regs.rflags & USER_FLAGS | FIXED_FLAGS;
    is_canonical(regs.rip)
}

/// Runs user mode until the next trap; its vector, or [`SYSCALL`].
///
/// Interrupts are off, GS is the kernel's and the space is active; the flags and the instruction
/// pointer have been checked.
#[inline(always)]
fn enter(regs: &mut Regs, sysret: bool) -> usize {
    let trap;
    // SAFETY: `trap.s` comes back at the next trap with the stack as it was; all registers that it
    // does not keep are named.
    unsafe {
        asm!(
            "call {enter_user}",
            enter_user = sym enter_user,
            inout("rdi") regs => _,
            inout("rsi") usize::from(sysret) => _,
            out("rax") trap,
            out("rcx") _, out("rdx") _, out("r8") _, out("r9") _, out("r10") _, out("r11") _,
            out("r12") _, out("r13") _, out("r14") _, out("r15") _,
        );
    }
    trap
}

/// What a trap other than a system call is to the kernel, if anything. Interrupts are off, and on
/// afterwards.
#[inline(never)]
fn other(vector: usize, fpu: &mut Fpu) -> Option<Trap> {
    let error = local().error.get();
    let number = u8::try_from(vector).expect("a vector");
    if vector >= FIRST_INTERRUPT {
        let own = interrupt::interrupt(number);
        interrupts::enable();
        return (!own).then_some(Trap::Interrupt);
    }
    if vector == PAGE_FAULT {
        let at = VirtAddr::new(trap::page_fault_address());
        interrupts::enable();
        return Some(Trap::PageFault(PageFault {
            at,
            write: error & 2 != 0,
            execute: error & 16 != 0,
            present: error & 1 != 0,
        }));
    }
    interrupts::enable();
    if vector == NO_FPU && fpu.load().is_ok() {
        return None;
    }
    Some(Trap::Exception(Exception { vector: number, error }))
}

const fn is_canonical(at: usize) -> bool {
    at >> HALF == 0 || at >> HALF == usize::MAX >> HALF
}

/// Gives another program its segment bases and the FPU's state or trap; interrupts are off.
///
/// A program that loads a segment selector changes a base itself, and finds the old one again when
/// another program has run.
#[cold]
fn change_program(local: &Local, regs: &mut Regs, fpu: &Fpu) {
    fpu.prepare(local);
    for base in [&mut regs.fs_base, &mut regs.gs_base] {
        if !is_canonical(*base) {
            *base = 0;
        }
    }
    write_msr(FS_BASE, regs.fs_base as u64);
    write_msr(KERNEL_GS_BASE, regs.gs_base as u64);
    local.program.set(fpu.id());
    local.fs_base.set(regs.fs_base);
    local.gs_base.set(regs.gs_base);
}
