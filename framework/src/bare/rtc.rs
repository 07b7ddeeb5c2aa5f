//! The real-time clock (MC146818): the time at boot, and a last resort to measure others with.

use super::{
    clock::tsc,
    port::{read_u8, write_u8},
};
use crate::calendar::{Date, unix_time};
use core::time::Duration;

const INDEX: u16 = 0x70;
const DATA: u16 = 0x71;

const A: u8 = 0x0a;
const B: u8 = 0x0b;
const C: u8 = 0x0c;
const UPDATING: u8 = 0x80;
const BINARY: u8 = 4;
const HOURS_24: u8 = 2;
const PERIODIC: u8 = 0x40;

/// Ticks of [`Ticks`] in a second.
pub(super) const TICK_HZ: u64 = 1024;

fn read(register: u8) -> u8 {
    write_u8(INDEX, register);
    read_u8(DATA)
}

fn write(register: u8, value: u8) {
    write_u8(INDEX, register);
    write_u8(DATA, value);
}

/// The UNIX time, to the second; `None` if there is no clock or it tells no date.
///
/// It is read until two readings agree, so that none is torn by an update.
pub(super) fn time(century: Option<u8>) -> Option<Duration> {
    let mut last = None;
    for _ in 0..100 {
        while read(A) & UPDATING != 0 {
            if read(A) == 0xff {
                return None; // nothing there
            }
        }
        let registers = [0, 2, 4, 7, 8, 9, century.unwrap_or(9)].map(read);
        if last == Some(registers) {
            return decode(registers, century.is_some(), read(B));
        }
        last = Some(registers);
    }
    None
}

fn decode(registers: [u8; 7], has_century: bool, mode: u8) -> Option<Duration> {
    let number = |value: u8| {
        u64::from(if mode & BINARY != 0 { value } else { (value >> 4) * 10 + (value & 15) })
    };
    let [second, minute, hour, day, month, year, century] = registers;
    let afternoon = mode & HOURS_24 == 0 && hour & 0x80 != 0;
    let hour = match (mode & HOURS_24 != 0, number(hour & 0x7f)) {
        (true, hour) => hour,
        (false, hour) => hour % 12 + if afternoon { 12 } else { 0 },
    };
    let century = if has_century { number(century) } else { 20 };
    let date = Date {
        year: 100 * century + number(year),
        month: number(month),
        day: number(day),
        hour,
        minute: number(minute),
        second: number(second),
    };
    unix_time(&date).map(Duration::from_secs)
}

/// The periodic flag, which rises [`TICK_HZ`] times a second.
pub(super) struct Ticks {
    mode: u8,
}

/// Starts the periodic flag; `None` if there is no clock.
pub(super) fn ticks() -> Option<Ticks> {
    if read(A) == 0xff {
        return None;
    }
    let mode = read(B);
    write(A, read(A) & 0xf0 | 6);
    write(B, mode | PERIODIC);
    Some(Ticks { mode })
}

impl Ticks {
    /// Waits for the next tick; `None` if none comes for some 10^10 cycles.
    pub(super) fn wait(&mut self) -> Option<()> {
        let start = tsc();
        while tsc().saturating_sub(start) < 10_000_000_000 {
            if read(C) & PERIODIC != 0 {
                return Some(());
            }
        }
        None
    }
}

impl Drop for Ticks {
    fn drop(&mut self) {
        write(B, self.mode);
        read(C);
    }
}
