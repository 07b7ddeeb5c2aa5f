//! Ending the machine, or the process that uses parts of it.

pub(crate) fn off(status: u8) -> ! {
    super::sim::say_end();
    if super::boot::end(status) {
        // Who started the machine ends the process.
        loop {
            std::thread::park();
        }
    }
    std::process::exit(i32::from(status))
}

/// What Linux tells who waits for a container that restarts: ended by SIGHUP.
const RESTARTED: u8 = 128 + 1;

pub(crate) fn reboot() -> ! {
    off(RESTARTED)
}
