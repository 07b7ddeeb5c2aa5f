//! rename(2), renameat2(2).

use crate::{
    Access, Dentry, Errno, Inode, Path, Place, Result, Swap, Walk,
    notify::{self, Event},
    vfs::{
        change::Target,
        permission::{self, Expected},
    },
};
use alloc::sync::Arc;

bitflags::bitflags! {
    /// Flags of renameat2(2).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct RenameFlags: u32 {
        /// `EEXIST` instead of replacing.
        const NO_REPLACE = 1;
        /// Swap the two.
        const EXCHANGE = 2;
    }
}

/// What is moved, and what is there now.
struct Pair {
    old: Arc<Dentry>,
    new: Arc<Dentry>,
}

fn expected(inode: &Inode) -> Expected {
    if inode.is_directory() { Expected::Directory } else { Expected::File }
}

impl Walk<'_> {
    /// Moves a file to another name, where it replaces what is there, or swaps with it.
    ///
    /// # Errors
    /// - `EXDEV`: another mount.
    /// - `EBUSY`: a mount point, or a path that ends in `.` or `..`.
    /// - `EINVAL`: into itself, or flags that exclude each other.
    /// - `ENOTEMPTY`: what is there is a directory with entries.
    /// - `EISDIR`, `ENOTDIR`: only one of the two is a directory.
    /// - `EEXIST`: it is there, with `RENAME_NOREPLACE`.
    /// - `EACCES`, `EPERM`, `EROFS`: a directory must not be changed.
    ///
    /// Source: rename(2)
    pub fn rename(
        &self,
        from: (&Path, &[u8]),
        to: (&Path, &[u8]),
        flags: RenameFlags,
    ) -> Result<()> {
        if flags.contains(RenameFlags::NO_REPLACE | RenameFlags::EXCHANGE) {
            return Err(Errno::EINVAL);
        }
        let from = self.target(from.0, from.1)?;
        let to = self.target(to.0, to.1)?;
        if !Arc::ptr_eq(from.parent.mount(), to.parent.mount()) {
            return Err(Errno::EXDEV);
        }
        let (old_name, _) = from.name(Errno::EBUSY)?;
        let taken = flags.contains(RenameFlags::NO_REPLACE);
        let (new_name, _) = to.name(if taken { Errno::EEXIST } else { Errno::EBUSY })?;
        if from.parent.mount().read_only() {
            return Err(Errno::EROFS);
        }
        let super_block = Arc::clone(from.parent.inode()?.super_block());
        let pair = {
            let _change = super_block.change.lock();
            let old = from.parent.dentry().lookup_locked(old_name, self.caller)?;
            let new = to.parent.dentry().lookup_locked(new_name, self.caller)?;
            let pair = Pair { old, new };
            self.check_names(&from, &to, &pair, flags)?;
            let same = pair
                .new
                .inode()
                .is_ok_and(|new| pair.old.inode().is_ok_and(|old| Arc::ptr_eq(old, new)));
            if same {
                return Ok(());
            }
            self.check_rights(&from, &to, &pair, flags)?;
            self.move_entry(&from, &to, &pair, flags)?;
            pair
        };
        let swapped = flags.contains(RenameFlags::EXCHANGE);
        notify::report_moved(&from.parent, old_name, &to.parent, new_name, pair.old.inode()?);
        match pair.new.inode() {
            Ok(inode) if swapped => {
                notify::report_moved(&to.parent, new_name, &from.parent, old_name, inode);
            }
            Ok(inode) => {
                notify::report_inode(inode, Event::Attributes);
                notify::report_removed(inode);
            }
            Err(_) => {}
        }
        Ok(())
    }

    fn check_names(
        &self,
        from: &Target,
        to: &Target,
        pair: &Pair,
        flags: RenameFlags,
    ) -> Result<()> {
        let (_, old_slash) = from.name(Errno::EBUSY)?;
        let (_, new_slash) = to.name(Errno::EBUSY)?;
        let exchange = flags.contains(RenameFlags::EXCHANGE);
        let old = pair.old.inode()?;
        if flags.contains(RenameFlags::NO_REPLACE) && !pair.new.is_negative() {
            return Err(Errno::EEXIST);
        }
        if exchange {
            let new = pair.new.inode()?;
            if new_slash && !new.is_directory() {
                return Err(Errno::ENOTDIR);
            }
        }
        if !old.is_directory() && (old_slash || !exchange && new_slash) {
            return Err(Errno::ENOTDIR);
        }
        if to.parent.dentry().is_inside(&pair.old) {
            return Err(Errno::EINVAL);
        }
        if !pair.new.is_negative() && from.parent.dentry().is_inside(&pair.new) {
            return Err(if exchange { Errno::EINVAL } else { Errno::ENOTEMPTY });
        }
        Ok(())
    }

    fn check_rights(
        &self,
        from: &Target,
        to: &Target,
        pair: &Pair,
        flags: RenameFlags,
    ) -> Result<()> {
        let exchange = flags.contains(RenameFlags::EXCHANGE);
        let old = pair.old.inode()?;
        permission::may_remove(from.parent.dentry(), &pair.old, expected(old), self.caller)?;
        match pair.new.inode() {
            Err(_) => permission::may_make(to.parent.mount(), to.parent.dentry(), self.caller)?,
            Ok(new) => {
                let expected = expected(if exchange { new } else { old });
                permission::may_remove(to.parent.dentry(), &pair.new, expected, self.caller)?;
            }
        }
        if !Arc::ptr_eq(from.parent.dentry(), to.parent.dentry()) {
            // Their `..` changes.
            if old.is_directory() {
                old.permit(Access::WRITE, self.caller)?;
            }
            if exchange
                && let Ok(new) = pair.new.inode()
                && new.is_directory()
            {
                new.permit(Access::WRITE, self.caller)?;
            }
        }
        if pair.old.is_mount_point() || pair.new.is_mount_point() {
            return Err(Errno::EBUSY);
        }
        Ok(())
    }

    fn move_entry(
        &self,
        from: &Target,
        to: &Target,
        pair: &Pair,
        flags: RenameFlags,
    ) -> Result<()> {
        let (old_name, _) = from.name(Errno::EBUSY)?;
        let (new_name, _) = to.name(Errno::EBUSY)?;
        let (old_parent, new_parent) = (from.parent.inode()?, to.parent.inode()?);
        let exchange = flags.contains(RenameFlags::EXCHANGE);
        let swap = if exchange { Swap::Exchange } else { Swap::Replace };
        old_parent.directory()?.rename(
            Place { directory: old_parent, name: old_name, inode: Some(pair.old.inode()?) },
            Place { directory: new_parent, name: new_name, inode: pair.new.inode().ok() },
            swap,
            self.caller,
        )?;
        if exchange {
            pair.new.relocate(from.parent.dentry(), old_name);
        } else if !pair.new.is_negative() {
            pair.new.forget();
        }
        pair.old.relocate(to.parent.dentry(), new_name);
        Ok(())
    }
}
