//! x86_64 without an operating system: boot, traps, interrupts, timers.
mod boot;
pub(crate) mod clock;
pub(crate) mod console;
pub(crate) mod cpu;
mod heap;
pub(crate) mod panic;
pub(crate) mod port;
pub(crate) mod power;
pub(crate) mod random;
