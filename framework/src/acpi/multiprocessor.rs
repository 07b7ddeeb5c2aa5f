//! The MP table, which told of CPUs and I/O APICs before there was ACPI, and still does on machines
//! without it.
//!
//! Source: MultiProcessor Specification 1.4, 4

use super::{IoApic, Line, Madt, Memory, le, sum};

/// Where the pointer to the table may be: the last KiB of low memory, and the BIOS.
const PLACES: [core::ops::Range<u64>; 2] = [0x9_fc00..0xa_0000, 0xf_0000..0x10_0000];

const HEADER: usize = 44;

/// Lines of an I/O APIC, where a second one's number from.
const LINES: u32 = 24;

/// Looks for the table and reads it.
pub(super) fn read(memory: &impl Memory) -> Option<Madt> {
    PLACES.into_iter().flat_map(|place| place.step_by(16)).find_map(|at| pointer(memory, at))
}

/// The table that the pointer at `at` leads to.
fn pointer(memory: &impl Memory, at: u64) -> Option<Madt> {
    let pointer = memory.bytes(at, 16)?;
    if &pointer[..4] != b"_MP_" || sum(pointer) != 0 {
        return None;
    }
    let at = le(&pointer[4..8]);
    let header = memory.bytes(at, HEADER)?;
    let len = usize::from(u16::from_le_bytes([header[4], header[5]]));
    let table = memory.bytes(at, len)?;
    (len >= HEADER && &table[..4] == b"PCMP" && sum(table) == 0).then(|| parse(table))
}

fn parse(table: &[u8]) -> Madt {
    let mut madt = Madt::new(le(&table[36..40]));
    let mut rest = &table[HEADER..];
    let mut isa = None;
    while let Some(&kind) = rest.first() {
        let len = if kind == 0 { 20 } else { 8 };
        let Some((entry, tail)) = rest.split_at_checked(len) else { break };
        rest = tail;
        match kind {
            0 => madt.add_cpu(u32::from(entry[1]), entry[3] & 1 != 0),
            1 if entry[2..].starts_with(b"ISA") => isa = Some(entry[1]),
            2 if entry[3] & 1 != 0 => add_io_apic(&mut madt, entry),
            3 if entry[1] == 0 && Some(entry[4]) == isa => add_interrupt(&mut madt, entry),
            _ => {}
        }
    }
    madt
}

fn add_io_apic(madt: &mut Madt, entry: &[u8]) {
    let count = u32::try_from(madt.io_apics.len()).unwrap_or(0);
    let at = u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]);
    // More of them than there is room for are left alone.
    let _ = madt.io_apics.try_push(IoApic { at, first: LINES * count });
}

/// Notes where an ISA interrupt leads; only the first I/O APIC has them.
fn add_interrupt(madt: &mut Madt, entry: &[u8]) {
    let flags = entry[2];
    let gsi = u32::from(entry[7]);
    let line = Line { gsi, low: flags & 3 == 3, level: flags >> 2 & 3 == 3 };
    madt.set_isa(entry[5], line);
}
