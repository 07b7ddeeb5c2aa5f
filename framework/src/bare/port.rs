//! I/O ports, without a check of who may use them; [`IoPorts`](crate::cap::IoPorts) checks.

use core::arch::asm;

/// Reads a byte.
pub(crate) fn read_u8(port: u16) -> u8 {
    let value;
    // SAFETY: a port access touches no memory of ours; which device answers is the caller's affair.
    unsafe {
        asm!("in al, dx", in("dx") port, out("al") value, options(nomem, nostack, preserves_flags));
    }
    value
}

/// Writes a byte.
pub(crate) fn write_u8(port: u16, value: u8) {
    // SAFETY: as in `read_u8`; devices that could write memory are behind their drivers.
    unsafe {
        asm!("out dx, al", in("dx") port, in("al") value, options(nomem, nostack, preserves_flags));
    }
}

/// Reads two bytes.
pub(crate) fn read_u16(port: u16) -> u16 {
    let value;
    // SAFETY: as in `read_u8`.
    unsafe {
        asm!("in ax, dx", in("dx") port, out("ax") value, options(nomem, nostack, preserves_flags));
    }
    value
}

/// Writes two bytes.
pub(crate) fn write_u16(port: u16, value: u16) {
    // SAFETY: as in `write_u8`.
    unsafe {
        asm!("out dx, ax", in("dx") port, in("ax") value, options(nomem, nostack, preserves_flags));
    }
}

/// Reads four bytes.
pub(crate) fn read_u32(port: u16) -> u32 {
    let value;
    // SAFETY: as in `read_u8`.
    unsafe {
        asm!("in eax, dx", in("dx") port, out("eax") value, options(nomem, nostack, preserves_flags));
    }
    value
}

/// Writes four bytes.
pub(crate) fn write_u32(port: u16, value: u32) {
    // SAFETY: as in `write_u8`.
    unsafe {
        asm!("out dx, eax", in("dx") port, in("eax") value, options(nomem, nostack, preserves_flags));
    }
}
