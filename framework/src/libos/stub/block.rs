//! A stub's block: the memory it shares with the kernel, and whose turn it is.
//!
//! ```text
//!   0x0000  turn, what the trap was, what the kernel asks for
//!   0x1000  operations on the address space
//!   0x4000  the stack that the host puts a trap's registers on
//! ```
//! The word `turn` says in bit 0 who may touch the rest (1: the kernel), and in bit 1 whether the
//! other side sleeps and is to be woken. The guest can write all of this: nothing in it is believed.

use super::{
    super::sys,
    image::{CODE, CODE_LEN, offset_in_block},
};
use crate::bytes;
use core::{
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
    time::Duration,
};

/// Where a stub has it.
pub(crate) const ADDRESS: usize = CODE + CODE_LEN;
/// How long it is; it is aligned to that too, so that the handler finds it from its stack.
pub(crate) const LEN: usize = 0x1_0000;

// Fields, known to `stub.s`.
pub(crate) const TURN: usize = 0;
/// How many operations there are.
pub(crate) const COUNT: usize = 4;
/// Not 0: after the operations the turn is the kernel's again.
pub(crate) const COME_BACK: usize = 8;
/// The error of an operation or of the filter's installation.
pub(crate) const ERROR: usize = 12;
pub(crate) const SIGNAL: usize = 16;
pub(crate) const SIGNAL_CODE: usize = 20;
/// What the zygote's fork returned.
pub(crate) const RESULT: usize = 24;
/// Where the trap's registers are.
pub(crate) const CONTEXT: usize = 32;
/// The address that the signal is about.
pub(crate) const ADDRESS_FIELD: usize = 40;
/// For a trapped call its number, and above it the architecture.
pub(crate) const CALL: usize = 48;
pub(crate) const FS_BASE: usize = 56;
pub(crate) const GS_BASE: usize = 64;
/// The block of the stub that the zygote is to make, as an offset in their file.
pub(crate) const SLOT: usize = 72;
/// The kernel's process.
pub(crate) const PARENT: usize = 80;
pub(crate) const SCRATCH: usize = 96;
pub(crate) const OPERATIONS: usize = 0x1000;
pub(crate) const STACK: usize = 0x4000;

const FIELDS: usize = 256;

/// Operations that one turn has room for.
pub(crate) const MAX_OPERATIONS: usize = (STACK - OPERATIONS) / size_of::<Operation>();

const KERNEL: u32 = 1;
const SLEEPS: u32 = 2;

/// A call of the host's that changes an address space, as `stub.s` makes it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Operation {
    pub(crate) address: usize,
    pub(crate) len: usize,
    pub(crate) offset: usize,
    pub(crate) call: u32,
    pub(crate) rights: u16,
    pub(crate) flags: u16,
}

/// General registers in the host's order (`struct sigcontext`).
pub(crate) type Registers = [u64; 23];

// Where struct ucontext has its parts.
const REGISTERS: usize = 40;
const FPU_POINTER: usize = 224;
const SIGNAL_MASK: usize = 296;
const CONTEXT_LEN: usize = 304;

/// How many of the registers a context is given: all up to the segments.
const WRITTEN: usize = 19;

/// A block, in the kernel's own mapping.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block(*mut u8);

// SAFETY: it is only accessed by atomic operations and by copies, which the other process may
// disturb in any way.
unsafe impl Send for Block {}

impl Block {
    /// The block at this address, where `LEN` bytes are mapped for good.
    pub(crate) fn new(at: *mut u8) -> Self {
        Self(at)
    }

    fn word(&self, field: usize) -> &AtomicU32 {
        debug_assert!(field < FIELDS && field.is_multiple_of(4), "no such field");
        // SAFETY: the field lies in the block, is aligned, and is accessed atomically by us.
        unsafe { AtomicU32::from_ptr(self.0.wrapping_add(field).cast()) }
    }

    fn long(&self, field: usize) -> &AtomicU64 {
        debug_assert!(field < FIELDS && field.is_multiple_of(8), "no such field");
        // SAFETY: as in `word`.
        unsafe { AtomicU64::from_ptr(self.0.wrapping_add(field).cast()) }
    }

    pub(crate) fn get(&self, field: usize) -> u32 {
        self.word(field).load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self, field: usize, value: u32) {
        self.word(field).store(value, Ordering::Relaxed);
    }

    pub(crate) fn get_long(&self, field: usize) -> u64 {
        self.long(field).load(Ordering::Relaxed)
    }

    pub(crate) fn set_long(&self, field: usize, value: u64) {
        self.long(field).store(value, Ordering::Relaxed);
    }

