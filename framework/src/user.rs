//! User mode: run a context until it traps; the trap is the return value.

use crate::{
    OutOfMemory, VirtAddr, VmSpace,
    machine::{fpu::Fpu, user},
};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The general registers of a program, named as in the SDM.
///
/// A system call pushes those up to `rsp` on the bare machine.
#[repr(C)]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the architecture's")]
pub struct Regs {
    pub rax: Rax,
    pub rbx: usize,
    pub rdx: usize,
    pub rsi: usize,
    pub rdi: usize,
    pub rbp: usize,
    pub r8: usize,
    pub r9: usize,
    pub r10: usize,
    pub r12: usize,
    pub r13: usize,
    pub r14: usize,
    pub r15: usize,
    pub rip: usize,
    pub rflags: usize,
    pub rsp: usize,
    pub rcx: usize,
    pub r11: usize,
    pub fs_base: usize,
    pub gs_base: usize,
}

/// The register that a call's result goes to. Who carries the call out may hold no more than a
/// shared reference to the thread, so it can be set through one.
#[repr(transparent)]
#[derive(Debug, Default)]
pub struct Rax(AtomicUsize);

impl Rax {
    /// A register of this value.
    pub const fn new(value: usize) -> Self {
        Self(AtomicUsize::new(value))
    }

    /// Its value.
    #[inline]
    pub fn get(&self) -> usize {
        self.0.load(Relaxed)
    }

    /// The register itself.
    pub fn get_mut(&mut self) -> &mut usize {
        self.0.get_mut()
    }

    /// Sets it.
    #[inline]
    pub fn set(&self, value: usize) {
        self.0.store(value, Relaxed);
    }
}

impl PartialEq for Rax {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl Eq for Rax {}

impl Clone for Rax {
    fn clone(&self) -> Self {
        Self::new(self.get())
    }
}

/// Why user mode ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trap {
    /// The `syscall` instruction; number in `rax`, arguments in `rdi rsi rdx r10 r8 r9`, `rip`
    /// after the instruction.
    Syscall,
    /// A page fault.
    PageFault(PageFault),
    /// Any other exception.
    Exception(Exception),
    /// An interrupt or a kick in user mode.
    Interrupt,
    /// One came in kernel mode, just before: user mode was not entered.
    Attention,
}

/// A page fault in user mode (SDM 3A, 4.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageFault {
    /// The address that was touched (CR2).
    pub at: VirtAddr,
    /// A store.
    pub write: bool,
    /// An instruction fetch.
    pub execute: bool,
    /// The page was mapped, without the right.
    pub present: bool,
}

/// A CPU exception in user mode (SDM 3A, table 6-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exception {
    /// The vector: 0 divide error, 1 debug, 3 breakpoint, 6 invalid opcode, 13 protection, 16 x87,
    /// ..., or [`MACHINE_CHECK`].
    pub vector: u8,
    /// The error code, 0 where the vector has none.
    pub error: u64,
}

/// The vector of an exception that the program has not caused: the machine under it failed, its
/// registers are lost, and it can only be killed.
pub const MACHINE_CHECK: u8 = 18;

/// What a program's thread is made of: general registers, and the FPU state kept lazily.
#[derive(Debug)]
pub struct UserContext {
    pub(crate) regs: Regs,
    pub(crate) ticket: Ticket,
    pub(crate) fpu: Fpu,
}

/// Says that the registers are those of the program's last system call, but for `rax`: what
/// entered user mode with them can do so again without looking, in the same space. Then `rcx` and `r11` are not kept.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Ticket(pub(crate) u64);

impl Ticket {
    /// What says nothing.
    pub(crate) const NONE: Self = Self(0);
}

/// The bytes are no state this CPU would load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadFpuState;

impl UserContext {
    /// A context with all registers zero but these, and the FPU's initial state.
    pub fn new(entry: VirtAddr, stack: VirtAddr) -> Self {
        let regs = Regs { rip: entry.get(), rsp: stack.get(), ..Regs::default() };
        Self { regs, ticket: Ticket::NONE, fpu: Fpu::new() }
    }

    /// A copy with the FPU state, as fork and clone need.
    pub fn duplicate(&self) -> Result<Self, OutOfMemory> {
        let ticket = Ticket(self.ticket.0);
        let mut copy = Self { regs: self.regs.clone(), ticket, fpu: self.fpu.duplicate()? };
        // The ticket is for one.
        copy.regs_mut();
        Ok(copy)
    }

    /// The general registers as the last trap left them. After a system call, `rcx` and `r11`,
    /// which it overwrote itself, are right only in [`regs_mut`](Self::regs_mut).
    #[inline]
    pub const fn regs(&self) -> &Regs {
        &self.regs
    }

    /// The general registers, to be looked at or changed.
    pub fn regs_mut(&mut self) -> &mut Regs {
        if core::mem::take(&mut self.ticket) != Ticket::NONE {
            self.regs.rcx = self.regs.rip;
            self.regs.r11 = self.regs.rflags;
        }
        &mut self.regs
    }

    /// Sets `rax`, the result of a system call.
    #[inline]
    pub fn set_result(&self, value: usize) {
        self.regs.rax.set(value);
    }

    /// Enters user mode in `space` and returns at the next trap.
    ///
    /// Activates `space` on this CPU only if another one is active. Sanitizes `rflags` and a
    /// non-canonical `rip`, which then traps as a fault of the program.
    ///
    /// A program gets another `space` only with other registers: after a system call that left
    /// [`regs_mut`](Self::regs_mut) alone, `space` is the one of the last run.
    #[inline]
    pub fn run(&mut self, space: &VmSpace) -> Trap {
        user::run(self, space)
    }

    /// Bytes of FPU state in the standard XSAVE format (SDM 1, 13.4).
    pub fn fpu_size() -> usize {
        Fpu::size()
    }

    /// Copies the FPU state out; `to` is [`fpu_size`](Self::fpu_size) bytes long.
    pub fn fpu_read(&mut self, to: &mut [u8]) {
        self.fpu.read(to);
    }

    /// Replaces the FPU state; unknown feature bits and reserved MXCSR bits are refused.
    ///
    /// # Errors
    /// [`BadFpuState`]: the bytes are refused, or there is no memory for them.
    pub fn fpu_write(&mut self, from: &[u8]) -> Result<(), BadFpuState> {
        self.fpu.write(from)
    }

    /// Sets the FPU to its initial state.
    pub fn fpu_reset(&mut self) {
        self.fpu.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fpu_state_is_checked_and_copied() {
        let mut context = UserContext::new(VirtAddr::new(1), VirtAddr::new(2));
        let mut state = vec![1; UserContext::fpu_size()];
        context.fpu_read(&mut state);
        assert_eq!((state[0], state[1], state[24], state[25]), (0x7f, 3, 0x80, 0x1f));
        state[40] = 9;
        state[512] = 3;
        context.fpu_write(&state).unwrap();
        let mut copy = context.duplicate().unwrap();
        let mut read = vec![1; state.len()];
        copy.fpu_read(&mut read);
        assert_eq!(read, state);
        state[520] = 1;
        assert_eq!(context.fpu_write(&state), Err(BadFpuState));
        assert_eq!(context.fpu_write(&state[1..]), Err(BadFpuState));
        context.fpu_reset();
        context.fpu_read(&mut read);
        assert_eq!(read[40], 0);
    }
}
