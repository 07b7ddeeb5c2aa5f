//! Model specific and control registers.

use core::arch::asm;
pub(super) use x86_64::registers::control::{Cr0, Cr0Flags, Cr4, Cr4Flags};

pub(super) const STAR: u32 = 0xc000_0081;
pub(super) const LSTAR: u32 = 0xc000_0082;
pub(super) const SFMASK: u32 = 0xc000_0084;
pub(super) const FS_BASE: u32 = 0xc000_0100;
pub(super) const GS_BASE: u32 = 0xc000_0101;
pub(super) const KERNEL_GS_BASE: u32 = 0xc000_0102;

/// Writes a model specific register.
#[inline]
pub(crate) fn write_msr(register: u32, value: u64) {
    let (low, high) = (value & 0xffff_ffff, value >> 32);
    // SAFETY: the callers in this target name registers that exist and values that keep the
    // kernel's own code, stack and data in place.
    unsafe {
        asm!("wrmsr", in("ecx") register, in("rax") low, in("rdx") high,
            options(nostack, preserves_flags));
    }
}

/// Reads a model specific register.
#[inline]
pub(crate) fn read_msr(register: u32) -> u64 {
    let (low, high): (u64, u64);
    // SAFETY: reading one of the registers that the callers name has no effect.
    unsafe {
        asm!("rdmsr", in("ecx") register, out("rax") low, out("rdx") high,
            options(nomem, nostack, preserves_flags));
    }
    high << 32 | low & 0xffff_ffff
}
