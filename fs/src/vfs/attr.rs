//! What is known about a file besides its bytes: kind, mode, owner, times, as stat(2) tells it.

use core::fmt;

/// A time of the wall clock: seconds since 1970 and nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timespec {
    /// Whole seconds; negative before 1970.
    pub seconds: i64,
    /// Nanoseconds, below 10^9.
    pub nanoseconds: u32,
}

impl Timespec {
    /// Makes a time.
    pub const fn new(seconds: i64, nanoseconds: u32) -> Self {
        Self { seconds, nanoseconds }
    }
}

/// The type of a file; the numbers are `DT_*`, and `S_IF*` shifted right by 12.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A named or anonymous pipe.
    Fifo = 1,
    /// A character device.
    Character = 2,
    /// A directory.
    Directory = 4,
    /// A block device.
    Block = 6,
    /// A regular file.
    Regular = 8,
    /// A symbolic link.
    Symlink = 10,
    /// A socket.
    Socket = 12,
}

impl Kind {
    /// `S_IF*`, the upper part of `st_mode`.
    pub const fn mode_bits(self) -> u32 {
        (self as u32) << 12
    }

    /// The kind in the upper part of a `st_mode`; `None` for numbers that are none.
    pub const fn from_mode(mode: u32) -> Option<Self> {
        Some(match mode >> 12 & 0xf {
            1 => Self::Fifo,
            2 => Self::Character,
            4 => Self::Directory,
            6 => Self::Block,
            8 => Self::Regular,
            10 => Self::Symlink,
            12 => Self::Socket,
            _ => return None,
        })
    }
}

/// Permission bits: `S_ISUID`, `S_ISGID`, `S_ISVTX` and `rwxrwxrwx`.
pub mod mode {
    /// Set user id on execution.
    pub const SET_UID: u32 = 0o4000;
    /// Set group id on execution; on a directory, files inherit its group.
    pub const SET_GID: u32 = 0o2000;
    /// Only owners may remove entries of this directory.
    pub const STICKY: u32 = 0o1000;
    /// Execution by the group.
    pub const GROUP_EXECUTE: u32 = 0o010;
    /// All twelve bits.
    pub const ALL: u32 = 0o7777;
}

/// The number of a device.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceNumber {
    /// Which driver.
    pub major: u32,
    /// Which of its devices.
    pub minor: u32,
}

impl DeviceNumber {
    /// Makes a number.
    pub const fn new(major: u32, minor: u32) -> Self {
        Self { major, minor }
    }

    /// As `dev_t` of programs: `makedev(3)`.
    pub const fn to_raw(self) -> u64 {
        let (major, minor) = (self.major as u64, self.minor as u64);
        minor & 0xff | (major & 0xfff) << 8 | (minor & !0xff) << 12 | (major & !0xfff) << 32
    }

    /// From the low 32 bits that mknod(2) takes.
    pub const fn from_raw(raw: u32) -> Self {
        Self { major: raw >> 8 & 0xfff, minor: raw & 0xff | raw >> 12 & 0xf_ff00 }
    }
}

impl fmt::Debug for DeviceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

/// All that statx(2) tells about a file.
#[derive(Clone, Copy, Debug)]
pub struct Metadata {
    /// Type.
    pub kind: Kind,
    /// The twelve permission bits.
    pub mode: u32,
    /// Hard links.
    pub links: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Inode number.
    pub number: u64,
    /// Size in bytes.
    pub size: u64,
    /// Blocks of 512 bytes in use.
    pub blocks: u64,
    /// Preferred unit of transfers, in bytes.
    pub block_size: u32,
    /// The device the file system lies on.
    pub device: DeviceNumber,
    /// The device this file stands for.
    pub special: DeviceNumber,
    /// Times.
    pub times: Times,
    /// `stx_mnt_id`: the mount it was reached through, 0 where that is not known.
    pub mount_id: u64,
    /// Whether it is the root of a mount (`STATX_ATTR_MOUNT_ROOT`).
    pub mount_root: bool,
}

impl Metadata {
    /// `st_mode`: kind and permission bits.
    pub const fn st_mode(&self) -> u32 {
        self.kind.mode_bits() | self.mode
    }
}

/// The four times of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Last read.
    pub accessed: Timespec,
    /// Last change of the contents.
    pub modified: Timespec,
    /// Last change of contents or attributes.
    pub changed: Timespec,
    /// Creation.
    pub born: Timespec,
}

impl Times {
    /// All four are `now`.
    pub const fn all(now: Timespec) -> Self {
        Self { accessed: now, modified: now, changed: now, born: now }
    }
}

/// A time to set, as utimensat(2) takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetTime {
    /// `UTIME_NOW`.
    Now,
    /// An explicit time, which only the owner may set.
    At(Timespec),
}

/// A change of attributes; `None` leaves one as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct SetAttributes {
    /// chmod(2): the twelve permission bits.
    pub mode: Option<u32>,
    /// chown(2): the owner.
    pub uid: Option<u32>,
    /// chown(2): the group.
    pub gid: Option<u32>,
    /// utimensat(2): last read.
    pub accessed: Option<SetTime>,
    /// utimensat(2): last change of the contents.
    pub modified: Option<SetTime>,
}

/// What statfs(2) tells.
#[derive(Clone, Copy, Debug, Default)]
pub struct Statfs {
    /// `f_type`, the magic number.
    pub magic: u64,
    /// Bytes in a block.
    pub block_size: u64,
    /// Blocks in all; 0 is "does not apply".
    pub blocks: u64,
    /// Free blocks.
    pub blocks_free: u64,
    /// Free blocks for those without privilege.
    pub blocks_available: u64,
    /// Inodes in all; 0 is "does not apply".
    pub inodes: u64,
    /// Free inodes.
    pub inodes_free: u64,
    /// `f_fsid`.
    pub id: u64,
    /// `f_flags`: `ST_*` of the mount.
    pub flags: u64,
}

#[cfg(test)]
mod tests {
    use super::{DeviceNumber, Kind};

    #[test]
    fn device_numbers_are_packed_as_by_makedev() {
        assert_eq!(DeviceNumber::new(8, 1).to_raw(), 0x801);
        assert_eq!(DeviceNumber::new(0x12345, 0x6789a).to_raw(), 0x0001_2000_6783_459a);
        let number = DeviceNumber::new(0xabc, 0x54321);
        assert_eq!(Ok(number), u32::try_from(number.to_raw()).map(DeviceNumber::from_raw));
    }

    #[test]
    fn kinds_are_the_upper_bits_of_the_mode() {
        assert_eq!(Kind::Directory.mode_bits(), 0o040_000);
        assert_eq!(Kind::from_mode(0o120_777), Some(Kind::Symlink));
        assert_eq!(Kind::from_mode(0o644), None);
    }
}
