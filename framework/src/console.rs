//! The machine's console for the log and for panics: synchronous, usable at any time.

/// Writes bytes to the console, waiting for the device; callable from anywhere.
pub fn write(_bytes: &[u8]) {
    unimplemented!()
}

/// Sends the `log` crate's records of `level` and above to the console.
pub fn set_log_level(level: log::LevelFilter) {
    log::set_max_level(level);
}
