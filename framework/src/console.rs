//! The machine's console for the log and for panics: synchronous, usable at any time.

use crate::{cpu, machine, time};
use core::fmt::{self, Write};

/// Writes bytes to the console, waiting for the device; callable from anywhere.
pub fn write(bytes: &[u8]) {
    machine::console::write(bytes);
}

/// Sends the `log` crate's records of `level` and above to the console.
pub fn set_log_level(level: log::LevelFilter) {
    // Only the first call sets the logger; another logger (a test's) stays.
    let _ = log::set_logger(&Logger);
    log::set_max_level(level);
}

/// Writes records as `[    1.234567] cpu0 target: message`.
struct Logger;

impl log::Log for Logger {
    fn enabled(&self, _metadata: &log::Metadata<'_>) -> bool {
        true // the maximum level has decided
    }

    fn log(&self, record: &log::Record<'_>) {
        let micros = time::now().as_nanos() / 1000;
        let (seconds, micros) = (micros / 1_000_000, micros % 1_000_000);
        let (cpu, target) = (cpu::current().index(), record.target());
        let mut line = Line::new();
        // A line writes to the console and cannot fail.
        let _ = writeln!(line, "[{seconds:5}.{micros:06}] cpu{cpu} {target}: {}", record.args());
    }

    fn flush(&self) {}
}

/// Collects text so that a line reaches the console in one piece; longer ones in several.
struct Line {
    bytes: [u8; 256],
    len: usize,
}

impl Line {
    fn new() -> Self {
        Self { bytes: [0; 256], len: 0 }
    }

    fn flush(&mut self) {
        write(&self.bytes[..self.len]);
        self.len = 0;
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for &byte in text.as_bytes() {
            if self.len == self.bytes.len() {
                self.flush();
            }
            self.bytes[self.len] = byte;
            self.len += 1;
        }
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.flush();
    }
}
