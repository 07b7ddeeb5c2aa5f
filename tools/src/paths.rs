//! Where things are in the source tree and below cargo's target directory.

use std::{env, path::PathBuf};

/// The root of the source tree: the directory this crate's own directory is in.
pub fn source() -> PathBuf {
    let mut root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.pop();
    root
}

/// Where cargo builds: `CARGO_TARGET_DIR`, or `target` in the source tree.
pub fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| source().join("target"), PathBuf::from)
}

/// The kernel that `make build` leaves.
pub fn kernel() -> PathBuf {
    target().join("jinux.elf")
}
