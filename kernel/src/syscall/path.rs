//! Names: mkdir(2), mknod(2), link(2), symlink(2), rename(2), unlink(2), rmdir(2), readlink(2).

use super::{Outcome, Row, UserPtr, row};
use crate::thread::Thread;
use abi::{Errno, Fd, Result};
use fs::{DeviceNumber, Kind, LookupFlags, Make, RenameFlags};

pub(super) const ROWS: &[Row] = &[
    row!(82 "rename" (old: UserPtr<u8>, new: UserPtr<u8>) => rename, Full),
    row!(83 "mkdir" (path: UserPtr<u8>, mode: u32) => mkdir, Full),
    row!(84 "rmdir" (path: UserPtr<u8>) => rmdir, Full),
    row!(86 "link" (old: UserPtr<u8>, new: UserPtr<u8>) => link, Full),
    row!(87 "unlink" (path: UserPtr<u8>) => unlink, Full),
    row!(88 "symlink" (target: UserPtr<u8>, path: UserPtr<u8>) => symlink, Full),
    row!(89 "readlink" (path: UserPtr<u8>, buf: UserPtr<u8>, size: i32) => readlink, Full),
    row!(133 "mknod" (path: UserPtr<u8>, mode: u32, device: u32) => mknod, Full),
    row!(258 "mkdirat" (dir: Fd, path: UserPtr<u8>, mode: u32) => mkdirat, Full),
    row!(259 "mknodat" (dir: Fd, path: UserPtr<u8>, mode: u32, device: u32) => mknodat, Full),
    row!(263 "unlinkat" (dir: Fd, path: UserPtr<u8>, flags: u32) => unlinkat, Full),
    row!(264 "renameat" (from: Fd, old: UserPtr<u8>, to: Fd, new: UserPtr<u8>) => renameat, Full),
    row!(265 "linkat" (from: Fd, old: UserPtr<u8>, to: Fd, new: UserPtr<u8>, flags: u32) => linkat, Full),
    row!(266 "symlinkat" (target: UserPtr<u8>, dir: Fd, path: UserPtr<u8>) => symlinkat, Full),
    row!(267 "readlinkat" (dir: Fd, path: UserPtr<u8>, buf: UserPtr<u8>, size: i32) => readlinkat, Full),
    row!(316 "renameat2" (from: Fd, old: UserPtr<u8>, to: Fd, new: UserPtr<u8>, flags: u32)
        => renameat2, Partial, "RENAME_WHITEOUT is EINVAL"),
];

fn mkdir(thread: &Thread, path: UserPtr<u8>, mode: u32) -> Result<Outcome<'_>> {
    mkdirat(thread, Fd::CWD, path, mode)
}

/// Makes a directory.
///
/// # Errors
/// Those of [`fs::Walk::make`].
///
/// Source: mkdir(2)
fn mkdirat(thread: &Thread, dir: Fd, path: UserPtr<u8>, mode: u32) -> Result<Outcome<'_>> {
    let mode = mode & 0o1777;
    thread.at_path(dir, path, move |walk, base, path| {
        walk.make(base, path, Make::Directory, mode).map(|_| 0)
    })
}

fn mknod(thread: &Thread, path: UserPtr<u8>, mode: u32, device: u32) -> Result<Outcome<'_>> {
    mknodat(thread, Fd::CWD, path, mode, device)
}

/// Makes a file, a FIFO, a device or the name of a socket.
///
/// # Errors
/// - `EINVAL`: no such type; `EPERM`: a directory, or a device without `CAP_MKNOD`.
/// - those of [`fs::Walk::make`].
///
/// Source: mknod(2)
fn mknodat(
    thread: &Thread,
    dir: Fd,
    path: UserPtr<u8>,
    mode: u32,
    device: u32,
) -> Result<Outcome<'_>> {
    let number = DeviceNumber::from_raw(device);
    let what = match (mode & 0o170_000, Kind::from_mode(mode)) {
        (0, _) | (_, Some(Kind::Regular)) => Make::Regular,
        (_, Some(Kind::Fifo)) => Make::Fifo,
        (_, Some(Kind::Character)) => Make::Character(number),
        (_, Some(Kind::Block)) => Make::Block(number),
        (_, Some(Kind::Socket)) => Make::Socket,
        (_, Some(Kind::Directory)) => return Err(Errno::EPERM),
        _ => return Err(Errno::EINVAL),
    };
    thread.at_path(dir, path, move |walk, base, path| {
        walk.make(base, path, what, mode & 0o7777).map(|_| 0)
    })
}

fn symlink(thread: &Thread, target: UserPtr<u8>, path: UserPtr<u8>) -> Result<Outcome<'_>> {
    symlinkat(thread, target, Fd::CWD, path)
}

/// Makes a symbolic link with the text `target`.
///
/// # Errors
/// - `ENOENT`: the text is empty.
/// - those of [`fs::Walk::make`].
///
/// Source: symlink(2)
fn symlinkat(
    thread: &Thread,
    target: UserPtr<u8>,
    dir: Fd,
    path: UserPtr<u8>,
) -> Result<Outcome<'_>> {
    let target = thread.read_path(target)?;
    if target.is_empty() {
        return Err(Errno::ENOENT);
    }
    thread.at_path(dir, path, move |walk, base, path| {
        walk.make(base, path, Make::Symlink(&target), 0o777).map(|_| 0)
    })
}

