//! Random numbers: a ChaCha20 generator seeded, and seeded again, by the machine.

use framework::Instant;
use rand_chacha::{
    ChaCha20Rng,
    rand_core::{RngCore, SeedableRng},
};
use spin::Mutex;

/// How long a seed is used.
const SEED_AGE_NS: u64 = 300_000_000_000;

/// The system's generator.
#[derive(Debug)]
pub struct Random(Mutex<State>);

#[derive(Debug)]
struct State {
    generator: ChaCha20Rng,
    seeded_at: Instant,
}

impl Random {
    /// A generator seeded by the machine.
    pub fn new() -> Self {
        Self(Mutex::new(State {
            generator: ChaCha20Rng::from_seed(seed()),
            seeded_at: framework::time::now(),
        }))
    }

    /// Fills `bytes` with random ones.
    pub fn fill(&self, bytes: &mut [u8]) {
        let now = framework::time::now();
        let mut state = self.0.lock();
        if now.saturating_since(state.seeded_at).as_nanos() > u128::from(SEED_AGE_NS) {
            // The old state goes into the new one: a weak source cannot make it worse.
            let mut mixed = seed();
            let mut old = [0; 32];
            state.generator.fill_bytes(&mut old);
            mixed.iter_mut().zip(old).for_each(|(mixed, old)| *mixed ^= old);
            *state = State { generator: ChaCha20Rng::from_seed(mixed), seeded_at: now };
        }
        state.generator.fill_bytes(bytes);
    }

    /// A random number.
    pub fn next_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_ne_bytes(bytes)
    }
}

impl Default for Random {
    fn default() -> Self {
        Self::new()
    }
}

fn seed() -> [u8; 32] {
    let mut seed = [0; 32];
    framework::random::seed(&mut seed);
    seed
}
