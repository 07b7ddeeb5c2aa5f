//! The console: standard error.

use std::io::Write;

pub(crate) fn write(bytes: &[u8]) {
    // Whoever closed standard error does not want to read this.
    let _ = std::io::stderr().lock().write_all(bytes);
}
