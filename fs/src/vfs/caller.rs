//! On whose behalf an operation runs.

use crate::{Errno, Result, Timespec};
use alloc::boxed::Box;
use core::{cell::Cell, fmt, future::Future, pin::Pin};

bitflags::bitflags! {
    /// The capabilities that file systems look at; the bits are those of capabilities(7).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Capabilities: u64 {
        /// Give files away.
        const CHOWN = 1 << 0;
        /// Ignore permission bits.
        const DAC_OVERRIDE = 1 << 1;
        /// Ignore permission bits for reading files and searching directories.
        const DAC_READ_SEARCH = 1 << 2;
        /// Act as the owner of every file.
        const FOWNER = 1 << 3;
        /// Keep the set-id bits when writing or changing the group.
        const FSETID = 1 << 4;
        /// Send signals to anyone; kept here for completeness of the set.
        const KILL = 1 << 5;
        /// Set the immutable and append-only flags.
        const LINUX_IMMUTABLE = 1 << 9;
        /// Change the root.
        const SYS_CHROOT = 1 << 18;
        /// Mount, trusted attributes, and much else.
        const SYS_ADMIN = 1 << 21;
        /// Go over limits.
        const SYS_RESOURCE = 1 << 24;
        /// Make device nodes.
        const MKNOD = 1 << 27;
        /// Take leases on other people's files.
        const LEASE = 1 << 28;
        /// Set file capabilities.
        const SETFCAP = 1 << 31;
        /// Bits that mean nothing to file systems are kept as they are.
        const _ = !0;
    }
}

/// Who asks: ids and capabilities for checks of permission.
#[derive(Clone, Copy, Debug)]
pub struct Credentials<'a> {
    /// File system user id (access(2) passes the real one).
    pub uid: u32,
    /// File system group id.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: &'a [u32],
    /// Effective capabilities.
    pub capabilities: Capabilities,
}

impl Credentials<'static> {
    /// User 0 with every capability: what the kernel itself uses.
    pub const ROOT: Self = Self { uid: 0, gid: 0, groups: &[], capabilities: Capabilities::all() };
}

impl Credentials<'_> {
    /// Whether a capability is in effect.
    pub const fn capable(&self, capability: Capabilities) -> bool {
        self.capabilities.contains(capability)
    }

    /// Whether `gid` is among the caller's groups.
    pub fn in_group(&self, gid: u32) -> bool {
        self.gid == gid || self.groups.contains(&gid)
    }
}

/// The work that must be done before an operation that answered [`Errno::MISS`] is tried again.
pub type Miss = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// On whose behalf an operation runs: credentials, clock and limits. Cheap to make for each call.
///
/// An operation that answers [`Errno::MISS`] leaves a future here; the caller takes it, awaits it,
/// and tries again.
pub struct Caller<'a> {
    /// Who asks.
    pub credentials: Credentials<'a>,
    /// The process that asks, by number, and its thread; 0 if it is the kernel (`/proc/self`).
    pub process: u32,
    /// See [`process`](Self::process).
    pub thread: u32,
    /// `RLIMIT_FSIZE`: no write goes beyond (`EFBIG`; the signal is up to the kernel).
    pub size_limit: u64,
    clock: fn() -> Timespec,
    miss: Cell<Option<Miss>>,
}

impl<'a> Caller<'a> {
    /// Makes a caller; `clock` is read only when a time has to be stored.
    pub const fn new(credentials: Credentials<'a>, clock: fn() -> Timespec) -> Self {
        Self {
            credentials,
            process: 0,
            thread: 0,
            size_limit: u64::MAX,
            clock,
            miss: Cell::new(None),
        }
    }

    /// The same caller as a thread of a process.
    #[must_use]
    pub const fn of_thread(mut self, process: u32, thread: u32) -> Self {
        (self.process, self.thread) = (process, thread);
        self
    }

    /// The same caller under `RLIMIT_FSIZE`.
    #[must_use]
    pub const fn with_size_limit(mut self, size_limit: u64) -> Self {
        self.size_limit = size_limit;
        self
    }

    /// The wall clock.
    pub fn now(&self) -> Timespec {
        (self.clock)()
    }

    /// What the wall clock is read with.
    pub const fn clock(&self) -> fn() -> Timespec {
        self.clock
    }

    /// Leaves the work an operation has to wait for and returns the error that says so.
    pub fn miss(&self, work: Miss) -> Errno {
        self.miss.set(Some(work));
        Errno::MISS
    }

    /// The work left by the operation that answered [`Errno::MISS`].
    pub fn take_miss(&self) -> Option<Miss> {
        self.miss.take()
    }

    /// Whether a capability is in effect.
    pub const fn capable(&self, capability: Capabilities) -> bool {
        self.credentials.capable(capability)
    }
}

impl fmt::Debug for Caller<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").field("credentials", &self.credentials).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{Caller, Credentials};
    use crate::{Errno, Timespec};
    use alloc::boxed::Box;

    #[test]
    fn a_miss_is_kept_once() {
        let caller = Caller::new(Credentials::ROOT, Timespec::default);
        assert_eq!(caller.miss(Box::pin(async { Ok(()) })), Errno::MISS);
        assert!(caller.take_miss().is_some());
        assert!(caller.take_miss().is_none());
    }

    #[test]
    fn supplementary_groups_count() {
        let credentials = Credentials { gid: 5, groups: &[7, 9], ..Credentials::ROOT };
        assert!(credentials.in_group(5) && credentials.in_group(9) && !credentials.in_group(8));
    }
}
