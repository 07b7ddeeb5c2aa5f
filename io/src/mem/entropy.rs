//! The random generator behind `/dev/random`, `/dev/urandom` and getrandom(2).
//!
//! The state is one key. A request takes a ChaCha20 stream from it, whose first bytes replace the
//! key: what was given out cannot be computed from what is kept, and requests do not hold the lock
//! while they copy. New entropy is xored to the key, and the next request replaces it.

use abi::Result;
use core::time::Duration;
use framework::{Instant, Sink, Source, random, time};
use rand_chacha::{
    ChaCha20Rng,
    rand_core::{RngCore, SeedableRng},
};
use spin::Mutex;

/// Bytes of a key.
const KEY: usize = 32;
/// How long a key lives without new entropy of the machine.
const RESEED_AFTER: Duration = Duration::from_secs(60);
/// Bytes copied at once.
const CHUNK: usize = 256;

/// A cryptographic generator of random bytes, seeded by the machine at first use.
#[derive(Debug)]
pub struct Entropy {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    key: [u8; KEY],
    /// When the machine's entropy was mixed in last; `None` before the first use.
    seeded: Option<Instant>,
}

impl Entropy {
    /// A generator that is seeded when it is first asked.
    pub const fn new() -> Self {
        Self { state: Mutex::new(State { key: [0; KEY], seeded: None }) }
    }

    /// Fills `bytes`.
    pub fn fill(&self, bytes: &mut [u8]) {
        self.stream().fill_bytes(bytes);
    }

    /// A random word, for address layouts, hash keys and sequence numbers.
    pub fn word(&self) -> u64 {
        self.stream().next_u64()
    }

    /// Bytes for several needs at once: most of what a request costs is its beginning.
    pub fn draw(&self) -> Draw {
        Draw(self.stream())
    }

    /// Fills the sink.
    ///
    /// # Errors
    /// `EFAULT`: the sink stopped.
    pub fn read(&self, sink: &mut Sink<'_>) -> Result<()> {
        let mut stream = self.stream();
        let mut chunk = [0; CHUNK];
        while sink.remaining() > 0 {
            let chunk = &mut chunk[..sink.remaining().min(CHUNK)];
            stream.fill_bytes(chunk);
            sink.write(chunk)?;
        }
        Ok(())
    }

    /// Mixes in what the source has. It adds to the machine's entropy and never replaces it.
    ///
    /// # Errors
    /// `EFAULT`: the source stopped.
    pub fn write(&self, source: &mut Source<'_>) -> Result<()> {
        let mut chunk = [0; KEY];
        while source.remaining() > 0 {
            let count = source.read(&mut chunk)?;
            self.mix(&chunk[..count]);
        }
        Ok(())
    }

    /// Mixes `bytes` into the state.
    pub fn mix(&self, bytes: &[u8]) {
        let mut state = self.state.lock();
        for part in bytes.chunks(KEY) {
            for (key, byte) in state.key.iter_mut().zip(part) {
                *key ^= byte;
            }
            state.take_stream();
        }
    }

    /// Mixes in fresh entropy of the machine (`RNDRESEEDCRNG`).
    pub fn reseed(&self) {
        self.state.lock().reseed(time::now());
    }

    fn stream(&self) -> ChaCha20Rng {
        let now = time::now();
        let mut state = self.state.lock();
        if state.seeded.is_none_or(|seeded| now.saturating_since(seeded) >= RESEED_AFTER) {
            state.reseed(now);
        }
        state.take_stream()
    }
}

/// What [`Entropy::draw`] gives.
#[derive(Debug)]
pub struct Draw(ChaCha20Rng);

impl Draw {
    /// Fills `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    /// A random word.
    pub fn word(&mut self) -> u64 {
        self.0.next_u64()
    }
}

impl Default for Entropy {
    fn default() -> Self {
        Self::new()
    }
}

impl State {
    fn reseed(&mut self, now: Instant) {
        let mut seed = [0; KEY];
        random::seed(&mut seed);
        for (key, byte) in self.key.iter_mut().zip(seed) {
            *key ^= byte;
        }
        self.take_stream();
        self.seeded = Some(now);
    }

    /// A stream of the key; the key is replaced by its beginning.
    fn take_stream(&mut self) -> ChaCha20Rng {
        let mut stream = ChaCha20Rng::from_seed(self.key);
        stream.fill_bytes(&mut self.key);
        stream
    }
}

#[cfg(test)]
mod tests {
    use super::Entropy;
    use framework::{Sink, Source};

    #[test]
    fn bytes_differ_and_are_even() {
        let entropy = Entropy::new();
        let mut bytes = vec![0; 100_000];
        let mut sink = Sink::kernel(&mut bytes);
        entropy.read(&mut sink).unwrap();
        assert_eq!(sink.remaining(), 0);
        let ones: u32 = bytes.iter().map(|byte| byte.count_ones()).sum();
        assert!((398_000..402_000).contains(&ones), "{ones} of 800000 bits are set");
        let mut counts = [0u32; 256];
        bytes.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
        assert!(counts.iter().all(|count| (250..550).contains(count)), "{counts:?}");
        assert_ne!(entropy.word(), entropy.word());
    }

    #[test]
    fn what_is_written_changes_the_stream() {
        let entropy = Entropy::new();
        let before = entropy.state.lock().key;
        entropy.write(&mut Source::kernel(&[5; 100])).unwrap();
        assert_ne!(entropy.state.lock().key, before);
    }

    #[test]
    fn a_key_is_never_given_out() {
        let entropy = Entropy::new();
        let mut bytes = [0; 64];
        entropy.fill(&mut bytes);
        let key = entropy.state.lock().key;
        assert!(!bytes.windows(8).any(|window| window == &key[..8]));
    }
}
