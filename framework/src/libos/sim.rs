//! The state of a simulation, one for each thread.

use crate::{
    Instant,
    sim::{Choice, Report},
};
use core::{
    cell::{Cell, RefCell},
    fmt,
    time::Duration,
};
use std::string::{String, ToString};

/// Virtual time begins one second after boot, so that no deadline is before it.
const START_NS: u64 = 1_000_000_000;

/// What a look at the clock costs.
const LOOK_NS: u64 = 50;

/// When a simulated machine is switched on (UTC).
pub(super) const WALL_CLOCK: Duration = Duration::from_secs(1_000_000_000);

/// If no program runs for so long, none ever will: what is left are the kernel's own timers.
const FOREVER: Duration = Duration::from_secs(24 * 3600);

/// A wait ends for nothing once in so many looks at it.
const SPURIOUS: u32 = 16;

thread_local! {
    static ACTIVE: Cell<bool> = const { Cell::new(false) };
    static STATE: RefCell<State> = const { RefCell::new(State::new()) };
}

struct State {
    seed: u64,
    random: u64,
    now_ns: u64,
    choices: u64,
    hash: u64,
    probe: bool,
    progress: u64,
    scope: u64,
    frozen: bool,
    /// It is a whole machine that is simulated, and not a few tasks of a test.
    machine: bool,
    /// When a program last ran.
    ran_ns: u64,
    failure: Option<String>,
}

impl State {
    const fn new() -> Self {
        Self {
            seed: 0,
            random: 0,
            now_ns: START_NS,
            choices: 0,
            // The offset basis of FNV-1a.
            hash: 0xcbf2_9ce4_8422_2325,
            probe: false,
            progress: 0,
            scope: 0,
            frozen: false,
            machine: false,
            ran_ns: START_NS,
            failure: None,
        }
    }

    /// The next number of `SplitMix64`.
    fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Adds to the hash (FNV-1a, eight bytes at a time).
    fn record(&mut self, value: u64) {
        self.hash = (self.hash ^ value).wrapping_mul(0x0100_0000_01b3).rotate_left(17);
    }
}

fn with<T>(access: impl FnOnce(&mut State) -> T) -> T {
    STATE.with_borrow_mut(access)
}

pub(crate) fn start(seed: u64) {
    with(|state| *state = State { seed, random: seed, ..State::new() });
    ACTIVE.set(true);
}

pub(crate) fn finish() -> Option<Report> {
    if !ACTIVE.replace(false) {
        return None;
    }
    Some(with(|state| Report {
        seed: state.seed,
        choices: state.choices,
        hash: state.hash,
        failure: state.failure.take(),
    }))
}

pub(crate) fn active() -> bool {
    ACTIVE.get()
}

pub(crate) fn choose(what: Choice, n: u32) -> Option<u32> {
    with(|state| {
        let chosen = state.draw() % u64::from(n);
        state.choices += 1;
        let now = state.now_ns;
        for value in [what as u64, u64::from(n), chosen, now] {
            state.record(value);
        }
        u32::try_from(chosen).ok()
    })
}

pub(crate) fn wakes_for_nothing() -> bool {
    with(|state| core::mem::take(&mut state.probe)) || crate::sim::happens(Choice::Wake, SPURIOUS)
}

pub(crate) fn set_probe(on: bool) {
    with(|state| state.probe = on);
}

pub(crate) fn progress() {
    with(|state| state.progress += 1);
}

pub(crate) fn progress_count() -> u64 {
    with(|state| state.progress)
}

pub(crate) fn set_scope(scope: u64) {
    with(|state| state.scope = scope);
}

pub(crate) fn scope() -> u64 {
    with(|state| state.scope)
}

pub(crate) fn fail(what: fmt::Arguments<'_>) {
    let (seed, machine) = with(|state| {
        state.failure.get_or_insert_with(|| what.to_string());
        (state.seed, state.machine)
    });
    if machine {
        eprintln!("jinux: simulation: {what}; --sim {seed} does it again");
        super::power::off(crate::host::FAILED);
    }
}

