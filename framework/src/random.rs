//! Entropy from the machine.

/// Fills `bytes` with the machine's entropy: a seed for a generator, not a generator.
pub fn seed(bytes: &mut [u8]) {
    crate::machine::random::seed(bytes);
}
