//! Switching off and starting again: ACPI, and QEMU's exit device.

use super::{
    console, cpu,
    mmio::Mmio,
    port::{read_u8, read_u16, write_u8, write_u16, write_u32},
};
use crate::acpi::{Fixed, Register};
use spin::Once;

/// What the tables tell, ready for use when nothing else works any more.
struct Power {
    fixed: Fixed,
    sleep_control: Option<Target>,
    reset: Option<(Target, u8)>,
}

/// A register that takes a byte.
enum Target {
    Port(u16),
    Memory(Mmio),
}

static POWER: Once<Power> = Once::new();

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
    let Some(fixed) = fixed else { return };
    POWER.call_once(|| Power {
        fixed,
        sleep_control: fixed.sleep_control.map(Target::new),
        reset: fixed.reset.map(|(register, value)| (Target::new(register), value)),
    });
}

impl Target {
    fn new(register: Register) -> Self {
        match register {
            Register::Port(port) => Self::Port(port),
            Register::Memory(at) => Self::Memory(Mmio::map(at)),
        }
    }

    fn write(&self, value: u8) {
        match self {
            Self::Port(port) => write_u8(*port, value),
            Self::Memory(registers) => registers.write_u8(0, value),
        }
    }
}

pub(crate) fn off(status: u8) -> ! {
    console::finish();
    if status != 0 {
        // The host sees eight bits of 2n + 1.
        write_u32(DEBUG_EXIT, u32::from(status.min(127)));
    }
    if let Some(power) = POWER.get() {
        sleep(power);
    }
    // Without ACPI, QEMU's exit status is odd then, but the machine is off.
    write_u32(DEBUG_EXIT, u32::from(status.min(127)));
    console::write(b"the machine does not switch off\n");
    cpu::stop_others();
    cpu::stop()
}

/// Enters state S5 (ACPI 6.5, 7.4.2).
fn sleep(power: &Power) {
    let Some(types) = power.fixed.s5 else { return };
    if let Some(register) = &power.sleep_control {
        register.write(types[0] << REDUCED_SHIFT | REDUCED_ENABLE);
    }
    for (port, kind) in power.fixed.pm1.into_iter().zip(types) {
        let Some(port) = port else { continue };
        let kept = read_u16(port) & !(SLEEP_TYPE | SLEEP_ENABLE);
        let kind = u16::from(kind) << SLEEP_TYPE_SHIFT;
        write_u16(port, kept | kind);
        write_u16(port, kept | kind | SLEEP_ENABLE);
    }
    // An emulator obeys when its own threads come to run, which on a busy host is not at once.
    for _ in 0..100 {
        pause();
    }
}

pub(crate) fn reboot() -> ! {
    console::finish();
    if let Some((register, value)) = POWER.get().and_then(|power| power.reset.as_ref()) {
        register.write(*value);
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

/// Gives the machine time to obey.
fn pause() {
    for _ in 0..100_000 {
        core::hint::spin_loop();
    }
}
