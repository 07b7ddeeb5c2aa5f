//! Starting the machine's first CPU, and waiting for the machine's end.

use super::{cpu, sim};
use crate::{
    boot::Boot,
    cpu::MAX_CPUS,
    host::{FAILED, StartError},
};
use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    string::{String, ToString},
    sync::{Condvar, Mutex, PoisonError},
    thread,
};

/// The CPUs that are left to devices' threads.
const FOR_DEVICES: usize = 4;

/// How far the one machine of this process has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It has not been started; a test or a tool uses parts of it.
    Parts,
    Running,
    Off(u8),
}

static STATE: Mutex<State> = Mutex::new(State::Parts);
static ENDED: Condvar = Condvar::new();

/// Runs `main` on the first of `cpus` CPUs, simulated if there is a seed, until the machine is off; returns its status.
pub(crate) fn start<T: Send + 'static>(
    cpus: usize,
    simulation: Option<u64>,
    (boot, guest): (Boot, T),
    main: fn(Boot, T) -> !,
) -> Result<u8, StartError> {
    {
        let mut state = cpu::lock(&STATE);
        if *state != State::Parts {
            return Err(StartError::AlreadyStarted);
        }
        *state = State::Running;
    }
    cpu::reserve(cpus.clamp(1, MAX_CPUS - FOR_DEVICES));
    let body = move || {
        cpu::become_first();
        if let Some(seed) = simulation {
            sim::start_machine(seed);
        }
        // The hook has said what it was.
        let _ = catch_unwind(AssertUnwindSafe(|| main(boot, guest)));
        super::power::off(FAILED)
    };
    thread::Builder::new().name("cpu0".into()).spawn(body).map_err(|_| StartError::NoThread)?;
    let mut state = cpu::lock(&STATE);
    loop {
        if let State::Off(status) = *state {
            return Ok(status);
        }
        state = ENDED.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
}

/// Switches the machine off; false if none was started. The first status counts.
pub(super) fn end(status: u8) -> bool {
    let mut state = cpu::lock(&STATE);
    match *state {
        State::Parts => return false,
        State::Running => *state = State::Off(status),
        State::Off(_) => {}
    }
    ENDED.notify_all();
    true
}

/// The name of the host's CPU.
pub(crate) fn cpu_model() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let value = |line: &str| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == "model name").then(|| value.trim().to_string())
    };
    text.lines().find_map(value).unwrap_or_else(|| "x86-64".to_string())
}
