//! getpid(2), gettid(2), getppid(2), getuid(2) and its family.

use super::{Row, row};
use crate::thread::Thread;

pub(super) const ROWS: &[Row] = &[
    row!(39 "getpid" () => getpid, Full),
    row!(186 "gettid" () => gettid, Full),
    row!(110 "getppid" () => getppid, Full),
    row!(102 "getuid" () => getuid, Full),
    row!(104 "getgid" () => getgid, Full),
    row!(107 "geteuid" () => geteuid, Full),
    row!(108 "getegid" () => getegid, Full),
];

/// The process's number.
///
/// Source: getpid(2)
fn getpid(thread: &Thread) -> usize {
    thread.process().pid.as_usize()
}

/// The thread's number.
///
/// Source: gettid(2)
fn gettid(thread: &Thread) -> usize {
    thread.tid().as_usize()
}

/// The parent's number; 0 for init.
///
/// Source: getppid(2)
fn getppid(thread: &Thread) -> usize {
    thread.process().parent_pid().map_or(0, |pid| pid.as_usize())
}

/// The real user.
///
/// Source: getuid(2)
fn getuid(thread: &Thread) -> usize {
    thread.credentials.uid as usize
}

/// The real group.
///
/// Source: getgid(2)
fn getgid(thread: &Thread) -> usize {
    thread.credentials.gid as usize
}

/// The effective user.
///
/// Source: geteuid(2)
fn geteuid(thread: &Thread) -> usize {
    thread.credentials.euid as usize
}

/// The effective group.
///
/// Source: getegid(2)
fn getegid(thread: &Thread) -> usize {
    thread.credentials.egid as usize
}
