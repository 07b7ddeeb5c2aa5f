//! The flags of a mount and their names.

use core::fmt;

bitflags::bitflags! {
    /// Flags of a mount; the bits are those of mount(2).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct MountFlags: u32 {
        /// Nothing may be changed through it.
        const READ_ONLY = 1;
        /// Set-id bits mean nothing.
        const NO_SUID = 2;
        /// Devices cannot be opened.
        const NO_DEVICES = 4;
        /// Programs cannot be run.
        const NO_EXECUTE = 8;
        /// Writes are synchronous.
        const SYNCHRONOUS = 16;
        /// Symbolic links are not followed.
        const NO_SYMLINK_FOLLOW = 256;
        /// Reading changes no access time.
        const NO_ACCESS_TIME = 1024;
        /// Reading a directory changes no access time.
        const NO_DIRECTORY_ACCESS_TIME = 2048;
        /// Reading changes the access time only when that tells something; the default.
        const RELATIVE_ACCESS_TIME = 1 << 21;
        /// Reading always changes the access time.
        const STRICT_ACCESS_TIME = 1 << 24;
    }
}

impl MountFlags {
    /// The `ST_*` of statvfs(3).
    pub(super) fn to_statvfs(self) -> u64 {
        // ST_RDONLY..ST_NOEXEC and ST_SYNCHRONOUS have the bits of mount(2); 0x20 is ST_VALID.
        let pairs = [
            (Self::READ_ONLY, 1),
            (Self::NO_SUID, 2),
            (Self::NO_DEVICES, 4),
            (Self::NO_EXECUTE, 8),
            (Self::SYNCHRONOUS, 16),
            (Self::NO_ACCESS_TIME, 0x400),
            (Self::NO_DIRECTORY_ACCESS_TIME, 0x800),
            (Self::RELATIVE_ACCESS_TIME, 0x1000),
            (Self::NO_SYMLINK_FOLLOW, 0x2000),
        ];
        pairs.iter().filter(|pair| self.contains(pair.0)).fold(0x20, |bits, pair| bits | pair.1)
    }
}

impl fmt::Display for MountFlags {
    /// As in `/proc/mounts`: `rw,nosuid,relatime`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.contains(Self::READ_ONLY) { "ro" } else { "rw" })?;
        let names = [
            (Self::NO_SUID, ",nosuid"),
            (Self::NO_DEVICES, ",nodev"),
            (Self::NO_EXECUTE, ",noexec"),
            (Self::NO_ACCESS_TIME, ",noatime"),
            (Self::NO_DIRECTORY_ACCESS_TIME, ",nodiratime"),
            (Self::RELATIVE_ACCESS_TIME, ",relatime"),
            (Self::NO_SYMLINK_FOLLOW, ",nosymfollow"),
        ];
        names.iter().filter(|pair| self.contains(pair.0)).try_for_each(|pair| f.write_str(pair.1))
    }
}
