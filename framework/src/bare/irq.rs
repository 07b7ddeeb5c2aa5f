//! The lines in use and their vectors.

use super::{
    apic, interrupt,
    interrupt::{END_OF_LINES, FIRST_LINE},
    io_apic,
};
use crate::{
    acpi,
    irq::{Count, Counter, IrqLine, Line},
};
use alloc::{string::ToString, vec::Vec};
use core::sync::atomic::{AtomicUsize, Ordering};
use spin::Once;

/// Vectors for devices.
const VECTORS: usize = (END_OF_LINES - FIRST_LINE) as usize;

struct Slot {
    line: Line,
    /// The line's number and what it is for, once it is in use.
    user: Once<(u32, &'static str)>,
}

static SLOTS: [Slot; VECTORS] = [const { Slot { line: Line::new(), user: Once::new() } }; VECTORS];

/// How many slots are in use or were tried for.
static USED: AtomicUsize = AtomicUsize::new(0);

/// Takes a line into use, leading to this CPU; `None` if no controller has it, or no vector is
/// left. The caller sees to it that each line is taken once.
///
/// Level-triggered lines are refused: only the driver can make the device let go of the line, and
/// until then the interrupt would come again and again.
pub(super) fn take(line: acpi::Line, what: &'static str) -> Option<IrqLine> {
    if line.level {
        return None;
    }
    let index = USED.fetch_add(1, Ordering::Relaxed);
    let slot = SLOTS.get(index)?;
    let vector = FIRST_LINE + u8::try_from(index).ok()?;
    slot.user.call_once(|| (line.gsi, what));
    io_apic::route(line, vector, apic::id()).then(|| IrqLine::new(line.gsi, &slot.line))
}

/// The interrupt of `vector` came.
pub(super) fn fire(vector: u8) {
    SLOTS[usize::from(vector - FIRST_LINE)].line.fire();
}

pub(crate) fn counts() -> Vec<Count> {
    let lines = SLOTS.iter().filter_map(|slot| {
        let (number, what) = slot.user.get()?;
        let per_cpu = slot.line.fired.read();
        Some(Count { name: number.to_string(), what: what.to_string(), per_cpu })
    });
    let own: [(&str, &str, &Counter); 5] = [
        ("NMI", "Non-maskable interrupts", &interrupt::NMIS),
        ("LOC", "Local timer interrupts", &interrupt::TIMERS),
        ("SPU", "Spurious interrupts", &interrupt::SPURIOUS_ONES),
        ("RES", "Rescheduling interrupts", &interrupt::KICKS),
        ("TLB", "TLB shootdowns", &interrupt::FLUSHES),
    ];
    let own = own.into_iter().map(|(name, what, counter)| Count {
        name: name.to_string(),
        what: what.to_string(),
        per_cpu: counter.read(),
    });
    lines.chain(own).collect()
}