fn readlink(
    thread: &Thread,
    path: UserPtr<u8>,
    buf: UserPtr<u8>,
    size: i32,
) -> Result<Outcome<'_>> {
    readlinkat(thread, Fd::CWD, path, buf, size)
}

/// Copies the text of a symbolic link, cut to `size`, without a NUL; returns its length.
///
/// # Errors
/// - `EINVAL`: no symbolic link, or no room.
///
/// Source: readlink(2)
fn readlinkat(
    thread: &Thread,
    dir: Fd,
    path: UserPtr<u8>,
    buf: UserPtr<u8>,
    size: i32,
) -> Result<Outcome<'_>> {
    let size = usize::try_from(size).ok().filter(|size| *size > 0).ok_or(Errno::EINVAL)?;
    thread.at_path(dir, path, move |walk, base, path| {
        let mut text = walk.read_link(base, path)?;
        text.truncate(size);
        thread.write_slice(buf, &text)?;
        Ok(text.len())
    })
}

fn link(thread: &Thread, old: UserPtr<u8>, new: UserPtr<u8>) -> Result<Outcome<'_>> {
    linkat(thread, Fd::CWD, old, Fd::CWD, new, 0)
}

/// Gives a file another name.
///
/// # Errors
/// - `EINVAL`: unknown flags.
/// - those of [`fs::Walk::link`].
///
/// Source: link(2)
fn linkat(
    thread: &Thread,
    from: Fd,
    old: UserPtr<u8>,
    to: Fd,
    new: UserPtr<u8>,
    flags: u32,
) -> Result<Outcome<'_>> {
    const FOLLOW: u32 = 0x400;
    const EMPTY_PATH: u32 = 0x1000;
    if flags & !(FOLLOW | EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    let mut lookup = LookupFlags::empty();
    lookup.set(LookupFlags::FOLLOW, flags & FOLLOW != 0);
    if flags & EMPTY_PATH != 0 {
        lookup |= LookupFlags::EMPTY_PATH;
        if !thread.caller().capable(fs::Capabilities::DAC_READ_SEARCH) {
            return Err(Errno::ENOENT);
        }
    }
    let old = thread.read_path(old)?;
    let old_base = thread.place_for(from, &old)?;
    thread.at_path(to, new, move |walk, base, path| {
        let target = walk.resolve(&old_base, &old, lookup)?;
        walk.link(&target, base, path).map(|_| 0)
    })
}

fn rename(thread: &Thread, old: UserPtr<u8>, new: UserPtr<u8>) -> Result<Outcome<'_>> {
    renameat2(thread, Fd::CWD, old, Fd::CWD, new, 0)
}

fn renameat(
    thread: &Thread,
    from: Fd,
    old: UserPtr<u8>,
    to: Fd,
    new: UserPtr<u8>,
) -> Result<Outcome<'_>> {
    renameat2(thread, from, old, to, new, 0)
}

/// Moves a file to another name.
///
/// # Errors
/// - `EINVAL`: unknown flags, or flags that exclude each other.
/// - those of [`fs::Walk::rename`].
///
/// Source: rename(2)
fn renameat2(
    thread: &Thread,
    from: Fd,
    old: UserPtr<u8>,
    to: Fd,
    new: UserPtr<u8>,
    flags: u32,
) -> Result<Outcome<'_>> {
    let flags = RenameFlags::from_bits(flags).ok_or(Errno::EINVAL)?;
    if flags.contains(RenameFlags::NO_REPLACE | RenameFlags::EXCHANGE) {
        return Err(Errno::EINVAL);
    }
    let old = thread.read_path(old)?;
    let old_base = thread.place_for(from, &old)?;
    thread.at_path(to, new, move |walk, base, path| {
        walk.rename((&old_base, &old), (base, path), flags).map(|()| 0)
    })
}

fn unlink(thread: &Thread, path: UserPtr<u8>) -> Result<Outcome<'_>> {
    unlinkat(thread, Fd::CWD, path, 0)
}

fn rmdir(thread: &Thread, path: UserPtr<u8>) -> Result<Outcome<'_>> {
    unlinkat(thread, Fd::CWD, path, REMOVE_DIR)
}

const REMOVE_DIR: u32 = 0x200;

/// Removes a name; with `AT_REMOVEDIR` an empty directory.
///
/// # Errors
/// - `EINVAL`: unknown flags.
/// - those of [`fs::Walk::unlink`] and [`fs::Walk::remove_dir`].
///
/// Source: unlink(2), rmdir(2)
fn unlinkat(thread: &Thread, dir: Fd, path: UserPtr<u8>, flags: u32) -> Result<Outcome<'_>> {
    if flags & !REMOVE_DIR != 0 {
        return Err(Errno::EINVAL);
    }
    thread.at_path(dir, path, move |walk, base, path| {
        let removed = match flags {
            REMOVE_DIR => walk.remove_dir(base, path),
            _ => walk.unlink(base, path),
        };
        removed.map(|()| 0)
    })
}
