//! The console: standard error.

use core::sync::atomic::{AtomicBool, Ordering};
use std::io::Write;

/// Whether standard error is a terminal that does not move to the first column by itself.
static RAW: AtomicBool = AtomicBool::new(false);

pub(crate) fn set_raw(raw: bool) {
    RAW.store(raw, Ordering::Relaxed);
}

pub(crate) fn write(bytes: &[u8]) {
    let mut error = std::io::stderr().lock();
    // Whoever closed standard error does not want to read this.
    let _ = if RAW.load(Ordering::Relaxed) {
        bytes.split_inclusive(|byte| *byte == b'\n').try_for_each(|line| {
            let (text, end) = match line.split_last() {
                Some((b'\n', text)) => (text, &b"\r\n"[..]),
                _ => (line, &b""[..]),
            };
            error.write_all(&[text, end].concat())
        })
    } else {
        error.write_all(bytes)
    };
}
