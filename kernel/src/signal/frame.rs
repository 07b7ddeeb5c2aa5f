//! The stack frame of a signal handler on x86-64, and the return from it.
//!
//! ```text
//!   higher  FPU state (XSAVE image, 64-byte aligned, then a magic word)
//!           siginfo
//!           ucontext: flags, link, stack, registers, mask
//!   rsp ──▶ return address: the restorer, which calls rt_sigreturn
//! ```
//! The layout is Linux's, byte for byte: unwinders and checkpointers read it.

use super::{Action, Flags, Info, SignalSet, delivery};
use crate::{syscall::UserPtr, thread::Thread};
use abi::{Errno, Result};
use alloc::vec;
use framework::{Regs, UserContext, VirtAddr};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Bytes below the stack pointer that a function may use without reserving them (System V ABI).
const RED_ZONE: usize = 128;

/// `ss_flags` of sigaltstack(2).
pub mod stack_flags {
    #![allow(missing_docs, reason = "sigaltstack(2) describes them")]
    pub const ONSTACK: i32 = 1;
    pub const DISABLE: i32 = 2;
    pub const AUTODISARM: i32 = i32::MIN;
}

/// `stack_t`: an alternate signal stack.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
pub struct AltStack {
    /// The lowest address.
    pub base: usize,
    /// `SS_*`.
    pub flags: i32,
    /// Padding.
    pub pad: u32,
    /// Bytes.
    pub size: usize,
}

impl AltStack {
    /// No alternate stack.
    pub const NONE: Self = Self { base: 0, flags: stack_flags::DISABLE, pad: 0, size: 0 };

    /// Whether `sp` lies on it.
    pub const fn contains(&self, sp: usize) -> bool {
        self.flags & stack_flags::AUTODISARM == 0 && sp > self.base && sp - self.base <= self.size
    }

    /// Whether there is one.
    pub const fn is_set(&self) -> bool {
        self.size != 0
    }
}

/// `struct sigcontext`: 256 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable)]
struct SigContext {
    r8: usize,
    r9: usize,
    r10: usize,
    r11: usize,
    r12: usize,
    r13: usize,
    r14: usize,
    r15: usize,
    rdi: usize,
    rsi: usize,
    rbp: usize,
    rbx: usize,
    rdx: usize,
    rax: usize,
    rcx: usize,
    rsp: usize,
    rip: usize,
    rflags: usize,
    cs: u16,
    gs: u16,
    fs: u16,
    ss: u16,
    error: u64,
    trap: u64,
    old_mask: u64,
    cr2: u64,
    fpu: usize,
    reserved: [u64; 8],
}

/// `struct ucontext`.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
struct UserFrameContext {
    flags: u64,
    link: u64,
    stack: AltStack,
    registers: SigContext,
    mask: u64,
}

/// `struct rt_sigframe`.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
struct Frame {
    return_to: usize,
    context: UserFrameContext,
    info: [u8; Info::SIZE],
}

/// `uc_flags`: the FPU state is an XSAVE image, and `ss` is valid.
const UC_FLAGS: u64 = 0x1 | 0x2 | 0x4;

/// Where the software's part of an XSAVE image lies, and the marks in and after it.
const SOFTWARE_BYTES: usize = 464;
const MAGIC1: u32 = 0x4650_5853;
const MAGIC2: u32 = 0x4650_5845;

/// Selectors of user code and data, as Linux numbers them.
const USER_CS: u16 = 0x33;
const USER_SS: u16 = 0x2b;

/// The flags a program may change: arithmetic, trap, direction, nested, resume, alignment, id.
const USER_FLAGS: usize = 0x0025_4dd5;

/// The smallest alternate stack: a frame must fit (`MINSIGSTKSZ`).
pub const fn min_stack_size() -> usize {
    2048
}

/// What is in the trap registers of the frame.
#[derive(Clone, Copy, Debug, Default)]
pub struct TrapInfo {
    /// The vector.
    pub vector: u64,
    /// The error code.
    pub error: u64,
    /// The address of a page fault.
    pub cr2: u64,
}