    /// Forgets what the last owner did; it is the stub's turn.
    pub(crate) fn reset(&self) {
        for field in (0..FIELDS).step_by(8) {
            self.set_long(field, 0);
        }
    }

    /// Gives the turn to the stub.
    pub(crate) fn give(&self) {
        let turn = self.word(TURN);
        if turn.swap(0, Ordering::AcqRel) & SLEEPS != 0 {
            sys::futex_wake(turn);
        }
    }

    /// Whether it is the kernel's turn.
    pub(crate) fn is_ours(&self) -> bool {
        self.word(TURN).load(Ordering::Acquire) & KERNEL != 0
    }

    /// Waits for the kernel's turn, but not longer than this; may return earlier.
    pub(crate) fn wait(&self, timeout: Duration) {
        let turn = self.word(TURN);
        let old = turn.compare_exchange(0, SLEEPS, Ordering::AcqRel, Ordering::Acquire);
        if matches!(old, Ok(_) | Err(SLEEPS)) {
            sys::futex_wait(turn, SLEEPS, timeout);
        }
    }

    /// Asks for operations, at most [`MAX_OPERATIONS`].
    pub(crate) fn set_operations(&self, operations: &[Operation]) {
        assert!(operations.len() <= MAX_OPERATIONS, "the block has room for so many");
        let to = self.0.wrapping_add(OPERATIONS);
        // SAFETY: the room was checked, and an operation is plain data without gaps.
        unsafe { bytes::copy(to, operations.as_ptr().cast(), size_of_val(operations)) };
        let count = u32::try_from(operations.len()).expect("there is room for a few");
        self.set(COUNT, count);
    }

    /// The registers of the last trap, if they are where they can be.
    pub(crate) fn frame(&self) -> Option<Frame> {
        let at = offset(self.get_long(CONTEXT))?;
        if !(STACK..=LEN - CONTEXT_LEN).contains(&at) || !at.is_multiple_of(8) {
            return None;
        }
        let mut pointer = [0; 8];
        // SAFETY: the structure was found to lie in the block.
        unsafe {
            bytes::copy(pointer.as_mut_ptr(), self.0.wrapping_add(at + FPU_POINTER), pointer.len());
        };
        let fpu = offset(u64::from_ne_bytes(pointer))?;
        let room = if fpu >= STACK { LEN - fpu } else { 0 };
        Some(Frame { context: self.0.wrapping_add(at), fpu: self.0.wrapping_add(fpu), room })
    }
}

fn offset(address: u64) -> Option<usize> {
    offset_in_block(usize::try_from(address).ok()?)
}

/// A trap's registers, within a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    context: *mut u8,
    fpu: *mut u8,
    /// Bytes of the block from `fpu` on.
    room: usize,
}

// SAFETY: as for the block.
unsafe impl Send for Frame {}

impl Frame {
    pub(crate) fn registers(&self) -> Registers {
        let mut registers: Registers = [0; 23];
        let from = self.context.wrapping_add(REGISTERS);
        // SAFETY: the registers lie in the block, and all bytes are registers.
        unsafe { bytes::copy(registers.as_mut_ptr().cast(), from, size_of_val(&registers)) };
        registers
    }

    /// Replaces the registers, but not what the host said of the trap; unblocks what a trap needs.
    pub(crate) fn set_registers(&self, registers: &[u64; WRITTEN], mask: u64) {
        let to = self.context.wrapping_add(REGISTERS);
        // SAFETY: the registers lie in the block.
        unsafe { bytes::copy(to, registers.as_ptr().cast(), size_of_val(registers)) };
        let mask = mask.to_ne_bytes();
        let to = self.context.wrapping_add(SIGNAL_MASK);
        // SAFETY: the mask lies in the block.
        unsafe { bytes::copy(to, mask.as_ptr(), mask.len()) };
    }

    /// Copies the beginning of the FPU's image; false if it is not in the block.
    pub(crate) fn read_fpu(&self, at: usize, to: &mut [u8]) -> bool {
        let fits = at + to.len() <= self.room;
        if fits {
            // SAFETY: the range was found to lie in the block.
            unsafe { bytes::copy(to.as_mut_ptr(), self.fpu.wrapping_add(at), to.len()) };
        }
        fits
    }

    /// Replaces a part of the FPU's image; false if it is not in the block.
    pub(crate) fn write_fpu(&self, at: usize, from: &[u8]) -> bool {
        let fits = at + from.len() <= self.room;
        if fits {
            // SAFETY: the range was found to lie in the block.
            unsafe { bytes::copy(self.fpu.wrapping_add(at), from.as_ptr(), from.len()) };
        }
        fits
    }
}
