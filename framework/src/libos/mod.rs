//! The machine as a Linux process: a CPU is a host thread.
mod affinity;
pub(crate) mod boot;
pub(crate) mod clock;
pub(crate) mod console;
pub(crate) mod copy;
pub(crate) mod cpu;
pub(crate) mod features;
pub(crate) mod fpu;
pub(crate) mod irq;
pub(crate) mod memory;
pub(crate) mod panic;
pub(crate) mod port;
pub(crate) mod power;
pub(crate) mod random;
pub(crate) mod sim;
pub(crate) mod space;
pub(crate) mod user;
