//! Interrupts: those of software devices.

use crate::irq::{Count, Line};
use std::{string::ToString, sync::Mutex, vec::Vec};

static LINES: Mutex<Vec<(u32, &'static Line)>> = Mutex::new(Vec::new());

/// Takes a line into the counts.
pub(crate) fn add(number: u32, line: &'static Line) {
    super::cpu::lock(&LINES).push((number, line));
}

pub(crate) fn counts() -> Vec<Count> {
    let lines = super::cpu::lock(&LINES);
    let count = |(number, line): &(u32, &'static Line)| Count {
        name: number.to_string(),
        what: "software device".to_string(),
        per_cpu: line.fired.read(),
    };
    lines.iter().map(count).collect()
}
