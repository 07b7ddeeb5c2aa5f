//! Making files of this host and changing their attributes.

use super::{HostFile, errno};
use abi::{Errno, Result};
use fs::{DeviceNumber, Kind, Make, MakeAttributes, Timespec, hostfs::HostAttributes};
use rustix::{
    fs::{self as host, AtFlags, FileType, Gid, Mode, OFlags, Timestamps, Uid, makedev},
    io,
};
use std::{
    ffi::{CStr, OsStr},
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    sync::Arc,
};

/// Makes an entry of a directory; its owner is who this process may make it.
pub(super) fn make(
    directory: &OwnedFd,
    name: &CStr,
    what: Make<'_>,
    attributes: MakeAttributes,
) -> Result<()> {
    let mode = Mode::from_raw_mode(attributes.mode);
    let node = |kind, number: DeviceNumber| {
        host::mknodat(directory, name, kind, mode, makedev(number.major, number.minor))
    };
    let none = DeviceNumber::default();
    match what {
        Make::Regular => {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
            host::openat(directory, name, flags | OFlags::NOFOLLOW, mode).map(drop)
        }
        Make::Directory => host::mkdirat(directory, name, mode),
        Make::Symlink(text) => host::symlinkat(OsStr::from_bytes(text), directory, name),
        Make::Fifo => node(FileType::Fifo, none),
        Make::Socket => node(FileType::Socket, none),
        Make::Character(number) => node(FileType::CharacterDevice, number),
        Make::Block(number) => node(FileType::BlockDevice, number),
    }
    .map_err(errno)?;
    let (uid, gid) = (Uid::from_raw(attributes.uid), Gid::from_raw(attributes.gid));
    // Only root may give files away.
    let _ = host::chownat(directory, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW);
    if what.kind() != Kind::Symlink {
        // This process's umask is not the guest's.
        change_mode(directory, name, what.kind(), mode)?;
    }
    Ok(())
}

/// Sets the mode of a file that is no symbolic link, and of none that was put in its place.
fn change_mode(directory: &OwnedFd, name: &CStr, kind: Kind, mode: Mode) -> Result<()> {
    if matches!(kind, Kind::Regular | Kind::Directory | Kind::Fifo) {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW;
        match host::openat(directory, name, flags | OFlags::CLOEXEC, Mode::empty()) {
            Ok(file) => return host::fchmod(file, mode).map_err(errno),
            // One's own file may be unreadable.
            Err(io::Errno::ACCESS) => {}
            Err(error) => return Err(errno(error)),
        }
    }
    host::chmodat(directory, name, mode, AtFlags::empty()).map_err(errno)
}

/// Sets attributes of a file, by its name.
pub(super) fn set_attributes(file: &Arc<HostFile>, set: &HostAttributes) -> Result<()> {
    if *set == HostAttributes::default() {
        return Ok(());
    }
    let (directory, name) = file.place()?;
    file.checked(super::status(&directory, &name)?)?;
    if set.uid.is_some() || set.gid.is_some() {
        let (uid, gid) = (set.uid.map(Uid::from_raw), set.gid.map(Gid::from_raw));
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        host::chownat(&*directory, &*name, uid, gid, flags).map_err(errno)?;
    }
    if let Some(mode) = set.mode.filter(|_| file.kind != Kind::Symlink) {
        let mode = Mode::from_raw_mode(mode);
        change_mode(&directory, &name, file.kind, mode)?;
    }
    if let Some((accessed, modified)) = set.times {
        let times = Timestamps { last_access: time(accessed)?, last_modification: time(modified)? };
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        host::utimensat(&*directory, &*name, &times, flags).map_err(errno)?;
    }
    Ok(())
}

fn time(time: Timespec) -> Result<host::Timespec> {
    let tv_nsec = i64::from(time.nanoseconds);
    if tv_nsec < 1_000_000_000 {
        Ok(host::Timespec { tv_sec: time.seconds, tv_nsec })
    } else {
        Err(Errno::EINVAL)
    }
}
