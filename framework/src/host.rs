//! The machine as a process of a host: how it is started and how it ends.
//!
//! ```text
//!   start(config, main) ──▶ thread "cpu0": main(Boot) ──▶ power::off(status)
//!          ▲ waits                                              │
//!          └──────────────────── status ◀───────────────────────┘
//! ```
//! The caller's thread is no CPU: it waits, and has the process to itself when the machine is off.

use crate::{
    boot::{Boot, Initrd},
    machine,
};
use alloc::{string::String, vec::Vec};

/// What the machine is made of.
#[derive(Debug, Default)]
pub struct Config {
    /// The command line of the kernel.
    pub cmdline: String,
    /// The initial RAM disk.
    pub initrd: Option<Vec<u8>>,
    /// Bytes of memory.
    pub memory: usize,
    /// How many CPUs, at least one; [`MAX_CPUS`](crate::cpu::MAX_CPUS) less a few that devices'
    /// threads need are the most.
    pub cpus: usize,
    /// The seed of a simulation ([`sim`](crate::sim)), which has one CPU.
    pub simulation: Option<u64>,
}

/// Why a machine does not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartError {
    /// There is one in this process already.
    AlreadyStarted,
    /// The host has no thread for the first CPU.
    NoThread,
}

/// Starts the machine, whose first CPU calls `main` with what it has and with `guest`, and returns
/// the status it is switched off with ([`power::off`](crate::power::off)). A process has one machine
/// in its life.
///
/// # Errors
/// [`StartError`].
pub fn start<T: Send + 'static>(
    config: Config,
    guest: T,
    main: fn(Boot, T) -> !,
) -> Result<u8, StartError> {
    let Config { cmdline, initrd, memory, cpus, simulation } = config;
    let cpus = if simulation.is_some() { 1 } else { cpus };
    machine::memory::set_size(memory);
    let initrd = initrd.map(Initrd::new);
    let boot = Boot { cmdline, initrd, uart: None, cpu_model: machine::boot::cpu_model() };
    machine::boot::start(cpus, simulation, (boot, guest), main)
}

/// The status of a machine that its own failure ends: a panic, or a stub that cannot be made.
pub const FAILED: u8 = 125;

/// Says whether standard error is a terminal in raw mode, so that lines of the kernel's console have
/// to end as such a terminal needs it.
pub fn set_console_raw(raw: bool) {
    machine::console::set_raw(raw);
}
