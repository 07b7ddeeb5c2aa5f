//! The interval timer (8254), of which only the counter behind the speaker is used, as a clock.

use super::port::{read_u8, write_u8};

/// What it counts.
pub(super) const HZ: u64 = 1_193_182;

const COUNTER_2: u16 = 0x42;
const COMMAND: u16 = 0x43;
const GATE: u16 = 0x61;

/// Lets counter 2 run down from 65536 again and again; whether there is one.
pub(super) fn start() -> bool {
    write_u8(GATE, read_u8(GATE) & !2 | 1); // counting, but silent
    write_u8(COMMAND, 0b1011_0100); // counter 2, both bytes, rate generator
    write_u8(COUNTER_2, 0);
    write_u8(COUNTER_2, 0);
    let first = read();
    (0..10_000).any(|_| read() != first)
}

/// Counts up, 16 bits.
pub(super) fn read() -> u64 {
    write_u8(COMMAND, 0b1000_0000); // latch counter 2
    let low = read_u8(COUNTER_2);
    let high = read_u8(COUNTER_2);
    u64::from(!u16::from_le_bytes([low, high]))
}
