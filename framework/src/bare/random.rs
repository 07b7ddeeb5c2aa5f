//! Entropy: RDSEED, RDRAND, and the jitter of the time stamp counter.

pub(crate) fn seed(_bytes: &mut [u8]) {
    unimplemented!()
}
