//! getdents(2), getcwd(2), chdir(2), chroot(2), umask(2).

use super::{Outcome, Row, UserPtr, row};
use crate::thread::Thread;
use abi::{Errno, Fd, Result};
use alloc::vec::Vec;
use fs::{Access, Capabilities, Entry, Whence};

pub(super) const ROWS: &[Row] = &[
    row!(78 "getdents" (fd: Fd, buf: UserPtr<u8>, size: u32) => getdents, Full),
    row!(79 "getcwd" (buf: UserPtr<u8>, size: usize) => getcwd, Full),
    row!(80 "chdir" (path: UserPtr<u8>) => chdir, Full),
    row!(81 "fchdir" (fd: Fd) => fchdir, Full),
    row!(95 "umask" (mask: u32) => umask, Full),
    row!(161 "chroot" (path: UserPtr<u8>) => chroot, Full),
    row!(217 "getdents64" (fd: Fd, buf: UserPtr<u8>, size: u32) => getdents64, Full),
];

/// How an entry is laid out for programs.
type Encode = fn(&Entry<'_>, &mut Vec<u8>);

fn getdents(thread: &Thread, fd: Fd, buf: UserPtr<u8>, size: u32) -> Result<usize> {
    list(thread, fd, buf, size, encode_old)
}

/// Lists entries of the directory `fd` from its offset on; returns the bytes stored, 0 at the end.
///
/// # Errors
/// - `ENOTDIR`: no directory.
/// - `EINVAL`: no room for one entry.
/// - `ENOENT`: the directory was removed.
///
/// Source: getdents64(2)
fn getdents64(thread: &Thread, fd: Fd, buf: UserPtr<u8>, size: u32) -> Result<usize> {
    list(thread, fd, buf, size, encode)
}

/// Entries are collected in a kernel buffer of bounded size and copied out in one go.
const CHUNK: usize = 32 * 1024;

fn list(thread: &Thread, fd: Fd, buf: UserPtr<u8>, size: u32, encode: Encode) -> Result<usize> {
    let file = thread.files.get_opened(fd)?;
    let node = file.node().map_err(|_| Errno::ENOTDIR)?;
    let room = (size as usize).min(CHUNK);
    let mut bytes = Vec::new();
    let mut too_small = false;
    let before = node.seek(0, Whence::Current)?;
    node.read_dir(&thread.caller(), &mut |entry| {
        let before = bytes.len();
        encode(&entry, &mut bytes);
        if bytes.len() <= room {
            return true;
        }
        bytes.truncate(before);
        too_small = before == 0;
        false
    })?;
    if too_small {
        return Err(Errno::EINVAL);
    }
    thread.write_slice(buf, &bytes).inspect_err(|_| {
        // The entries that could not be stored come again. The place was a valid one.
        let _ = node.seek(i64::try_from(before).unwrap_or(0), Whence::Set);
    })?;
    Ok(bytes.len())
}

/// `struct linux_dirent64`.
fn encode(entry: &Entry<'_>, to: &mut Vec<u8>) {
    let len = (19 + entry.name.len() + 1).next_multiple_of(8);
    let end = to.len() + len;
    to.extend_from_slice(&entry.number.to_ne_bytes());
    to.extend_from_slice(&entry.next.to_ne_bytes());
    to.extend_from_slice(&u16::try_from(len).unwrap_or(u16::MAX).to_ne_bytes());
    to.push(entry.kind as u8);
    to.extend_from_slice(entry.name);
    to.resize(end, 0);
}

/// `struct linux_dirent`, whose type is in the last byte.
fn encode_old(entry: &Entry<'_>, to: &mut Vec<u8>) {
    let len = (18 + entry.name.len() + 2).next_multiple_of(8);
    let end = to.len() + len;
    to.extend_from_slice(&entry.number.to_ne_bytes());
    to.extend_from_slice(&entry.next.to_ne_bytes());
    to.extend_from_slice(&u16::try_from(len).unwrap_or(u16::MAX).to_ne_bytes());
    to.extend_from_slice(entry.name);
    to.resize(end - 1, 0);
    to.push(entry.kind as u8);
}

/// Stores the path of the working directory; returns its length, the NUL included.
///
/// # Errors
/// - `ERANGE`: `size` is too small.
/// - `ENOENT`: the directory was removed.
///
/// Source: getcwd(2)
fn getcwd(thread: &Thread, buf: UserPtr<u8>, size: usize) -> Result<usize> {
    let places = thread.fs.places();
    if places.cwd.dentry().is_unlinked() {
        return Err(Errno::ENOENT);
    }
    let (mut path, reachable) = places.cwd.spell(&places.root);
    if !reachable {
        path.splice(0..0, *b"(unreachable)");
    }
    path.push(0);
    if path.len() > size {
        return Err(Errno::ERANGE);
    }
    thread.write_slice(buf, &path)?;
    Ok(path.len())
}

/// Changes the working directory.
///
/// # Errors
/// Those of [`fs::Walk::resolve_directory`].
///
/// Source: chdir(2)
fn chdir(thread: &Thread, path: UserPtr<u8>) -> Result<Outcome<'_>> {
    thread.at_directory(path, |place| {
        thread.fs.set_cwd(place);
        Ok(())
    })
}

fn fchdir(thread: &Thread, fd: Fd) -> Result<()> {
    let file = thread.files.get(fd)?;
    let path = file.path();
    path.inode()?.directory()?;
    path.permit(Access::EXECUTE, &thread.caller())?;
    thread.fs.set_cwd(path.clone());
    Ok(())
}

/// Changes the root directory.
///
/// # Errors
/// - `EPERM`: no `CAP_SYS_CHROOT`.
/// - those of [`fs::Walk::resolve_directory`].
///
/// Source: chroot(2)
fn chroot(thread: &Thread, path: UserPtr<u8>) -> Result<Outcome<'_>> {
    thread.at_directory(path, |place| {
        if !thread.caller().capable(Capabilities::SYS_CHROOT) {
            return Err(Errno::EPERM);
        }
        thread.fs.set_root(place);
        Ok(())
    })
}

fn umask(thread: &Thread, mask: u32) -> usize {
    thread.fs.set_umask(mask) as usize
}
