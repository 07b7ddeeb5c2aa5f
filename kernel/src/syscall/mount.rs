//! Mounts: mount(2), umount2(2), pivot_root(2).

use super::{Outcome, Row, UserPtr, row};
use crate::{cred::Capabilities, filesystems::Request, thread::Thread};
use abi::{Errno, Fd, Result};
use alloc::vec::Vec;
use fs::{LookupFlags, MountFlags, Path, Remount, Submounts, Unmount};

pub(super) const ROWS: &[Row] = &[
    row!(155 "pivot_root" (new_root: UserPtr<u8>, put_old: UserPtr<u8>) => pivot_root, Full),
    row!(165 "mount" (source: UserPtr<u8>, target: UserPtr<u8>, kind: UserPtr<u8>, flags: u64,
        data: UserPtr<u8>) => mount, Partial, "propagation: MS_SHARED and MS_UNBINDABLE are EINVAL"),
    row!(166 "umount2" (target: UserPtr<u8>, flags: u32) => umount2, Partial, "MNT_EXPIRE is EINVAL"),
];

bitflags::bitflags! {
    /// The flags of mount(2) that choose what it does.
    #[derive(Clone, Copy, PartialEq, Eq)]
    struct Command: u64 {
        const REMOUNT = 1 << 5;
        const NO_ACCESS_TIME = 1 << 10;
        const NO_DIRECTORY_ACCESS_TIME = 1 << 11;
        const BIND = 1 << 12;
        const MOVE = 1 << 13;
        const RECURSIVE = 1 << 14;
        const SILENT = 1 << 15;
        const UNBINDABLE = 1 << 17;
        const PRIVATE = 1 << 18;
        const SLAVE = 1 << 19;
        const SHARED = 1 << 20;
        const RELATIVE_ACCESS_TIME = 1 << 21;
        const STRICT_ACCESS_TIME = 1 << 24;
        const NO_USER = 1 << 31;
        const _ = !0;
    }
}

impl Command {
    const PROPAGATION: Self =
        Self::UNBINDABLE.union(Self::PRIVATE).union(Self::SLAVE).union(Self::SHARED);
    const ACCESS_TIME: Self = Self::NO_ACCESS_TIME
        .union(Self::NO_DIRECTORY_ACCESS_TIME)
        .union(Self::RELATIVE_ACCESS_TIME)
        .union(Self::STRICT_ACCESS_TIME);
}

/// The mark that old programs put into the upper half of the flags.
const MAGIC: u64 = 0xc0ed_0000;
const MAGIC_MASK: u64 = 0xffff_0000;
/// The most that options may be, a page.
const OPTIONS_MAX: usize = 4095;

/// The flags of the mount that is made: relatime unless something else is said.
fn mount_flags(command: Command) -> MountFlags {
    #[allow(clippy::cast_possible_truncation, reason = "the flags that are kept are below 2^32")]
    let mut flags = MountFlags::from_bits_truncate(command.bits() as u32);
    let other = MountFlags::NO_ACCESS_TIME | MountFlags::STRICT_ACCESS_TIME;
    flags.set(MountFlags::RELATIVE_ACCESS_TIME, !flags.intersects(other));
    flags.remove(MountFlags::STRICT_ACCESS_TIME);
    flags
}

/// A string that may be left out.
fn optional(thread: &Thread, at: UserPtr<u8>, max: usize) -> Result<Option<Vec<u8>>> {
    if at.is_null() { Ok(None) } else { thread.read_string(at, max).map(Some) }
}

/// The options: what is over a page is cut off.
fn options(thread: &Thread, at: UserPtr<u8>) -> Result<Vec<u8>> {
    match optional(thread, at, OPTIONS_MAX) {
        Err(Errno::ENAMETOOLONG) => thread.read_slice(at, OPTIONS_MAX),
        options => Ok(options?.unwrap_or_default()),
    }
}

