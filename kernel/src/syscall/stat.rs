//! Attributes: stat(2), statx(2), statfs(2), access(2), chmod(2), chown(2), utimensat(2),
//! truncate(2).

use super::{Outcome, Row, UserPtr, row};
use crate::thread::Thread;
use abi::{
    Errno, Fd, Result, Timespec, Timeval,
    file::{Stat, Statfs, Statx, StatxTimestamp},
};
use fs::{Access, LookupFlags, Metadata, Path, SetAttributes, SetTime, Times, Walk};

pub(super) const ROWS: &[Row] = &[
    row!(4 "stat" (path: UserPtr<u8>, buf: UserPtr<Stat>) => stat, Full),
    row!(5 "fstat" (fd: Fd, buf: UserPtr<Stat>) => fstat, Full),
    row!(6 "lstat" (path: UserPtr<u8>, buf: UserPtr<Stat>) => lstat, Full),
    row!(21 "access" (path: UserPtr<u8>, mode: u32) => access, Full),
    row!(76 "truncate" (path: UserPtr<u8>, length: i64) => truncate, Full),
    row!(77 "ftruncate" (fd: Fd, length: i64) => ftruncate, Full),
    row!(90 "chmod" (path: UserPtr<u8>, mode: u32) => chmod, Full),
    row!(91 "fchmod" (fd: Fd, mode: u32) => fchmod, Full),
    row!(92 "chown" (path: UserPtr<u8>, owner: u32, group: u32) => chown, Full),
    row!(93 "fchown" (fd: Fd, owner: u32, group: u32) => fchown, Full),
    row!(94 "lchown" (path: UserPtr<u8>, owner: u32, group: u32) => lchown, Full),
    row!(132 "utime" (path: UserPtr<u8>, times: Option<UserPtr<[i64; 2]>>) => utime, Full),
    row!(137 "statfs" (path: UserPtr<u8>, buf: UserPtr<Statfs>) => statfs, Full),
    row!(138 "fstatfs" (fd: Fd, buf: UserPtr<Statfs>) => fstatfs, Full),
    row!(235 "utimes" (path: UserPtr<u8>, times: Option<UserPtr<[Timeval; 2]>>) => utimes, Full),
    row!(260 "fchownat" (dir: Fd, path: UserPtr<u8>, owner: u32, group: u32, flags: u32) => fchownat, Full),
    row!(261 "futimesat" (dir: Fd, path: UserPtr<u8>, times: Option<UserPtr<[Timeval; 2]>>)
        => futimesat, Full),
    row!(262 "newfstatat" (dir: Fd, path: UserPtr<u8>, buf: UserPtr<Stat>, flags: u32) => newfstatat, Full),
    row!(268 "fchmodat" (dir: Fd, path: UserPtr<u8>, mode: u32) => fchmodat, Full),
    row!(269 "faccessat" (dir: Fd, path: UserPtr<u8>, mode: u32) => faccessat, Full),
    row!(280 "utimensat" (dir: Fd, path: UserPtr<u8>, times: Option<UserPtr<[Timespec; 2]>>, flags: u32)
        => utimensat, Full),
    row!(332 "statx" (dir: Fd, path: UserPtr<u8>, flags: u32, mask: u32, buf: UserPtr<Statx>)
        => statx, Full),
    row!(439 "faccessat2" (dir: Fd, path: UserPtr<u8>, mode: u32, flags: u32) => faccessat2, Full),
    row!(452 "fchmodat2" (dir: Fd, path: UserPtr<u8>, mode: u32, flags: u32) => fchmodat2, Full),
];

const SYMLINK_NO_FOLLOW: u32 = 0x100;
const EFFECTIVE_ACCESS: u32 = 0x200;
const NO_AUTOMOUNT: u32 = 0x800;
const EMPTY_PATH: u32 = 0x1000;
const STATX_SYNC_TYPE: u32 = 0x6000;

/// `AT_*` flags as lookup flags, those of `allowed` only.
fn lookup_flags(flags: u32, allowed: u32) -> Result<LookupFlags> {
    if flags & !allowed != 0 {
        return Err(Errno::EINVAL);
    }
    let mut lookup = LookupFlags::empty();
    lookup.set(LookupFlags::FOLLOW, flags & SYMLINK_NO_FOLLOW == 0);
    lookup.set(LookupFlags::EMPTY_PATH, flags & EMPTY_PATH != 0);
    Ok(lookup)
}

