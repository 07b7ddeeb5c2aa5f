//! The console: the first serial port.

use super::port;

/// COM1.
const BASE: u16 = 0x3f8;

/// The transmitter takes another byte (line status register).
const READY: u8 = 0x20;

pub(crate) fn write(bytes: &[u8]) {
    for &byte in bytes {
        // A port that is not there reads 0xff: ready.
        while port::read_u8(BASE + 5) & READY == 0 {
            core::hint::spin_loop();
        }
        port::write_u8(BASE, byte);
    }
}