/// Simulates the machine of this process on this thread.
pub(super) fn start_machine(seed: u64) {
    start(seed);
    with(|state| state.machine = true);
}

/// Says what a simulated machine came to, on its way off.
pub(super) fn say_end() {
    let end = with(|state| {
        let was = core::mem::take(&mut state.machine);
        was.then_some((state.seed, state.choices, state.hash))
    });
    if let Some((seed, choices, hash)) = end {
        eprintln!("jinux: simulation: seed {seed}, {choices} choices, hash {hash:016x}");
    }
}

/// Fills `bytes` from the seed.
pub(super) fn fill(bytes: &mut [u8]) {
    with(|state| {
        for chunk in bytes.chunks_mut(8) {
            let drawn = state.draw().to_le_bytes();
            chunk.copy_from_slice(&drawn[..chunk.len()]);
        }
    });
}

/// A program runs for a while.
pub(super) fn run_program() {
    crate::sim::spend_time();
    with(|state| {
        state.progress += 1;
        state.ran_ns = state.now_ns;
    });
}

/// Whether no program has run for longer than any waits.
pub(crate) fn is_over() -> bool {
    with(|state| Duration::from_nanos(state.now_ns - state.ran_ns) > FOREVER)
}

pub(crate) fn has_failed() -> bool {
    with(|state| state.failure.is_some())
}

pub(crate) fn freeze() -> Instant {
    with(|state| {
        state.frozen = true;
        Instant::from_nanos(state.now_ns)
    })
}

pub(crate) fn thaw() {
    with(|state| state.frozen = false);
}

/// The virtual time, which moves by the look at it.
pub(super) fn now() -> Instant {
    with(|state| {
        state.now_ns += if state.frozen { 0 } else { LOOK_NS };
        Instant::from_nanos(state.now_ns)
    })
}

pub(crate) fn spend(time: Duration) {
    if !with(|state| state.frozen) {
        advance(time);
    }
}

/// Lets virtual time pass.
pub(super) fn advance(by: Duration) {
    let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
    with(|state| state.now_ns = state.now_ns.saturating_add(by));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{sim, time};

    fn play(seed: u64) -> Report {
        sim::start(seed);
        for n in 2..100 {
            sim::choose(Choice::Task, n);
            let _ = time::now();
        }
        sim::finish().unwrap()
    }

    #[test]
    fn a_seed_repeats_itself_and_differs_from_the_next() {
        assert_eq!(play(1), play(1));
        assert_ne!(play(1).hash, play(2).hash);
    }

    #[test]
    fn nothing_is_chosen_outside_of_a_simulation() {
        assert!(!sim::active());
        assert_eq!(sim::choose(Choice::Task, 10), None);
        assert!(!sim::wakes_for_nothing());
        assert_eq!(sim::finish(), None);
    }

    #[test]
    fn a_choice_is_one_of_those_there_are() {
        sim::start(7);
        let seen: std::collections::BTreeSet<_> =
            (0..200).filter_map(|_| sim::choose(Choice::Victim, 5)).collect();
        assert_eq!(seen, (0..5).collect());
        assert_eq!(sim::choose(Choice::Victim, 1), None);
    }

    #[test]
    fn a_halt_takes_virtual_time_to_the_alarm() {
        sim::start(3);
        let due = time::now().saturating_add(Duration::from_secs(3600));
        time::set_alarm(Some(due));
        crate::cpu::halt_unless(|| false);
        assert!(time::now() >= due);
        sim::finish();
    }

    #[test]
    fn the_first_failure_stays() {
        sim::start(4);
        sim::fail(format_args!("one"));
        sim::fail(format_args!("two"));
        assert_eq!(sim::finish().unwrap().failure.as_deref(), Some("one"));
    }
}
