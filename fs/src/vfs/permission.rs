//! Who may do what: permission bits, owners, capabilities (path_resolution(7), capabilities(7)).

use crate::{
    Caller, Capabilities, Dentry, Errno, Inode, Kind, Mount, Path, Result, vfs::attr::mode,
};
use alloc::sync::Arc;

bitflags::bitflags! {
    /// What is to be done with a file; the bits are those of access(2).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Access: u32 {
        /// Run it, or search the directory.
        const EXECUTE = 1;
        /// Change it.
        const WRITE = 2;
        /// Read it.
        const READ = 4;
    }
}

impl Inode {
    /// Checks the permission bits.
    ///
    /// # Errors
    /// - `EACCES`: they do not allow it, and no capability does.
    pub fn permit(&self, access: Access, caller: &Caller<'_>) -> Result<()> {
        let mode = self.mode();
        let credentials = &caller.credentials;
        let granted = if credentials.uid == self.uid() {
            mode >> 6
        } else if credentials.in_group(self.gid()) {
            mode >> 3
        } else {
            mode
        };
        if Access::from_bits_truncate(granted).contains(access) {
            return Ok(());
        }
        self.permit_by_capability(access, caller)
    }

    #[cold]
    fn permit_by_capability(&self, access: Access, caller: &Caller<'_>) -> Result<()> {
        let overrides = caller.capable(Capabilities::DAC_OVERRIDE);
        let searches = caller.capable(Capabilities::DAC_READ_SEARCH);
        let granted = if self.is_directory() {
            overrides || searches && !access.contains(Access::WRITE)
        } else {
            let executable = self.mode() & 0o111 != 0;
            overrides && (executable || !access.contains(Access::EXECUTE))
                || searches && access == Access::READ
        };
        if granted { Ok(()) } else { Err(Errno::EACCES) }
    }

    /// Whether the caller is the owner, or may act as one.
    pub(crate) fn owned_by(&self, caller: &Caller<'_>) -> bool {
        caller.credentials.uid == self.uid() || caller.capable(Capabilities::FOWNER)
    }
}

impl Path {
    /// Checks permission bits and that what is to be changed is not on a read-only mount.
    ///
    /// # Errors
    /// - `EROFS`: writing a file, directory or link on a read-only mount.
    /// - `EACCES`: the bits do not allow it, or running a file of a `noexec` mount.
    pub fn permit(&self, access: Access, caller: &Caller<'_>) -> Result<()> {
        let inode = self.inode()?;
        if access.contains(Access::WRITE)
            && matches!(inode.kind(), Kind::Regular | Kind::Directory | Kind::Symlink)
            && self.mount().read_only()
        {
            return Err(Errno::EROFS);
        }
        inode.permit(access, caller)?;
        let runs = access.contains(Access::EXECUTE) && inode.kind() == Kind::Regular;
        if runs && self.mount().flags().contains(crate::MountFlags::NO_EXECUTE) {
            return Err(Errno::EACCES);
        }
        Ok(())
    }
}

/// Whether a name may be made in a directory.
pub(super) fn may_make(mount: &Mount, directory: &Dentry, caller: &Caller<'_>) -> Result<()> {
    if mount.read_only() {
        return Err(Errno::EROFS);
    }
    if directory.is_unlinked() {
        return Err(Errno::ENOENT);
    }
    directory.inode()?.permit(Access::WRITE | Access::EXECUTE, caller)
}

/// What a name that is to be removed must stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// Anything but a directory.
    File,
    /// A directory.
    Directory,
}

/// Whether a name may be removed from a directory, or replaced in it.
pub(super) fn may_remove(
    directory: &Dentry,
    target: &Arc<Dentry>,
    expected: Expected,
    caller: &Caller<'_>,
) -> Result<()> {
    let above = directory.inode()?;
    let inode = target.inode()?;
    above.permit(Access::WRITE | Access::EXECUTE, caller)?;
    let sticky = above.mode() & mode::STICKY != 0
        && caller.credentials.uid != inode.uid()
        && caller.credentials.uid != above.uid()
        && !caller.capable(Capabilities::FOWNER);
    if sticky {
        return Err(Errno::EPERM);
    }
    match (expected, inode.is_directory()) {
        (Expected::Directory, false) => Err(Errno::ENOTDIR),
        (Expected::File, true) => Err(Errno::EISDIR),
        (Expected::Directory, true) if target.parent().is_none() => Err(Errno::EBUSY),
        _ if directory.is_unlinked() => Err(Errno::ENOENT),
        _ => Ok(()),
    }
}