fn to_stat(metadata: &Metadata) -> Stat {
    let Times { accessed, modified, changed, .. } = metadata.times;
    Stat {
        st_dev: metadata.device.to_raw(),
        st_ino: metadata.number,
        st_nlink: u64::from(metadata.links),
        st_mode: metadata.st_mode(),
        st_uid: metadata.uid,
        st_gid: metadata.gid,
        st_rdev: metadata.special.to_raw(),
        st_size: metadata.size,
        st_blksize: u64::from(metadata.block_size),
        st_blocks: metadata.blocks,
        st_atime: accessed.seconds.cast_unsigned(),
        st_atime_nsec: u64::from(accessed.nanoseconds),
        st_mtime: modified.seconds.cast_unsigned(),
        st_mtime_nsec: u64::from(modified.nanoseconds),
        st_ctime: changed.seconds.cast_unsigned(),
        st_ctime_nsec: u64::from(changed.nanoseconds),
        ..Stat::default()
    }
}

fn stat(thread: &Thread, path: UserPtr<u8>, buf: UserPtr<Stat>) -> Result<Outcome<'_>> {
    newfstatat(thread, Fd::CWD, path, buf, 0)
}

fn lstat(thread: &Thread, path: UserPtr<u8>, buf: UserPtr<Stat>) -> Result<Outcome<'_>> {
    newfstatat(thread, Fd::CWD, path, buf, SYMLINK_NO_FOLLOW)
}

/// Stores the attributes of the open file `fd`.
///
/// # Errors
/// - `EBADF`: `fd` is not open.
///
/// Source: stat(2)
fn fstat(thread: &Thread, fd: Fd, buf: UserPtr<Stat>) -> Result<()> {
    let metadata = thread.files.get(fd)?.path().metadata()?;
    thread.write(buf, &to_stat(&metadata))
}

/// Stores the attributes of the file at `path`.
///
/// # Errors
/// - `EINVAL`: unknown flags.
/// - those of [`fs::Walk::resolve`].
///
/// Source: stat(2)
fn newfstatat(
    thread: &Thread,
    dir: Fd,
    path: UserPtr<u8>,
    buf: UserPtr<Stat>,
    flags: u32,
) -> Result<Outcome<'_>> {
    let lookup = lookup_flags(flags, SYMLINK_NO_FOLLOW | NO_AUTOMOUNT | EMPTY_PATH)?;
    if lookup.contains(LookupFlags::EMPTY_PATH) && dir != Fd::CWD && thread.is_empty_path(path)? {
        return fstat(thread, dir, buf).map(|()| Outcome::Done(0));
    }
    thread.at_path(dir, path, move |walk, base, path| {
        let metadata = walk.resolve(base, path, lookup)?.metadata()?;
        thread.write(buf, &to_stat(&metadata)).map(|()| 0)
    })
}

fn to_statx(metadata: &Metadata) -> Statx {
    const BASIC_STATS_AND_BIRTH: u32 = 0xfff;
    const MOUNT_ID: u32 = 0x1000;
    const MOUNT_ROOT: u64 = 0x2000;
    let time = |time: fs::Timespec| StatxTimestamp {
        tv_sec: time.seconds,
        tv_nsec: time.nanoseconds,
        pad: 0,
    };
    Statx {
        stx_mask: BASIC_STATS_AND_BIRTH | MOUNT_ID,
        stx_blksize: metadata.block_size,
        stx_attributes: if metadata.mount_root { MOUNT_ROOT } else { 0 },
        stx_attributes_mask: MOUNT_ROOT,
        stx_nlink: metadata.links,
        stx_uid: metadata.uid,
        stx_gid: metadata.gid,
        stx_mode: u16::try_from(metadata.st_mode()).unwrap_or(0),
        stx_ino: metadata.number,
        stx_size: metadata.size,
        stx_blocks: metadata.blocks,
        stx_atime: time(metadata.times.accessed),
        stx_btime: time(metadata.times.born),
        stx_ctime: time(metadata.times.changed),
        stx_mtime: time(metadata.times.modified),
        stx_rdev_major: metadata.special.major,
        stx_rdev_minor: metadata.special.minor,
        stx_dev_major: metadata.device.major,
        stx_dev_minor: metadata.device.minor,
        stx_mnt_id: metadata.mount_id,
        ..Statx::default()
    }
}

