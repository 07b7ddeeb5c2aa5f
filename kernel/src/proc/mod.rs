//! `/proc`: what the kernel tells of processes and of itself (proc(5)).
//!
//! ```text
//!   root ── fixed files (machine, settings)
//!     └──── Processes: a Listing of numbers ──▶ entry::TABLE, one row for each file of a process
//! ```
//! Nothing of a process is kept between two lookups: a directory knows a number, and each file
//! looks the process up when it is read, so that what is gone answers `ESRCH`.

mod access;
mod arguments;
mod cpuinfo;
mod descriptor;
mod entry;
mod link;
mod machine;
mod maps;
mod mounts;
mod objects;
mod root;
mod sched;
mod settings;
mod stat;
mod status;
mod target;
mod thread_list;

use crate::system::System;
use abi::{Errno, Result};
use alloc::sync::Arc;
use core::fmt;
use fs::{Caller, Mount, MountFlags, generated};

/// Checks the options of a mount of `/proc`.
///
/// # Errors
/// - `EINVAL`: unknown, or not what every `/proc` here is.
pub fn check_options(options: &[u8]) -> Result<()> {
    let known = |option: &&[u8]| {
        option.is_empty() || matches!(*option, b"hidepid=0" | b"hidepid=off" | b"gid=0")
    };
    let mut all = options.split(|byte| *byte == b',');
    if all.all(|option| known(&option)) { Ok(()) } else { Err(Errno::EINVAL) }
}

/// Makes the `/proc` of a system, mounted nowhere yet.
///
/// # Errors
/// Those of [`generated::mount`].
pub fn mount(system: &'static System) -> Result<Arc<Mount>> {
    let root = root::tree(system);
    let identity = generated::Identity::PROC;
    generated::mount(identity, &root, b"proc", MountFlags::empty(), crate::time::realtime_coarse)
}

/// A file that a function writes; unlike a closure it sees who reads.
struct Shown<F>(F);

impl<F> generated::Content for Shown<F>
where
    F: Fn(&mut dyn fmt::Write, &Caller<'_>) -> Result<()> + Send + Sync,
{
    fn show(&self, out: &mut dyn fmt::Write, caller: &Caller<'_>) -> Result<()> {
        (self.0)(out, caller)
    }
}

/// A line that does not fit into memory.
fn full(_: fmt::Error) -> Errno {
    Errno::ENOMEM
}