/// Mounts a file system, or changes, binds or moves a mount.
///
/// # Errors
/// - `EPERM`: without `CAP_SYS_ADMIN`.
/// - `ENODEV`: there is no such type of file system.
/// - `EINVAL`: bad options or flags; the target is no mount (remount), or the source none (move).
/// - `EBUSY`: it is there already, or a read-only remount while files are open for writing.
/// - `ENOTDIR`: a directory on a file, or a file on a directory.
/// - those of the lookup.
///
/// Source: mount(2)
fn mount(
    thread: &Thread,
    source: UserPtr<u8>,
    target: UserPtr<u8>,
    kind: UserPtr<u8>,
    flags: u64,
    data: UserPtr<u8>,
) -> Result<Outcome<'_>> {
    let kind = optional(thread, kind, OPTIONS_MAX)?;
    let source = optional(thread, source, OPTIONS_MAX)?;
    let options = options(thread, data)?;
    let flags = if flags & MAGIC_MASK == MAGIC { flags & !MAGIC_MASK } else { flags };
    let command = Command::from_bits_retain(flags);
    let target = thread.read_path(target)?;
    let find = |walk: &fs::Walk<'_>, base: &Path, path: &[u8]| {
        walk.resolve(base, path, LookupFlags::FOLLOW)
    };
    thread.walk_then(Fd::CWD, target, find, move |at| {
        check_admin(thread)?;
        if command.contains(Command::NO_USER) {
            return Err(Errno::EINVAL);
        }
        let order = Order { command, kind, source, options };
        order.carry_out(thread, at)
    })
}

fn check_admin(thread: &Thread) -> Result<()> {
    if thread.credentials.has(Capabilities::SYS_ADMIN) { Ok(()) } else { Err(Errno::EPERM) }
}

/// What mount(2) was asked for.
struct Order {
    command: Command,
    kind: Option<Vec<u8>>,
    source: Option<Vec<u8>>,
    options: Vec<u8>,
}

impl Order {
    fn carry_out(self, thread: &Thread, at: Path) -> Result<Outcome<'_>> {
        let command = self.command;
        if command.contains(Command::REMOUNT) {
            self.remount(thread, &at)?;
        } else if command.contains(Command::BIND) {
            let submounts = match command.contains(Command::RECURSIVE) {
                true => Submounts::Include,
                false => Submounts::Leave,
            };
            return self.with_source(thread, at, move |from, at| {
                thread.system.mounts.bind(from, at, submounts)
            });
        } else if command.intersects(Command::PROPAGATION) {
            propagation(command, &at)?;
        } else if command.contains(Command::MOVE) {
            return self
                .with_source(thread, at, |from, at| thread.system.mounts.move_mount(from, at));
        } else {
            self.make(thread, &at)?;
        }
        Ok(Outcome::Done(0))
    }

    fn make(&self, thread: &Thread, at: &Path) -> Result<()> {
        let kind = self.kind.as_deref().ok_or(Errno::EINVAL)?;
        let kind = thread.system.file_systems.find(kind)?;
        let places = thread.fs.places();
        let request = Request {
            system: thread.system,
            source: self.source.as_deref().unwrap_or(b"none"),
            flags: mount_flags(self.command),
            options: &self.options,
            caller: &thread.caller(),
            root: &places.root,
            base: &places.cwd,
        };
        let mount = (kind.make)(&request)?;
        thread.system.mounts.mount(at, mount)
    }

    /// The mount's flags; without `MS_BIND` also the file system's options.
    fn remount(&self, thread: &Thread, at: &Path) -> Result<()> {
        let mut flags = mount_flags(self.command);
        // Without a word about access times they stay as they are.
        if !self.command.intersects(Command::ACCESS_TIME) {
            let kept = MountFlags::NO_ACCESS_TIME
                | MountFlags::NO_DIRECTORY_ACCESS_TIME
                | MountFlags::RELATIVE_ACCESS_TIME;
            flags = (flags - kept) | (at.mount().flags() & kept);
        }
        let what = match self.command.contains(Command::BIND) {
            true => Remount::Mount,
            false => Remount::FileSystem(&self.options),
        };
        thread.system.mounts.remount(at, flags, what)
    }

    /// Finds the source, which is a path here, and goes on with it.
    fn with_source<'a>(
        self,
        thread: &'a Thread,
        at: Path,
        then: impl FnOnce(&Path, &Path) -> Result<()> + Send + 'a,
    ) -> Result<Outcome<'a>> {
        let source = self.source.filter(|source| !source.is_empty()).ok_or(Errno::EINVAL)?;
        thread.walk_then(
            Fd::CWD,
            source,
            |walk, base, path| walk.resolve(base, path, LookupFlags::FOLLOW),
            move |from| then(&from, &at).map(|()| Outcome::Done(0)),
        )
    }
}