/// Stores the attributes of the file at `path`, those asked for and more.
///
/// # Errors
/// - `EINVAL`: unknown flags, or a reserved bit of the mask.
/// - those of [`fs::Walk::resolve`].
///
/// Source: statx(2)
fn statx(
    thread: &Thread,
    dir: Fd,
    path: UserPtr<u8>,
    flags: u32,
    mask: u32,
    buf: UserPtr<Statx>,
) -> Result<Outcome<'_>> {
    const RESERVED: u32 = 1 << 31;
    let allowed = SYMLINK_NO_FOLLOW | NO_AUTOMOUNT | EMPTY_PATH | STATX_SYNC_TYPE;
    let lookup = lookup_flags(flags, allowed)?;
    if mask & RESERVED != 0 || flags & STATX_SYNC_TYPE == STATX_SYNC_TYPE {
        return Err(Errno::EINVAL);
    }
    if lookup.contains(LookupFlags::EMPTY_PATH) && dir != Fd::CWD && thread.is_empty_path(path)? {
        let metadata = thread.files.get(dir)?.path().metadata()?;
        return thread.write(buf, &to_statx(&metadata)).map(|()| Outcome::Done(0));
    }
    thread.at_path(dir, path, move |walk, base, path| {
        let metadata = walk.resolve(base, path, lookup)?.metadata()?;
        thread.write(buf, &to_statx(&metadata)).map(|()| 0)
    })
}

fn to_statfs(statfs: &fs::Statfs) -> Statfs {
    let [low, high] = [statfs.id & 0xffff_ffff, statfs.id >> 32];
    Statfs {
        f_type: statfs.magic,
        f_bsize: statfs.block_size,
        f_blocks: statfs.blocks,
        f_bfree: statfs.blocks_free,
        f_bavail: statfs.blocks_available,
        f_files: statfs.inodes,
        f_ffree: statfs.inodes_free,
        f_fsid: [low, high].map(|half| u32::try_from(half).unwrap_or(0)),
        f_namelen: fs::NAME_MAX as u64,
        f_frsize: statfs.block_size,
        f_flags: statfs.flags | 0x20,
        f_spare: [0; 4],
    }
}

fn statfs(thread: &Thread, path: UserPtr<u8>, buf: UserPtr<Statfs>) -> Result<Outcome<'_>> {
    thread.at_path(Fd::CWD, path, move |walk, base, path| {
        let found = walk.resolve(base, path, LookupFlags::FOLLOW)?;
        thread.write(buf, &to_statfs(&found.mount().statfs())).map(|()| 0)
    })
}

fn fstatfs(thread: &Thread, fd: Fd, buf: UserPtr<Statfs>) -> Result<()> {
    let file = thread.files.get(fd)?;
    thread.write(buf, &to_statfs(&file.path().mount().statfs()))
}

fn access(thread: &Thread, path: UserPtr<u8>, mode: u32) -> Result<Outcome<'_>> {
    faccessat2(thread, Fd::CWD, path, mode, 0)
}

fn faccessat(thread: &Thread, dir: Fd, path: UserPtr<u8>, mode: u32) -> Result<Outcome<'_>> {
    faccessat2(thread, dir, path, mode, 0)
}

/// Whether the thread may do something with a file, by its real ids unless the flags say
/// effective.
///
/// # Errors
/// - `EACCES`, `EROFS`: it may not.
/// - `EINVAL`: unknown mode or flags.
///
/// Source: access(2)
fn faccessat2(
    thread: &Thread,
    dir: Fd,
    path: UserPtr<u8>,
    mode: u32,
    flags: u32,
) -> Result<Outcome<'_>> {
    let lookup = lookup_flags(flags, SYMLINK_NO_FOLLOW | EFFECTIVE_ACCESS | EMPTY_PATH)?;
    let wanted = Access::from_bits(mode).ok_or(Errno::EINVAL)?;
    thread.at_path(dir, path, move |walk, base, path| {
        let real = thread.real_caller();
        let caller = if flags & EFFECTIVE_ACCESS != 0 { walk.caller } else { &real };
        let walk = Walk { caller, root: walk.root, umask: walk.umask };
        let found = walk.resolve(base, path, lookup)?;
        walk.access(&found, wanted).map(|()| 0)
    })
}

