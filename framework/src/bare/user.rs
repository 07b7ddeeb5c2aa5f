//! Running user mode.

use super::{
    fpu::Fpu,
    interrupt::{self, disable_interrupts, enable_interrupts},
    local::{Local, local},
    registers::{FS_BASE, KERNEL_GS_BASE, write_msr},
    trap::{self, FIRST_INTERRUPT, PUSHED, SYSCALL, enter_by_iret, enter_by_sysret},
};
use crate::{
    VirtAddr, VmSpace,
    user::{Exception, PageFault, Regs, Ticket, Trap, UserContext},
};
use core::arch::asm;

/// Runs user mode until the next trap; its vector, or [`SYSCALL`].
///
/// Interrupts are off, GS is the kernel's, the program's space and segment bases are active; flags
/// and instruction pointer are such that the instruction does not fault in kernel mode.
macro_rules! enter {
    ($how:ident, $regs:expr) => {{
        let end = (&raw mut $regs).wrapping_byte_add(PUSHED);
        let trap: usize;
        // SAFETY: `trap.s` comes back at the next trap with the stack as it was; all registers that
        // it does not keep are named.
        unsafe {
            asm!(
                "call {enter}",
                enter = sym $how,
                inout("rdi") end => _,
                out("rax") trap,
                out("rcx") _, out("rdx") _, out("rsi") _, out("r8") _, out("r9") _, out("r10") _,
                out("r11") _, out("r12") _, out("r13") _, out("r14") _, out("r15") _,
            );
        }
        trap
    }};
}

/// Set while a program is stepped through; `sysret` would trap before the next instruction.
const TRAP_FLAG: usize = 0x100;
/// Flags that a program may have: the status flags, TF, DF, NT, RF, AC and ID.
const USER_FLAGS: usize = 0x25_4dd5;
/// Always one, and interrupts on.
const FIXED_FLAGS: usize = 0x202;
/// Flags that `sysret` gives back as they should be: all of the above but TF and RF.
const SYSRET_FLAGS: usize = USER_FLAGS & !(TRAP_FLAG | 0x1_0000);

/// The first bit of an address above the lower canonical half.
const HALF: u32 = 47;

const NO_FPU: usize = 7;
const PROTECTION: u8 = 13;
const PAGE_FAULT: usize = 14;
/// The bit in a page fault's error code that tells that it was an access in user mode.
const BY_USER: u64 = 4;

/// Enters user mode until the next trap that concerns the kernel.
#[inline]
pub(crate) fn run(context: &mut UserContext, space: &VmSpace) -> Trap {
    disable_interrupts();
    let mut vector = None;
    // Whatever needs a look has made the CPU's ticket another one.
    if context.ticket.0 == local().ticket() && context.regs.rflags & TRAP_FLAG == 0 {
        let trap = enter!(enter_by_sysret, context.regs);
        if trap == SYSCALL {
            enable_interrupts();
            return Trap::Syscall;
        }
        vector = Some(trap);
    }
    run_anew(vector, context, space)
}

/// The same for a program that may be in any state; it has just trapped if there is a vector.
/// Interrupts are off.
#[cold]
#[inline(never)]
fn run_anew(mut vector: Option<usize>, context: &mut UserContext, space: &VmSpace) -> Trap {
    loop {
        if let Some(vector) = vector {
            if vector == SYSCALL {
                enable_interrupts();
                return Trap::Syscall;
            }
            context.ticket = Ticket::NONE;
            if let Some(trap) = other(vector, &mut context.fpu) {
                return trap;
            }
            disable_interrupts();
        }
        let local = local();
        if local.take_attention() {
            enable_interrupts();
            return Trap::Attention;
        }
        space.activate();
        let Some(sysret) = admit(local, context) else {
            enable_interrupts();
            return Trap::Exception(Exception { vector: PROTECTION, error: 0 });
        };
        vector = Some(if sysret {
            enter!(enter_by_sysret, context.regs)
        } else {
            enter!(enter_by_iret, context.regs)
        });
    }
}

/// Checks the registers, and makes this CPU the program's; whether `sysret` suits, or `None` if
/// there is no instruction to go to.
fn admit(local: &Local, context: &mut UserContext) -> Option<bool> {
    let UserContext { regs, ticket, fpu } = context;
    if *ticket != Ticket::NONE {
        (regs.rcx, regs.r11) = (regs.rip, regs.rflags);
    }
    // What a system call left behind.
    let sysret = regs.rcx == regs.rip
        && regs.r11 == regs.rflags
        && regs.rflags & !SYSRET_FLAGS == FIXED_FLAGS
        && regs.rip >> HALF == 0;
    if !sysret && !sanitize(regs) {
        return None;
    }
    if local.program.get() != fpu.id()
        || regs.fs_base != local.fs_base.get()
        || regs.gs_base != local.gs_base.get()
    {
        change_program(local, regs, fpu);
    }
    ticket.0 = local.next_ticket();
    Some(sysret)
}

/// Makes the registers ones that `iret` does not fault on, if there is an instruction to go to.
fn sanitize(regs: &mut Regs) -> bool {
    regs.rflags = regs.rflags & USER_FLAGS | FIXED_FLAGS;
    is_canonical(regs.rip)
}

/// What a trap other than a system call is to the kernel, if anything. Interrupts are off, and on
/// afterwards.
#[inline(never)]
fn other(vector: usize, fpu: &mut Fpu) -> Option<Trap> {
    let error = local().error.get();
    let number = u8::try_from(vector).expect("a vector");
    if vector >= FIRST_INTERRUPT {
        let own = interrupt::interrupt(number);
        enable_interrupts();
        return (!own).then_some(Trap::Interrupt);
    }
    if vector == PAGE_FAULT && error & BY_USER == 0 {
        // An access of the CPU's own for an instruction of the program, such as to a descriptor;
        // QEMU also reads the frame of an `iret` so. No page that could be mapped would help.
        enable_interrupts();
        return Some(Trap::Exception(Exception { vector: PROTECTION, error: 0 }));
    }
    if vector == PAGE_FAULT {
        let at = VirtAddr::new(trap::page_fault_address());
        enable_interrupts();
        return Some(Trap::PageFault(PageFault {
            at,
            write: error & 2 != 0,
            execute: error & 16 != 0,
            present: error & 1 != 0,
        }));
    }
    enable_interrupts();
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
