//! Bringing up what the machine is made of, and the permits for its devices.

use super::{
    apic, calibrate, clock, console, cpu, features::cpuid, interrupt, io_apic, irq, memory, port,
    power, rtc, smp,
};
use crate::{
    PhysAddr,
    acpi::{self, Line, Madt, Platform},
    boot::Uart,
    cap::IoPorts,
};
use alloc::string::String;

/// Physical memory through the physical map.
struct Physical {
    /// One past the highest address that is mapped.
    end: u64,
}

impl acpi::Memory for Physical {
    fn bytes(&self, at: u64, len: usize) -> Option<&[u8]> {
        at.checked_add(len as u64).filter(|&end| end <= self.end)?;
        // SAFETY: the range is mapped, and the firmware's tables do not change.
        Some(unsafe { core::slice::from_raw_parts(memory::pointer(PhysAddr::new(at)), len) })
    }
}

/// What of the machine `main` is told.
pub(super) struct Devices {
    pub(super) uart: Option<Uart>,
    pub(super) cpu_model: String,
}

/// Reads the tables, takes over the interrupt controllers and timers, and turns interrupts on.
///
/// `rsdp` is where the loader found the tables, or 0; the physical map reaches up to `end`.
pub(super) fn init(rsdp: u64, end: u64) -> Devices {
    clock::start();
    let platform = acpi::read(&Physical { end }, rsdp);
    power::init(platform.fixed);
    let madt = platform.madt.as_ref();
    mask_old_controllers();
    apic::find(madt.map(|madt| madt.local_apic));
    apic::enable(interrupt::SPURIOUS);
    io_apic::init(madt.map_or(&[], |madt| &madt.io_apics));
    init_clock(&platform);
    smp::init(madt);
    cpu::announce();
    Devices { uart: uart(madt), cpu_model: cpu_model() }
}

fn init_clock(platform: &Platform) {
    let wall = rtc::time(platform.fixed.and_then(|fixed| fixed.century)).unwrap_or_default();
    let rates = calibrate::rates(platform).expect("a machine has a clock of known rate");
    clock::init(rates, wall);
    log::info!(
        "TSC {} kHz, APIC timer {} kHz by {}",
        rates.tsc / 1000,
        rates.apic / 1000,
        rates.by
    );
}

/// Masks the interrupt controllers of the old PC; what still comes from them is spurious and goes
/// to vectors 0x20 to 0x2f.
fn mask_old_controllers() {
    const FIRST: (u16, u16) = (0x20, 0x21);
    const SECOND: (u16, u16) = (0xa0, 0xa1);
    for ((command, data), vector, wiring) in [(FIRST, 0x20, 4), (SECOND, 0x28, 2)] {
        port::write_u8(command, 0x11); // initialize, with a fourth word
        port::write_u8(data, vector);
        port::write_u8(data, wiring);
        port::write_u8(data, 1); // 8086 mode
        port::write_u8(data, 0xff); // all masked
    }
}

/// The permits for COM1, if it answers.
fn uart(madt: Option<&Madt>) -> Option<Uart> {
    if !console::present() {
        return None;
    }
    let wired = Line { gsi: 4, low: false, level: false };
    let line = madt.map_or(wired, |madt| madt.isa(4));
    let irq = irq::take(line, "ttyS0")?;
    Some(Uart { ports: IoPorts::new(console::BASE, 8), irq })
}

/// The CPU's name (SDM 2A, CPUID, leaf 0x8000_0002).
fn cpu_model() -> String {
    let leaves = (0x8000_0002..=0x8000_0004).map(|leaf| cpuid(leaf, 0));
    let words = leaves.flat_map(|leaf| [leaf.eax, leaf.ebx, leaf.ecx, leaf.edx]);
    let bytes: arrayvec::ArrayVec<u8, 48> = words.flat_map(u32::to_le_bytes).collect();
    let text = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
    let name = String::from_utf8_lossy(text);
    if name.trim().is_empty() { "unknown".into() } else { name.trim().into() }
}
