//! `/sys`: the directories programs look for, and the CPUs (sysfs(5)).

use crate::system::System;
use abi::Result;
use alloc::{format, string::String, sync::Arc};
use core::fmt;
use fs::{Mount, MountFlags, generated};
use generated::Tree;

/// Makes the `/sys` of a system, mounted nowhere yet.
///
/// # Errors
/// Those of [`generated::mount`].
pub fn mount(_system: &'static System) -> Result<Arc<Mount>> {
    let identity = generated::Identity::SYS;
    let clock = crate::time::realtime_coarse;
    generated::mount(identity, &tree(), b"sysfs", MountFlags::empty(), clock)
}

fn tree() -> Arc<Tree> {
    let root = Tree::new();
    for name in ["block", "bus", "class", "dev", "firmware", "kernel", "module", "power"] {
        root.directory(name.as_bytes());
    }
    root.directory(b"fs").directory(b"cgroup");
    cpus(&root.directory(b"devices").directory(b"system").directory(b"cpu"));
    root
}

/// `/sys/devices/system/cpu`: which CPUs there are.
fn cpus(directory: &Tree) {
    for name in ["online", "possible", "present"] {
        directory.file(name.as_bytes(), |out: &mut dyn fmt::Write| {
            writeln!(out, "{}", range(framework::cpu::count()))
        });
    }
    directory.file(b"offline", |out: &mut dyn fmt::Write| writeln!(out));
    // Made when it is first mounted, when all CPUs run.
    for cpu in 0..framework::cpu::count() {
        directory.directory(format!("cpu{cpu}").as_bytes());
    }
}

/// The numbers below `count` as a list.
fn range(count: usize) -> String {
    if count <= 1 { String::from("0") } else { format!("0-{}", count - 1) }
}

#[cfg(test)]
mod tests {
    use super::range;

    #[test]
    fn cpus_are_a_list() {
        assert_eq!(range(1), "0");
        assert_eq!(range(4), "0-3");
    }
}