/// Sets attributes of the file at a path.
fn set_at<'a>(
    thread: &'a Thread,
    dir: Fd,
    path: UserPtr<u8>,
    lookup: LookupFlags,
    set: SetAttributes,
) -> Result<Outcome<'a>> {
    thread.at_path(dir, path, move |walk, base, path| {
        walk.resolve(base, path, lookup)?.set_attributes(&set, walk.caller).map(|()| 0)
    })
}

/// Sets attributes of an open file.
fn set_open(thread: &Thread, fd: Fd, set: SetAttributes) -> Result<Outcome<'_>> {
    let file = thread.files.get(fd)?;
    if file.flags().contains(fs::OpenFlags::PATH) {
        return Err(Errno::EBADF);
    }
    thread.on_file(file.path().clone(), move |path, caller| {
        path.set_attributes(&set, caller).map(|()| 0)
    })
}

fn chmod(thread: &Thread, path: UserPtr<u8>, mode: u32) -> Result<Outcome<'_>> {
    fchmodat2(thread, Fd::CWD, path, mode, 0)
}

fn fchmodat(thread: &Thread, dir: Fd, path: UserPtr<u8>, mode: u32) -> Result<Outcome<'_>> {
    fchmodat2(thread, dir, path, mode, 0)
}

fn fchmodat2(
    thread: &Thread,
    dir: Fd,
    path: UserPtr<u8>,
    mode: u32,
    flags: u32,
) -> Result<Outcome<'_>> {
    let lookup = lookup_flags(flags, SYMLINK_NO_FOLLOW | EMPTY_PATH)?;
    set_at(thread, dir, path, lookup, with_mode(mode))
}

fn fchmod(thread: &Thread, fd: Fd, mode: u32) -> Result<Outcome<'_>> {
    set_open(thread, fd, with_mode(mode))
}

fn with_mode(mode: u32) -> SetAttributes {
    SetAttributes { mode: Some(mode & 0o7777), ..SetAttributes::default() }
}

/// An owner and a group to set; all ones leave one as it is.
fn with_owner(owner: u32, group: u32) -> SetAttributes {
    let given = |number: u32| (number != u32::MAX).then_some(number);
    SetAttributes { uid: given(owner), gid: given(group), ..SetAttributes::default() }
}

fn chown(thread: &Thread, path: UserPtr<u8>, owner: u32, group: u32) -> Result<Outcome<'_>> {
    fchownat(thread, Fd::CWD, path, owner, group, 0)
}

fn lchown(thread: &Thread, path: UserPtr<u8>, owner: u32, group: u32) -> Result<Outcome<'_>> {
    fchownat(thread, Fd::CWD, path, owner, group, SYMLINK_NO_FOLLOW)
}

fn fchownat(
    thread: &Thread,
    dir: Fd,
    path: UserPtr<u8>,
    owner: u32,
    group: u32,
    flags: u32,
) -> Result<Outcome<'_>> {
    let lookup = lookup_flags(flags, SYMLINK_NO_FOLLOW | EMPTY_PATH)?;
    set_at(thread, dir, path, lookup, with_owner(owner, group))
}

fn fchown(thread: &Thread, fd: Fd, owner: u32, group: u32) -> Result<Outcome<'_>> {
    set_open(thread, fd, with_owner(owner, group))
}

/// Both times, at microseconds.
fn from_timevals(times: [Timeval; 2]) -> Result<SetAttributes> {
    let set = |time: Timeval| match u32::try_from(time.tv_usec) {
        Ok(micros @ 0..1_000_000) => Ok(SetTime::At(fs::Timespec::new(time.tv_sec, micros * 1000))),
        _ => Err(Errno::EINVAL),
    };
    let [accessed, modified] = times;
    Ok(with_times(Some(set(accessed)?), Some(set(modified)?)))
}

