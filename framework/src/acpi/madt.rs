//! The MADT: CPUs and I/O APICs (ACPI 6.5, 5.2.12).

use super::{field, le};
use crate::cpu::MAX_CPUS;
use arrayvec::ArrayVec;

/// The most I/O APICs that are used.
const MAX_IO_APICS: usize = 8;

/// CPUs and interrupt controllers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Madt {
    /// Where each CPU sees its local APIC.
    pub(crate) local_apic: u64,
    /// APIC ids of the CPUs, in the table's order; at most [`MAX_CPUS`].
    pub(crate) cpus: ArrayVec<u32, MAX_CPUS>,
    /// The I/O APICs.
    pub(crate) io_apics: ArrayVec<IoApic, MAX_IO_APICS>,
    /// ISA interrupts that are wired otherwise than ISA was.
    overrides: [Option<Line>; 16],
}

/// An interrupt controller for lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IoApic {
    /// Where its registers are.
    pub(crate) at: u32,
    /// The number of its first line.
    pub(crate) first: u32,
}

/// An interrupt line's number and signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// The global system interrupt.
    pub(crate) gsi: u32,
    /// Active low.
    pub(crate) low: bool,
    /// Level triggered.
    pub(crate) level: bool,
}

impl Madt {
    pub(super) fn new(local_apic: u64) -> Self {
        Self { local_apic, cpus: ArrayVec::new(), io_apics: ArrayVec::new(), overrides: [None; 16] }
    }

    pub(super) fn parse(table: &[u8]) -> Option<Self> {
        let mut madt = Self::new(field(table, 36, 4));
        let mut rest = table.get(44..)?;
        while let [kind, len, ..] = *rest {
            let len = usize::from(len);
            if len < 2 || len > rest.len() {
                break;
            }
            madt.add(kind, &rest[..len]);
            rest = &rest[len..];
        }
        Some(madt)
    }

    /// The line of an ISA interrupt.
    pub(crate) fn isa(&self, irq: u8) -> Line {
        let wired = Line { gsi: u32::from(irq), low: false, level: false };
        self.overrides.get(usize::from(irq)).copied().flatten().unwrap_or(wired)
    }

    fn add(&mut self, kind: u8, entry: &[u8]) {
        match (kind, entry.len()) {
            (0, 8..) => self.add_cpu(u32::from(entry[3]), entry[4] & 1 != 0),
            (1, 12..) => {
                let io_apic = IoApic { at: u32_at(entry, 4), first: u32_at(entry, 8) };
                // More of them than there is room for are left alone.
                let _ = self.io_apics.try_push(io_apic);
            }
            (2, 10..) => self.add_override(entry),
            (5, 12..) => self.local_apic = le(&entry[4..12]),
            (9, 16..) => self.add_cpu(u32_at(entry, 4), entry[8] & 1 != 0),
            _ => {}
        }
    }

    pub(super) fn add_cpu(&mut self, id: u32, enabled: bool) {
        if enabled && !self.cpus.contains(&id) {
            // More of them than there is room for are left alone.
            let _ = self.cpus.try_push(id);
        }
    }

    /// Notes where an ISA interrupt leads.
    pub(super) fn set_isa(&mut self, irq: u8, line: Line) {
        if let Some(slot) = self.overrides.get_mut(usize::from(irq)) {
            *slot = Some(line);
        }
    }

    fn add_override(&mut self, entry: &[u8]) {
        let flags = entry[8];
        let line = Line { gsi: u32_at(entry, 4), low: flags & 3 == 3, level: flags >> 2 & 3 == 3 };
        self.set_isa(entry[3], line);
    }
}

fn u32_at(entry: &[u8], offset: usize) -> u32 {
    let bytes = [entry[offset], entry[offset + 1], entry[offset + 2], entry[offset + 3]];
    u32::from_le_bytes(bytes)
}
