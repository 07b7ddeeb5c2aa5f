//! Watching files: inotify_init1(2), inotify_add_watch(2), inotify_rm_watch(2).

use super::{Outcome, Row, UserPtr, row};
use crate::{file::Object, thread::Thread};
use abi::{Errno, Fd, Result};
use fs::{
    Access, LookupFlags, OpenFlags,
    notify::{Inotify, WatchMask},
};

pub(super) const ROWS: &[Row] = &[
    row!(253 "inotify_init" () => inotify_init, Full),
    row!(254 "inotify_add_watch" (fd: Fd, path: UserPtr<u8>, mask: u32) => add_watch, Full),
    row!(255 "inotify_rm_watch" (fd: Fd, watch: i32) => rm_watch, Full),
    row!(294 "inotify_init1" (flags: u32) => inotify_init1, Full),
];

fn inotify_init(thread: &Thread) -> Result<usize> {
    inotify_init1(thread, 0)
}

/// Makes an instance without watches.
///
/// # Errors
/// - `EINVAL`: unknown flags; `EMFILE`: too many open files, or instances of the user.
///
/// Source: inotify_init(2)
fn inotify_init1(thread: &Thread, flags: u32) -> Result<usize> {
    let allowed = OpenFlags::CLOSE_ON_EXEC | OpenFlags::NON_BLOCKING;
    let flags = OpenFlags::from_bits(flags).filter(|flags| allowed.contains(*flags));
    let flags = flags.ok_or(Errno::EINVAL)?;
    // Read only: write(2) is EBADF.
    let quota = thread.system.users.inotify(thread.credentials.uid);
    thread.install_object(Object::Inotify(Inotify::new(quota)?), "inotify", flags)
}

/// Watches a file, or changes what is watched for; returns the watch's number.
///
/// # Errors
/// - `EBADF`: not open; `EINVAL`: no inotify instance, or a bad mask.
/// - `ENOSPC`: the user has too many watches.
/// - `EEXIST`: it is watched, with `IN_MASK_CREATE`.
/// - `EACCES`: the file may not be read; and those of the lookup.
///
/// Source: inotify_add_watch(2)
fn add_watch(thread: &Thread, fd: Fd, path: UserPtr<u8>, mask: u32) -> Result<Outcome<'_>> {
    let mask = WatchMask::from_bits_truncate(mask);
    if !mask.intersects(WatchMask::ALL) {
        return Err(Errno::EINVAL);
    }
    let file = thread.files.get_opened(fd)?;
    if !matches!(file.object(), Object::Inotify(_))
        || mask.contains(WatchMask::ADD | WatchMask::CREATE)
    {
        return Err(Errno::EINVAL);
    }
    let mut lookup = LookupFlags::empty();
    lookup.set(LookupFlags::FOLLOW, !mask.contains(WatchMask::NO_FOLLOW));
    lookup.set(LookupFlags::DIRECTORY, mask.contains(WatchMask::ONLY_DIRECTORY));
    thread.at_path(Fd::CWD, path, move |walk, base, path| {
        let found = walk.resolve(base, path, lookup)?;
        found.permit(Access::READ, walk.caller)?;
        let Object::Inotify(instance) = file.object() else { return Err(Errno::EINVAL) };
        let number = instance.add(found.inode()?, mask)?;
        usize::try_from(number).map_err(|_| Errno::ENOSPC)
    })
}

/// Ends a watch.
///
/// # Errors
/// - `EBADF`: not open; `EINVAL`: no inotify instance, or no such watch.
///
/// Source: inotify_rm_watch(2)
fn rm_watch(thread: &Thread, fd: Fd, watch: i32) -> Result<()> {
    let file = thread.files.get_opened(fd)?;
    let Object::Inotify(instance) = file.object() else { return Err(Errno::EINVAL) };
    instance.remove(watch)
}