/// Makes the frame and points the registers at the handler.
///
/// # Errors
/// - `EFAULT`: there is no stack to put it on.
pub(super) fn push(
    thread: &mut Thread,
    info: &Info,
    action: &Action,
    mask: SignalSet,
) -> Result<()> {
    if !action.flags().contains(Flags::RESTORER) {
        return Err(Errno::EFAULT);
    }
    let stack = thread.alt_stack;
    let sp = thread.context.regs().rsp;
    let wants_alternate = action.flags().contains(Flags::ONSTACK) && stack.is_set();
    let top = if wants_alternate && !stack.contains(sp) {
        stack.base.wrapping_add(stack.size)
    } else {
        sp.wrapping_sub(RED_ZONE)
    };
    let fpu_at = push_fpu(thread, top)?;
    // The ABI wants the stack as after a call: 8 below a multiple of 16.
    let at = (fpu_at.wrapping_sub(size_of::<Frame>()) & !15).wrapping_sub(8);
    if wants_alternate && stack.contains(sp) && !stack.contains(at) {
        return Err(Errno::EFAULT);
    }
    let frame = Frame {
        return_to: action.restorer,
        context: UserFrameContext {
            flags: UC_FLAGS,
            link: 0,
            // As it was set; whether the thread is on it is sigaltstack(2)'s to say.
            stack,
            registers: save(thread.context.regs_mut(), thread.last_trap, mask, fpu_at),
            mask: mask.bits(),
        },
        info: info.to_bytes(),
    };
    thread.write(UserPtr::new(VirtAddr::new(at)), &frame)?;
    if stack.flags & stack_flags::AUTODISARM != 0 {
        thread.alt_stack = AltStack::NONE;
    }
    let regs = thread.context.regs_mut();
    regs.rip = action.handler;
    regs.rsp = at;
    regs.rdi = usize::from(info.signal.number());
    regs.rsi = at + core::mem::offset_of!(Frame, info);
    regs.rdx = at + core::mem::offset_of!(Frame, context);
    regs.rax.set(0);
    // Direction, trap and resume flags are clear in a handler.
    regs.rflags &= !0x1_0500;
    Ok(())
}

/// Writes the FPU state below `top`; returns where.
fn push_fpu(thread: &mut Thread, top: usize) -> Result<usize> {
    let size = UserContext::fpu_size();
    let mut image = vec![0; size + size_of::<u32>()];
    thread.context.fpu_read(&mut image[..size]);
    let total = u32::try_from(image.len()).map_err(|_| Errno::EFAULT)?;
    let state = u32::try_from(size).map_err(|_| Errno::EFAULT)?;
    // x87, SSE, and AVX where the image has room for it.
    let features: u64 = if size > 576 { 7 } else { 3 };
    let software = &mut image[SOFTWARE_BYTES..SOFTWARE_BYTES + 20];
    software[..4].copy_from_slice(&MAGIC1.to_ne_bytes());
    software[4..8].copy_from_slice(&total.to_ne_bytes());
    software[8..16].copy_from_slice(&features.to_ne_bytes());
    software[16..20].copy_from_slice(&state.to_ne_bytes());
    image[size..].copy_from_slice(&MAGIC2.to_ne_bytes());
    let at = top.wrapping_sub(image.len()) & !63;
    thread.write_bytes(VirtAddr::new(at), &image)?;
    Ok(at)
}

fn save(regs: &Regs, trap: TrapInfo, mask: SignalSet, fpu: usize) -> SigContext {
    SigContext {
        r8: regs.r8,
        r9: regs.r9,
        r10: regs.r10,
        r11: regs.r11,
        r12: regs.r12,
        r13: regs.r13,
        r14: regs.r14,
        r15: regs.r15,
        rdi: regs.rdi,
        rsi: regs.rsi,
        rbp: regs.rbp,
        rbx: regs.rbx,
        rdx: regs.rdx,
        rax: regs.rax.get(),
        rcx: regs.rcx,
        rsp: regs.rsp,
        rip: regs.rip,
        rflags: regs.rflags,
        cs: USER_CS,
        gs: 0,
        fs: 0,
        ss: USER_SS,
        error: trap.error,
        trap: trap.vector,
        old_mask: mask.bits(),
        cr2: trap.cr2,
        fpu,
        reserved: [0; 8],
    }
}

