//! The firmware's tables (ACPI 6.5, 5.2): which CPUs, interrupt controllers and timers there are,
//! and how to switch off.
//!
//! Nothing here touches the machine: tables are bytes of a [`Memory`], and all of them are checked,
//! since firmware is input like any other. A table that is missing or broken is as good as not
//! there; what it would have told keeps its default.
//!
//! ```text
//!   RSDP ──▶ RSDT or XSDT ──▶ APIC (cpus, I/O APICs)   FACP ──▶ DSDT (\_S5)   HPET   MCFG
//! ```

mod fixed;
mod madt;
mod multiprocessor;

pub(crate) use fixed::{Fixed, PmTimer, Register};
pub(crate) use madt::{IoApic, Line, Madt};

/// Physical memory as the firmware left it.
pub(crate) trait Memory {
    /// The bytes of `at..at + len`; `None` where there is no memory.
    fn bytes(&self, at: u64, len: usize) -> Option<&[u8]>;
}

/// What the tables say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Platform {
    /// CPUs and interrupt controllers.
    pub(crate) madt: Option<Madt>,
    /// The fixed hardware: power and the PM timer.
    pub(crate) fixed: Option<Fixed>,
    /// Where the HPET's registers are.
    pub(crate) hpet: Option<u64>,
    /// Where PCI configuration space is mapped.
    pub(crate) ecam: Option<Ecam>,
}

/// A window on PCI configuration space, segment 0 (PCI Firmware 3.2, 4.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ecam {
    /// Where bus 0 is or would be.
    pub(crate) base: u64,
    /// The first and the last bus.
    pub(crate) buses: (u8, u8),
}

/// Bytes of the header every table has.
const HEADER: usize = 36;

/// The longest table that is looked at; a DSDT has some tens of kilobytes.
const LONGEST: usize = 1 << 20;

/// Reads the tables that the RSDP at `rsdp` leads to; with 0, looks for it where a BIOS puts it.
/// Without ACPI's table of CPUs, one older than ACPI is looked for.
pub(crate) fn read(memory: &impl Memory, rsdp: u64) -> Platform {
    let mut platform = read_acpi(memory, rsdp);
    if platform.madt.is_none() {
        platform.madt = multiprocessor::read(memory);
    }
    platform
}

fn read_acpi(memory: &impl Memory, rsdp: u64) -> Platform {
    let mut platform = Platform::default();
    let rsdp = if rsdp == 0 { find_rsdp(memory) } else { Some(rsdp) };
    let Some((root, width)) = rsdp.and_then(|at| root(memory, at)) else {
        return platform;
    };
    for entry in root[HEADER..].chunks_exact(width) {
        let Some(table) = table(memory, le(entry)) else { continue };
        match &table[..4] {
            b"APIC" => platform.madt = Madt::parse(table),
            b"FACP" => platform.fixed = Fixed::parse(memory, table),
            b"HPET" => platform.hpet = parse_hpet(table),
            b"MCFG" => platform.ecam = parse_mcfg(table),
            _ => {}
        }
    }
    platform
}

/// Looks for the RSDP in the BIOS area (ACPI 6.5, 5.2.5.1).
fn find_rsdp(memory: &impl Memory) -> Option<u64> {
    (0xe_0000..0x10_0000).step_by(16).find(|&at| root(memory, at).is_some())
}

/// The root table that the RSDP at `at` names, and the width of its entries.
fn root(memory: &impl Memory, at: u64) -> Option<(&[u8], usize)> {
    let rsdp = memory.bytes(at, 20)?;
    if &rsdp[..8] != b"RSD PTR " || sum(rsdp) != 0 {
        return None;
    }
    let extended = memory.bytes(at, 36).filter(|bytes| rsdp[15] >= 2 && sum(bytes) == 0);
    let xsdt = extended.and_then(|bytes| table(memory, le(&bytes[24..32])));
    let rsdt = || table(memory, le(&rsdp[16..20])).map(|table| (table, 4));
    xsdt.map(|table| (table, 8)).filter(|(table, _)| &table[..4] == b"XSDT").or_else(rsdt)
}

/// The table at `at`, whole, if its length and checksum are right.
fn table(memory: &impl Memory, at: u64) -> Option<&[u8]> {
    let header = memory.bytes(at, HEADER)?;
    let len = usize::try_from(le(&header[4..8])).ok()?;
    if !(HEADER..=LONGEST).contains(&len) {
        return None;
    }
    memory.bytes(at, len).filter(|bytes| sum(bytes) == 0)
}

/// The HPET's base address (IA-PC HPET 1.0a, 3.2.4); only in memory.
fn parse_hpet(table: &[u8]) -> Option<u64> {
    match Register::parse(table.get(40..52)?)? {
        Register::Memory(at) => Some(at),
        Register::Port(_) => None,
    }
}

fn parse_mcfg(table: &[u8]) -> Option<Ecam> {
    let entries = table.get(44..)?.chunks_exact(16);
    let first = entries.into_iter().find(|entry| le(&entry[8..10]) == 0)?;
    let ecam = Ecam { base: le(&first[..8]), buses: (first[10], first[11]) };
    (ecam.buses.0 <= ecam.buses.1).then_some(ecam)
}

/// A little-endian number of at most eight bytes.
fn le(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte))
}

/// The field of `table` at `offset`, `len` bytes long; 0 where the table ends before it.
fn field(table: &[u8], offset: usize, len: usize) -> u64 {
    table.get(offset..offset + len).map_or(0, le)
}

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, &byte| sum.wrapping_add(byte))
}

#[cfg(test)]
mod tests;
