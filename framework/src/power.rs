//! Switching off and starting again.

use crate::machine;

/// Switches the machine off. `status` reaches whoever started the machine where there is a way
/// (QEMU's exit status through `isa-debug-exit`, the process's on the library OS).
pub fn off(status: u8) -> ! {
    machine::power::off(status)
}

/// Starts the machine again.
pub fn reboot() -> ! {
    machine::power::reboot()
}
