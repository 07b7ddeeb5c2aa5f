//! Entropy: the host's.

use std::{fs::File, io::Read};

pub(crate) fn seed(bytes: &mut [u8]) {
    File::open("/dev/urandom")
        .and_then(|mut device| device.read_exact(bytes))
        .expect("every Linux has /dev/urandom");
}
