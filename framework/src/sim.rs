//! The seeded simulation: one CPU, virtual time, and every free choice drawn from a seed.
//!
//! Only the library OS simulates; on the bare machine [`active`] is constantly false and the rest
//! of this module compiles to nothing. A simulation belongs to the thread that [`start`]ed it.
//!
//! What the kernel may do one way or another without breaking a promise, it asks here: which task
//! runs next, how long something took, whether a wait ends for no reason. Each answer goes into a
//! hash with the time it was given at, so the same seed is known to have done the same.
//!
//! Virtual time moves a little with each look at it, and to the next alarm when the CPU halts.

use crate::machine;

/// What is to be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Choice {
    /// Which fair task runs next, in the order of their deadlines.
    Task,
    /// Which CPU to steal from, of those with work to spare.
    Victim,
    /// Which of the idle CPUs a woken task goes to.
    IdleCpu,
    /// Whether a wait ends though nothing woke it.
    Wake,
    /// How long something took.
    Run,
}

/// What a simulation came to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg(not(target_os = "none"))]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// How many choices were made.
    pub choices: u64,
    /// The hash of all choices and their times.
    pub hash: u64,
    /// What went wrong first, in words.
    pub failure: Option<std::string::String>,
}

/// Begins a simulation on this thread. An earlier one is forgotten.
#[cfg(not(target_os = "none"))]
pub fn start(seed: u64) {
    machine::sim::start(seed);
}

/// Ends this thread's simulation; `None` if there is none.
#[cfg(not(target_os = "none"))]
pub fn finish() -> Option<Report> {
    machine::sim::finish()
}

/// Whether this CPU is simulated.
pub fn active() -> bool {
    machine::sim::active()
}

/// Chooses one of `n`, from 0; `None` if nobody simulates or there is nothing to choose.
pub fn choose(what: Choice, n: u32) -> Option<u32> {
    if !active() || n < 2 {
        return None;
    }
    machine::sim::choose(what, n)
}

/// Whether something that may happen does, once in `one_in` times. Never if nobody simulates.
pub fn happens(what: Choice, one_in: u32) -> bool {
    choose(what, one_in) == Some(0)
}

/// Whether a wait that nothing woke is to end now, as any wait may.
pub fn wakes_for_nothing() -> bool {
    active() && machine::sim::wakes_for_nothing()
}

/// Lets the next wait that is looked at end for nothing, or no longer.
pub fn set_probe(on: bool) {
    machine::sim::set_probe(on);
}

/// Lets as much time pass as some work may take.
pub fn spend_time() {
    if let Some(us) = choose(Choice::Run, LONGEST_US) {
        machine::sim::spend(core::time::Duration::from_micros(u64::from(us)));
    }
}

/// Work between two choices takes up to so many microseconds of virtual time.
const LONGEST_US: u32 = 100;

/// Counts something that a task can only do when it was not just waiting.
pub fn progress() {
    if active() {
        machine::sim::progress();
    }
}

/// How often [`progress`] was called.
pub fn progress_count() -> u64 {
    machine::sim::progress_count()
}

/// Keeps a number for whoever simulates: which tasks are of this simulation.
#[cfg(not(target_os = "none"))]
pub fn set_scope(scope: u64) {
    machine::sim::set_scope(scope);
}

/// What [`set_scope`] kept; 0 at the start.
#[cfg(not(target_os = "none"))]
pub fn scope() -> u64 {
    machine::sim::scope()
}

/// Whether no program of the machine has run for so long that none ever will.
#[cfg(not(target_os = "none"))]
pub fn is_over() -> bool {
    machine::sim::is_over()
}

/// Stops virtual time until [`thaw`]; returns it.
#[cfg(not(target_os = "none"))]
pub fn freeze() -> crate::Instant {
    machine::sim::freeze()
}

/// Lets virtual time move again.
#[cfg(not(target_os = "none"))]
pub fn thaw() {
    machine::sim::thaw();
}

/// Records that the simulation found an error; the first one stays.
pub fn fail(what: core::fmt::Arguments<'_>) {
    machine::sim::fail(what);
}

/// Whether an error was recorded.
pub fn has_failed() -> bool {
    machine::sim::has_failed()
}
