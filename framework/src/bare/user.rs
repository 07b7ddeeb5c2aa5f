//! Running user mode.

use super::{
    features::{self, Features},
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
/// Flags that `sysret` does not give back as they should be: TF and RF.
const SLOW_FLAGS: usize = 0x1_0100;

/// The first address that is not canonical.
const HOLE: usize = 1 << 47;

const NO_FPU: usize = 7;
const PROTECTION: u8 = 13;
const PAGE_FAULT: usize = 14;

/// Enters user mode until the next trap that concerns the kernel.
pub(crate) fn run(regs: &mut Regs, fpu: &mut Fpu, space: &VmSpace) -> Trap {
    space.activate();
    loop {
        if !is_canonical(regs.rip) {
            return Trap::Exception(Exception { vector: PROTECTION, error: 0 });
        }
        regs.rflags = regs.rflags & USER_FLAGS | FIXED_FLAGS;
        interrupts::disable();
        let local = local();
        if local.take_attention() {
            interrupts::enable();
            return Trap::Interrupt;
        }
        fpu.prepare(local);
        load_bases(local, regs);
        let sysret = regs.rcx == regs.rip
            && regs.r11 == regs.rflags
            && regs.rflags & SLOW_FLAGS == 0
            && regs.rip < HOLE;
        // SAFETY: interrupts are off, GS is the kernel's, the space is active; the flags and the
        // instruction pointer are ones that neither `sysret` nor `iret` faults on.
        let trap = unsafe { enter_user(regs, usize::from(sysret)) };
        save_bases(local, regs);
        if trap == SYSCALL {
            interrupts::enable();
            return Trap::Syscall;
        }
        if let Some(trap) = other(trap, local, fpu) {
            return trap;
        }
    }
}

/// What a trap other than a system call is to the kernel, if anything. Interrupts are off, and on
/// afterwards.
fn other(vector: usize, local: &Local, fpu: &mut Fpu) -> Option<Trap> {
    let error = local.error.get();
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
    at < HOLE || at >= HOLE.wrapping_neg()
}

/// Gives the program its segment bases; interrupts are off.
#[inline]
fn load_bases(local: &Local, regs: &mut Regs) {
    if regs.fs_base != local.fs_base.get() || regs.gs_base != local.gs_base.get() {
        load_new_bases(local, regs);
    }
}

#[cold]
fn load_new_bases(local: &Local, regs: &mut Regs) {
    for base in [&mut regs.fs_base, &mut regs.gs_base] {
        if !is_canonical(*base) {
            *base = 0;
        }
    }
    write_msr(FS_BASE, regs.fs_base as u64);
    write_msr(KERNEL_GS_BASE, regs.gs_base as u64);
    local.fs_base.set(regs.fs_base);
    local.gs_base.set(regs.gs_base);
}

/// Reads the program's segment bases, which it may have changed; interrupts are off.
#[inline]
fn save_bases(local: &Local, regs: &mut Regs) {
    if !features::has(Features::FSGSBASE) {
        // A program changes them by loading a selector at most; they are set anew each time.
        local.fs_base.set(usize::MAX);
        return;
    }
    let (fs, gs);
    // SAFETY: the feature is enabled, and the kernel's GS is back after the second `swapgs`.
    unsafe {
        asm!(
            "rdfsbase {fs}",
            "swapgs",
            "rdgsbase {gs}",
            "swapgs",
            fs = out(reg) fs,
            gs = out(reg) gs,
            options(nomem, nostack, preserves_flags)
        );
    }
    regs.fs_base = fs;
    regs.gs_base = gs;
    local.fs_base.set(fs);
    local.gs_base.set(gs);
}
