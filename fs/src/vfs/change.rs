//! Changing the tree: mkdir(2), mknod(2), symlink(2), link(2), unlink(2), rmdir(2).

use crate::{
    Caller, Capabilities, DeviceNumber, Errno, Inode, Kind, Make, MakeAttributes, Path, Result,
    Walk,
    notify::{self, Event},
    vfs::{
        attr::mode,
        dentry::Name,
        permission::{self, Expected},
        walk::{Last, PATH_MAX},
    },
};
use alloc::sync::Arc;

/// A name in a directory that an operation is about.
pub(super) struct Target {
    pub(super) parent: Path,
    pub(super) last: Last,
}

impl Target {
    /// The name and whether slashes follow; `otherwise` if the path does not end in a name.
    pub(super) fn name(&self, otherwise: Errno) -> Result<(&Name, bool)> {
        match &self.last {
            Last::Name(name, slash) => Ok((name, *slash)),
            _ => Err(otherwise),
        }
    }
}

impl Walk<'_> {
    pub(super) fn target(&self, base: &Path, path: &[u8]) -> Result<Target> {
        let mut steps = self.steps(base, path, crate::LookupFlags::empty())?;
        let last = steps.advance()?;
        Ok(Target { parent: steps.finish(false)?, last })
    }

    /// Mode, owner and group of what is made in `directory`.
    pub(super) fn make_attributes(
        &self,
        directory: &Inode,
        what: Make<'_>,
        mode: u32,
    ) -> MakeAttributes {
        let caller = self.caller;
        let masked = mode & mode::ALL & !self.umask;
        let (mut mode, mut gid) = match what {
            Make::Symlink(_) => (0o777, caller.credentials.gid),
            _ => (masked, caller.credentials.gid),
        };
        if directory.mode() & mode::SET_GID != 0 {
            gid = directory.gid();
            let runs = mode & (mode::SET_GID | mode::GROUP_EXECUTE);
            if what.kind() == Kind::Directory {
                mode |= mode::SET_GID;
            } else if runs == mode::SET_GID | mode::GROUP_EXECUTE
                && !caller.credentials.in_group(gid)
                && !caller.capable(Capabilities::FSETID)
            {
                mode &= !mode::SET_GID;
            }
        }
        MakeAttributes { mode, uid: caller.credentials.uid, gid, now: caller.now() }
    }

    /// Makes a file that is not opened: mkdir(2), mknod(2), symlink(2), bind(2) of a UNIX socket.
    ///
    /// # Errors
    /// - `EEXIST`: the name is taken.
    /// - `EACCES`, `EROFS`: the directory must not be changed.
    /// - `EPERM`: a device without `CAP_MKNOD`, or a file system without such files.
    /// - `ENOENT`: a trailing slash on what is no directory.
    pub fn make(&self, base: &Path, path: &[u8], what: Make<'_>, mode: u32) -> Result<Path> {
        if let Make::Symlink(text) = what {
            match text.len() {
                0 => return Err(Errno::ENOENT),
                PATH_MAX.. => return Err(Errno::ENAMETOOLONG),
                _ => {}
            }
        }
        let target = self.target(base, path)?;
        let (name, slash) = target.name(Errno::EEXIST)?;
        let Target { parent, .. } = &target;
        let directory = parent.inode()?;
        let dentry = {
            let _change = directory.super_block().change.lock();
            if !parent.dentry().lookup_locked(name, self.caller)?.is_negative() {
                return Err(Errno::EEXIST);
            }
            if slash && what.kind() != Kind::Directory {
                return Err(Errno::ENOENT);
            }
            permission::may_make(parent.mount(), parent.dentry(), self.caller)?;
            self.may_make_device(what)?;
            let attributes = self.make_attributes(directory, what, mode);
            let operations = directory.directory()?;
            let inode = operations.make(directory, name, what, attributes, self.caller)?;
            parent.dentry().instantiate(name, inode)
        };
        let made = Path::new(Arc::clone(parent.mount()), dentry);
        notify::report(&made, Event::Create);
        Ok(made)
    }

    fn may_make_device(&self, what: Make<'_>) -> Result<()> {
        let whiteout = DeviceNumber::new(0, 0);
        match what {
            Make::Character(number) if number == whiteout => Ok(()),
            Make::Character(_) | Make::Block(_) if !self.caller.capable(Capabilities::MKNOD) => {
                Err(Errno::EPERM)
            }
            _ => Ok(()),
        }
    }

    /// Gives a file another name.
    ///
    /// # Errors
    /// - `EXDEV`: on another mount.
    /// - `EPERM`: a directory.
    /// - `ENOENT`: the file has no name left.
    /// - those of [`make`](Self::make).
    ///
    /// Source: link(2)
    pub fn link(&self, old: &Path, base: &Path, path: &[u8]) -> Result<()> {
        let target = self.target(base, path)?;
        let (name, slash) = target.name(Errno::EEXIST)?;
        let Target { parent, .. } = &target;
        let (directory, inode) = (parent.inode()?, old.inode()?);
        let dentry = {
            let _change = directory.super_block().change.lock();
            if !parent.dentry().lookup_locked(name, self.caller)?.is_negative() {
                return Err(Errno::EEXIST);
            }
            if slash {
                return Err(Errno::ENOENT);
            }
            if parent.mount().read_only() {
                return Err(Errno::EROFS);
            }
            if !Arc::ptr_eq(old.mount(), parent.mount()) {
                return Err(Errno::EXDEV);
            }
            permission::may_make(parent.mount(), parent.dentry(), self.caller)?;
            if !Arc::ptr_eq(inode.super_block(), directory.super_block()) {
                return Err(Errno::EXDEV);
            }
            if inode.is_directory() {
                return Err(Errno::EPERM);
            }
            if inode.links() == 0 && !inode.is_linkable() {
                return Err(Errno::ENOENT);
            }
            directory.directory()?.link(directory, name, inode, self.caller)?;
            inode.set_linkable(false);
            parent.dentry().instantiate(name, Arc::clone(inode))
        };
        notify::report_inode(inode, Event::Attributes);
        notify::report(&Path::new(Arc::clone(parent.mount()), dentry), Event::Create);
        Ok(())
    }

    /// Removes a name of a file that is no directory.
    ///
    /// # Errors
    /// - `EISDIR`: a directory.
    /// - `ENOENT`, `ENOTDIR`: the path leads nowhere.
    /// - `EACCES`, `EPERM`, `EROFS`: the directory must not be changed.
    /// - `EBUSY`: something is mounted on it.
    ///
    /// Source: unlink(2)
    pub fn unlink(&self, base: &Path, path: &[u8]) -> Result<()> {
        let target = self.target(base, path)?;
        let (name, slash) = target.name(Errno::EISDIR)?;
        self.remove(&target.parent, name, Expected::File, slash)
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// - `ENOTEMPTY`: it has entries, or the path ends in `..`.
    /// - `EINVAL`: the path ends in `.`.
    /// - `ENOTDIR`: no directory.
    /// - `EBUSY`: something is mounted on it, or it is a root.
    /// - `EACCES`, `EPERM`, `EROFS`: the directory above must not be changed.
    ///
    /// Source: rmdir(2)
    pub fn remove_dir(&self, base: &Path, path: &[u8]) -> Result<()> {
        let target = self.target(base, path)?;
        let otherwise = match target.last {
            Last::Above => Errno::ENOTEMPTY,
            Last::Here => Errno::EINVAL,
            _ => Errno::EBUSY,
        };
        let (name, _) = target.name(otherwise)?;
        self.remove(&target.parent, name, Expected::Directory, false)
    }

    fn remove(&self, parent: &Path, name: &Name, expected: Expected, slash: bool) -> Result<()> {
        let directory = parent.inode()?;
        if parent.mount().read_only() {
            return Err(Errno::EROFS);
        }
        let dentry = {
            let _change = directory.super_block().change.lock();
            let dentry = parent.dentry().lookup_locked(name, self.caller)?;
            let inode = dentry.inode()?;
            if slash {
                return Err(if inode.is_directory() { Errno::EISDIR } else { Errno::ENOTDIR });
            }
            permission::may_remove(parent.dentry(), &dentry, expected, self.caller)?;
            if dentry.is_mount_point() {
                return Err(Errno::EBUSY);
            }
            let operations = directory.directory()?;
            match expected {
                Expected::File => operations.unlink(directory, name, inode, self.caller)?,
                Expected::Directory => {
                    operations.remove_dir(directory, name, inode, self.caller)?
                }
            }
            dentry.forget();
            dentry
        };
        // The last reference, and with it the contents, may go here: outside the change lock.
        let removed = Path::new(Arc::clone(parent.mount()), dentry);
        if expected == Expected::File {
            notify::report_inode(removed.inode()?, Event::Attributes);
        }
        // The file's own end comes before its directory's event, as on Linux.
        notify::report_removed(removed.inode()?);
        notify::report(&removed, Event::Delete);
        Ok(())
    }
}

/// Whether the caller may do what only owners may: chmod(2), setting times, some attributes.
pub(crate) fn require_owner(inode: &Inode, caller: &Caller<'_>) -> Result<()> {
    if inode.owned_by(caller) { Ok(()) } else { Err(Errno::EPERM) }
}
