//! Switching off and starting again: ACPI, and QEMU's exit device.

use super::{
    cpu,
    mmio::Mmio,
    port::{read_u8, read_u16, write_u8, write_u16, write_u32},
};
use crate::acpi::{Fixed, Register};
use spin::Once;

static FIXED: Once<Fixed> = Once::new();

/// The ports of QEMU's `isa-debug-exit`, which ends it with twice the value and one; nobody else is
/// known to use them.
const DEBUG_EXIT: u16 = 0xf4;

const SLEEP_TYPE_SHIFT: u8 = 10;
const SLEEP_ENABLE: u16 = 1 << 13;
const SLEEP_TYPE: u16 = 7 << SLEEP_TYPE_SHIFT;
/// The same in the sleep control register of hardware-reduced ACPI (ACPI 6.5, 4.8.3.7).
const REDUCED_SHIFT: u8 = 2;
const REDUCED_ENABLE: u8 = 1 << 5;

/// Remembers what the tables tell.
pub(super) fn init(fixed: Option<Fixed>) {
    if let Some(fixed) = fixed {
        FIXED.call_once(|| fixed);
    }
}

pub(crate) fn off(status: u8) -> ! {
    if status != 0 {
        // The host sees eight bits of 2n + 1.
        write_u32(DEBUG_EXIT, u32::from(status.min(127)));
    }
    if let Some(fixed) = FIXED.get() {
        sleep(fixed);
    }
    // No way to switch off: an emulator without the exit device is told by a status of its own.
    log::error!("the machine does not switch off");
    cpu::stop_others();
    cpu::stop()
}

/// Enters state S5 (ACPI 6.5, 7.4.2).
fn sleep(fixed: &Fixed) {
    let Some(types) = fixed.s5 else { return };
    if let Some(register) = fixed.sleep_control {
        write(register, types[0] << REDUCED_SHIFT | REDUCED_ENABLE);
    }
    for (port, kind) in fixed.pm1.into_iter().zip(types) {
        let Some(port) = port else { continue };
        let kept = read_u16(port) & !(SLEEP_TYPE | SLEEP_ENABLE);
        let kind = u16::from(kind) << SLEEP_TYPE_SHIFT;
        write_u16(port, kept | kind);
        write_u16(port, kept | kind | SLEEP_ENABLE);
    }
    pause();
}

pub(crate) fn reboot() -> ! {
    if let Some((register, value)) = FIXED.get().and_then(|fixed| fixed.reset) {
        write(register, value);
        pause();
    }
    // The PC's reset port, then the keyboard controller's reset line.
    write_u8(0xcf9, 2);
    write_u8(0xcf9, 6);
    pause();
    for _ in 0..1000 {
        if read_u8(0x64) & 2 == 0 {
            break;
        }
    }
    write_u8(0x64, 0xfe);
    pause();
    cpu::triple_fault()
}

fn write(register: Register, value: u8) {
    match register {
        Register::Port(port) => write_u8(port, value),
        Register::Memory(at) => Mmio::new(at).write_u8(0, value),
    }
}

/// Gives the machine time to obey.
fn pause() {
    for _ in 0..100_000 {
        core::hint::spin_loop();
    }
}