/// All mounts are private, so making one private or a slave of nobody changes nothing.
fn propagation(command: Command, at: &Path) -> Result<()> {
    let allowed = Command::PROPAGATION | Command::RECURSIVE | Command::SILENT;
    let kind = command & Command::PROPAGATION;
    let known = kind == Command::PRIVATE || kind == Command::SLAVE;
    if !(command - allowed).is_empty() || !known || !at.is_mount_root() {
        return Err(Errno::EINVAL);
    }
    Ok(())
}

const FORCE: u32 = 1;
const DETACH: u32 = 2;
const EXPIRE: u32 = 4;
const NO_FOLLOW: u32 = 8;

/// Takes a mount away; the root of everything only becomes read-only.
///
/// # Errors
/// - `EINVAL`: unknown flags, or not a mount.
/// - `EPERM`: without `CAP_SYS_ADMIN`.
/// - `EBUSY`: it is in use.
///
/// Source: umount(2)
fn umount2(thread: &Thread, target: UserPtr<u8>, flags: u32) -> Result<Outcome<'_>> {
    if flags & !(FORCE | DETACH | NO_FOLLOW) != 0 || flags & EXPIRE != 0 {
        return Err(Errno::EINVAL);
    }
    let mut lookup = LookupFlags::empty();
    lookup.set(LookupFlags::FOLLOW, flags & NO_FOLLOW == 0);
    let target = thread.read_path(target)?;
    let find =
        move |walk: &fs::Walk<'_>, base: &Path, path: &[u8]| walk.resolve(base, path, lookup);
    thread.walk_then(Fd::CWD, target, find, move |at| {
        check_admin(thread)?;
        let how = if flags & DETACH != 0 { Unmount::Detach } else { Unmount::IfUnused };
        let own_root = thread.fs.with(|places| {
            at.is_mount_root() && alloc::sync::Arc::ptr_eq(places.root.mount(), at.mount())
        });
        if own_root && how == Unmount::IfUnused {
            let flags = at.mount().flags() | MountFlags::READ_ONLY;
            thread.system.mounts.remount(&at, flags, Remount::FileSystem(b""))?;
        } else {
            thread.system.mounts.unmount(at, how)?;
        }
        Ok(Outcome::Done(0))
    })
}

/// Makes `new_root` the root, the old one appearing at `put_old`; whoever had the old root or
/// worked in it has the new one afterwards.
///
/// # Errors
/// - `EPERM`: without `CAP_SYS_ADMIN`.
/// - `EBUSY`: the new root is the old one's mount, or `put_old` is on it.
/// - `EINVAL`: the new root is no mount, or `put_old` is not below it.
/// - those of the lookups.
///
/// Source: pivot_root(2)
fn pivot_root(thread: &Thread, new_root: UserPtr<u8>, put_old: UserPtr<u8>) -> Result<Outcome<'_>> {
    check_admin(thread)?;
    let (new_root, put_old) = (thread.read_path(new_root)?, thread.read_path(put_old)?);
    thread.walk_then(
        Fd::CWD,
        new_root,
        |walk, base, path| walk.resolve_directory(base, path),
        move |new_root| {
            thread.walk_then(
                Fd::CWD,
                put_old,
                |walk, base, path| walk.resolve_directory(base, path),
                move |put_old| pivot(thread, &new_root, &put_old).map(|()| Outcome::Done(0)),
            )
        },
    )
}

fn pivot(thread: &Thread, new_root: &Path, put_old: &Path) -> Result<()> {
    let old_root = thread.fs.places().root;
    thread.system.mounts.pivot_root(&old_root, new_root, put_old)?;
    for process in thread.system.pids.processes() {
        for other in process.live_threads() {
            let Some(context) = other.view.lock().fs.clone() else { continue };
            let places = context.places();
            if places.root.is(&old_root) {
                context.set_root(new_root.clone());
            }
            if places.cwd.is(&old_root) {
                context.set_cwd(new_root.clone());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Command, mount_flags};
    use fs::MountFlags;

    #[test]
    fn access_times_are_relative_unless_said() {
        let flags = |command| mount_flags(command);
        assert_eq!(flags(Command::empty()), MountFlags::RELATIVE_ACCESS_TIME);
        assert_eq!(flags(Command::NO_ACCESS_TIME), MountFlags::NO_ACCESS_TIME);
        assert_eq!(flags(Command::STRICT_ACCESS_TIME), MountFlags::empty());
        let read_only = Command::from_bits_retain(1);
        let expected = MountFlags::READ_ONLY | MountFlags::RELATIVE_ACCESS_TIME;
        assert_eq!(flags(read_only), expected);
    }
}
