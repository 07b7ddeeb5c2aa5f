//! Switching off and starting again.

/// Switches the machine off. `status` reaches whoever started the machine where there is a way
/// (QEMU's exit status through `isa-debug-exit`, the process's on the library OS).
pub fn off(_status: u8) -> ! {
    unimplemented!()
}

/// Starts the machine again.
pub fn reboot() -> ! {
    unimplemented!()
}
