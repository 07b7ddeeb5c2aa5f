//! The flags of open(2), and what openat2(2) adds to them.

use crate::LookupFlags;

bitflags::bitflags! {
    /// Flags of open(2), in their numbers; the access mode is in the two lowest bits.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct OpenFlags: u32 {
        /// Write only.
        const WRITE_ONLY = 1;
        /// Read and write.
        const READ_WRITE = 2;
        /// Make the file if it is not there.
        const CREATE = 0o100;
        /// Fail if it is there.
        const EXCLUSIVE = 0o200;
        /// Do not make a terminal the controlling one.
        const NO_CONTROLLING_TTY = 0o400;
        /// Make it empty.
        const TRUNCATE = 0o1000;
        /// Every write goes to the end.
        const APPEND = 0o2000;
        /// Answer `EAGAIN` instead of waiting.
        const NON_BLOCKING = 0o4000;
        /// Wait until data is written back.
        const DATA_SYNC = 0o10000;
        /// Send signals on readiness.
        const ASYNC = 0o20000;
        /// Bypass the cache; on a pipe, packets.
        const DIRECT = 0o40000;
        /// Has no meaning on 64 bits.
        const LARGE_FILE = 0o100_000;
        /// `ENOTDIR` unless it is a directory.
        const DIRECTORY = 0o200_000;
        /// `ELOOP` if it is a symbolic link.
        const NO_FOLLOW = 0o400_000;
        /// Reading changes no access time.
        const NO_ACCESS_TIME = 0o1_000_000;
        /// Close on execve.
        const CLOSE_ON_EXEC = 0o2_000_000;
        /// With `DATA_SYNC`: wait until metadata is written back too.
        const FULL_SYNC = 0o4_000_000;
        /// Only a place in the tree, without permission to read or write.
        const PATH = 0o10_000_000;
        /// With `DIRECTORY`: make a file without a name.
        const NAMELESS = 0o20_000_000;
    }
}

impl OpenFlags {
    /// `O_TMPFILE`.
    pub const TEMPORARY: Self = Self::NAMELESS.union(Self::DIRECTORY);
    /// What fcntl(2), `F_SETFL` changes.
    pub const SETTABLE: Self = Self::APPEND
        .union(Self::NON_BLOCKING)
        .union(Self::ASYNC)
        .union(Self::DIRECT)
        .union(Self::NO_ACCESS_TIME);

    /// Whether reading is allowed.
    pub const fn readable(self) -> bool {
        self.bits() & (3 | Self::PATH.bits()) == 0 || self.bits() & (3 | Self::PATH.bits()) == 2
    }

    /// Whether writing is allowed.
    pub const fn writable(self) -> bool {
        let mode = self.bits() & (3 | Self::PATH.bits());
        mode == 1 || mode == 2
    }
}

/// How to open: the argument of openat2(2).
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenHow {
    /// Flags.
    pub flags: OpenFlags,
    /// Permission bits of a new file, before the umask.
    pub mode: u32,
    /// How to look the path up, beyond what the flags say.
    pub resolve: LookupFlags,
}