fn with_times(accessed: Option<SetTime>, modified: Option<SetTime>) -> SetAttributes {
    SetAttributes { accessed, modified, ..SetAttributes::default() }
}

const NOW: SetAttributes = SetAttributes {
    mode: None,
    uid: None,
    gid: None,
    accessed: Some(SetTime::Now),
    modified: Some(SetTime::Now),
};

fn utime(
    thread: &Thread,
    path: UserPtr<u8>,
    times: Option<UserPtr<[i64; 2]>>,
) -> Result<Outcome<'_>> {
    let set = match times {
        None => NOW,
        Some(times) => {
            let at =
                thread.read(times)?.map(|seconds| Some(SetTime::At(fs::Timespec::new(seconds, 0))));
            with_times(at[0], at[1])
        }
    };
    set_at(thread, Fd::CWD, path, LookupFlags::FOLLOW, set)
}

fn utimes(
    thread: &Thread,
    path: UserPtr<u8>,
    times: Option<UserPtr<[Timeval; 2]>>,
) -> Result<Outcome<'_>> {
    futimesat(thread, Fd::CWD, path, times)
}

fn futimesat(
    thread: &Thread,
    dir: Fd,
    path: UserPtr<u8>,
    times: Option<UserPtr<[Timeval; 2]>>,
) -> Result<Outcome<'_>> {
    let set = times.map_or(Ok(NOW), |times| from_timevals(thread.read(times)?))?;
    set_at(thread, dir, path, LookupFlags::FOLLOW, set)
}

/// Sets the times of a file; a null `path` means the open file `dir`.
///
/// # Errors
/// - `EINVAL`: bad nanoseconds or flags.
/// - those of [`fs::Path::set_attributes`].
///
/// Source: utimensat(2)
fn utimensat(
    thread: &Thread,
    dir: Fd,
    path: UserPtr<u8>,
    times: Option<UserPtr<[Timespec; 2]>>,
    flags: u32,
) -> Result<Outcome<'_>> {
    const UTIME_NOW: i64 = (1 << 30) - 1;
    const UTIME_OMIT: i64 = (1 << 30) - 2;
    let set = |time: Timespec| match time.tv_nsec {
        UTIME_NOW => Ok(Some(SetTime::Now)),
        UTIME_OMIT => Ok(None),
        nanos @ 0..1_000_000_000 => {
            let nanos = u32::try_from(nanos).map_err(|_| Errno::EINVAL)?;
            Ok(Some(SetTime::At(fs::Timespec::new(time.tv_sec, nanos))))
        }
        _ => Err(Errno::EINVAL),
    };
    let set = match times {
        None => NOW,
        Some(times) => {
            let [accessed, modified] = thread.read(times)?;
            with_times(set(accessed)?, set(modified)?)
        }
    };
    let lookup = lookup_flags(flags, SYMLINK_NO_FOLLOW | EMPTY_PATH)?;
    if path.is_null() && dir != Fd::CWD {
        if flags != 0 {
            return Err(Errno::EINVAL);
        }
        return set_open(thread, dir, set);
    }
    set_at(thread, dir, path, lookup, set)
}

/// Makes the file at `path` `length` bytes long.
///
/// # Errors
/// - `EINVAL`: negative, or not a regular file.
/// - those of [`fs::Path::truncate`].
///
/// Source: truncate(2)
fn truncate(thread: &Thread, path: UserPtr<u8>, length: i64) -> Result<Outcome<'_>> {
    let length = u64::try_from(length).map_err(|_| Errno::EINVAL)?;
    thread.at_path(Fd::CWD, path, move |walk, base, path| {
        let found: Path = walk.resolve(base, path, LookupFlags::FOLLOW)?;
        let result = found.truncate(length, walk.caller);
        result.inspect_err(|errno| thread.signal_transfer_error(*errno)).map(|()| 0)
    })
}

fn ftruncate(thread: &Thread, fd: Fd, length: i64) -> Result<()> {
    let length = u64::try_from(length).map_err(|_| Errno::EINVAL)?;
    let file = thread.files.get(fd)?;
    let result = file.node()?.truncate(length, &thread.caller());
    result.inspect_err(|errno| thread.signal_transfer_error(*errno))
}