fn restore(regs: &mut Regs, saved: &SigContext) {
    *regs = Regs {
        rax: framework::user::Rax::new(saved.rax),
        rbx: saved.rbx,
        rcx: saved.rcx,
        rdx: saved.rdx,
        rsi: saved.rsi,
        rdi: saved.rdi,
        rbp: saved.rbp,
        rsp: saved.rsp,
        r8: saved.r8,
        r9: saved.r9,
        r10: saved.r10,
        r11: saved.r11,
        r12: saved.r12,
        r13: saved.r13,
        r14: saved.r14,
        r15: saved.r15,
        rip: saved.rip,
        rflags: regs.rflags & !USER_FLAGS | saved.rflags & USER_FLAGS,
        ..*regs
    };
}

/// Goes back to what a signal interrupted; returns the `rax` of then.
///
/// # Errors
/// - `EFAULT`: the frame is not there or holds no valid state; the caller ends the program.
///
/// Source: sigreturn(2)
pub fn sigreturn(thread: &mut Thread) -> Result<usize> {
    // The handler's `ret` has popped the return address.
    let at = thread.context.regs().rsp.wrapping_sub(size_of::<usize>());
    let frame: Frame = thread.read(UserPtr::new(VirtAddr::new(at)))?;
    restore_fpu(thread, frame.context.registers.fpu)?;
    restore(thread.context.regs_mut(), &frame.context.registers);
    delivery::set_blocked(thread, SignalSet::from_bits(frame.context.mask));
    // The stack as it was before the handler; `SS_ONSTACK` only reports.
    let flags = frame.context.stack.flags & !stack_flags::ONSTACK;
    if !thread.alt_stack.contains(thread.context.regs().rsp) {
        let empty = flags & stack_flags::DISABLE != 0;
        let stack = AltStack { flags, pad: 0, ..frame.context.stack };
        thread.alt_stack = if empty { AltStack::NONE } else { stack };
    }
    Ok(thread.context.regs().rax.get())
}

fn restore_fpu(thread: &mut Thread, at: usize) -> Result<()> {
    if at == 0 {
        thread.context.fpu_reset();
        return Ok(());
    }
    let size = UserContext::fpu_size();
    let mut image = vec![0; size + size_of::<u32>()];
    thread.read_bytes(VirtAddr::new(at), &mut image)?;
    let has = |offset: usize, mark: u32| image[offset..offset + 4] == mark.to_ne_bytes();
    if !has(SOFTWARE_BYTES, MAGIC1) || !has(size, MAGIC2) {
        // Without the marks only the legacy part counts: x87 and SSE.
        image[512..].fill(0);
        image[512] = 3;
    }
    image[SOFTWARE_BYTES..512].fill(0);
    thread.context.fpu_write(&image[..size]).map_err(|_| Errno::EFAULT)
}

#[cfg(test)]
mod tests {
    use super::{AltStack, Frame, SigContext, UserFrameContext, stack_flags};
    use core::mem::offset_of;

    #[test]
    fn layout_is_linux_s() {
        assert_eq!(size_of::<SigContext>(), 256);
        assert_eq!(offset_of!(SigContext, rip), 128);
        assert_eq!(offset_of!(SigContext, fpu), 184);
        assert_eq!(offset_of!(UserFrameContext, registers), 40);
        assert_eq!(offset_of!(UserFrameContext, mask), 296);
        assert_eq!(offset_of!(Frame, context), 8);
        assert_eq!(offset_of!(Frame, info), 312);
        assert_eq!(size_of::<Frame>(), 440);
    }

    #[test]
    fn a_stack_contains_its_top_but_not_its_base() {
        let stack = AltStack { base: 0x1000, flags: 0, pad: 0, size: 0x1000 };
        assert!(stack.contains(0x2000) && stack.contains(0x1001));
        assert!(!stack.contains(0x1000) && !stack.contains(0x2001));
        let disarmed = AltStack { flags: stack_flags::AUTODISARM, ..stack };
        assert!(!disarmed.contains(0x1800));
    }
}
