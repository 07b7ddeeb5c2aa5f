//! Entropy: the host's, or the seed's of a simulation.

use super::sim;
use std::{fs::File, io::Read};

pub(crate) fn seed(bytes: &mut [u8]) {
    if sim::active() {
        return sim::fill(bytes);
    }
    File::open("/dev/urandom")
        .and_then(|mut device| device.read_exact(bytes))
        .expect("every Linux has /dev/urandom");
}
