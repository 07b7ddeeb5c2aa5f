//! A task's name: 15 bytes and a length, readable at any moment without a lock.

use arrayvec::ArrayString;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The longest name in bytes, as in prctl(2) `PR_SET_NAME`.
pub(crate) const NAME_LEN: usize = 15;

/// Holds a name. A reader that races a writer may see half of each.
#[derive(Debug, Default)]
pub(crate) struct Name([AtomicU64; 2]);

impl Name {
    pub(crate) const fn new() -> Self {
        Self([AtomicU64::new(0), AtomicU64::new(0)])
    }

    /// Keeps the first 15 bytes, cut at a character.
    pub(crate) fn set(&self, name: &str) {
        let mut bytes = [0; 16];
        for (to, from) in
            bytes.iter_mut().zip(&name.as_bytes()[..name.floor_char_boundary(NAME_LEN)])
        {
            *to = *from;
        }
        let word = u128::from_le_bytes(bytes);
        let [low, high] = halves(word);
        self.0[0].store(low, Relaxed);
        self.0[1].store(high, Relaxed);
    }

    pub(crate) fn get(&self) -> ArrayString<16> {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.0[0].load(Relaxed).to_le_bytes());
        bytes[8..].copy_from_slice(&self.0[1].load(Relaxed).to_le_bytes());
        let len = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        let mut name = ArrayString::new();
        for chunk in bytes[..len].utf8_chunks() {
            // 16 bytes fit.
            let _ = name.try_push_str(chunk.valid());
        }
        name
    }
}

fn halves(word: u128) -> [u64; 2] {
    let bytes = word.to_le_bytes();
    let (low, high) = bytes.split_at(8);
    [low, high].map(|half| half.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_15_bytes() {
        let name = Name::new();
        assert_eq!(name.get().as_str(), "");
        name.set("init");
        assert_eq!(name.get().as_str(), "init");
        name.set("a-very-long-name-indeed");
        assert_eq!(name.get().as_str(), "a-very-long-nam");
        name.set("12345678901234é");
        assert_eq!(name.get().as_str(), "12345678901234");
    }
}
