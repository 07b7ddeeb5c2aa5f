//! The point all free choices go through.
//!
//! What the scheduler may do one way or another without breaking a promise it asks here; unless a
//! chooser is installed it does what is fastest. A seeded chooser makes runs explore and replay.

use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use spin::Once;

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
}

/// Chooses one of `n` (at least 2), by its number from 0.
pub type Chooser = fn(what: Choice, n: u32) -> u32;

static ACTIVE: AtomicBool = AtomicBool::new(false);
static CHOOSER: Once<Chooser> = Once::new();

/// Lets `chooser` decide from now on; the first one installed stays.
pub fn install(chooser: Chooser) {
    CHOOSER.call_once(|| chooser);
    ACTIVE.store(true, Relaxed);
}

/// The chooser's answer, if there is one and there is anything to choose.
pub(crate) fn ask(what: Choice, n: u32) -> Option<u32> {
    if !ACTIVE.load(Relaxed) || n < 2 {
        return None;
    }
    CHOOSER.get().map(|chooser| chooser(what, n) % n)
}
