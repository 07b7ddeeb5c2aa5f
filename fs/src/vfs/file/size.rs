//! The size of files and the room they have: ftruncate(2), fallocate(2).

use super::OpenFile;
use crate::{
    Caller, Capabilities, Errno, Grow, Inode, OpenFlags, Result,
    notify::{self, Event},
};

/// What fallocate(2) does to a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allocate {
    /// Give it room; the file may become longer.
    Reserve(Grow),
    /// Make it a hole.
    PunchHole,
}

impl OpenFile {
    /// Makes the file `size` bytes long.
    ///
    /// # Errors
    /// - `EBADF`: a mere place (`O_PATH`).
    /// - `EINVAL`: not a regular file, or not open for writing.
    /// - `EFBIG`: beyond a limit of the file or the caller.
    /// - `EPERM`: sealed.
    ///
    /// Source: ftruncate(2)
    pub fn truncate(&self, size: u64, caller: &Caller<'_>) -> Result<()> {
        if self.flags().contains(OpenFlags::PATH) {
            return Err(Errno::EBADF);
        }
        if self.inode.is_directory() {
            return Err(Errno::EINVAL);
        }
        self.writable().map_err(|_| Errno::EINVAL)?;
        self.inode.truncate(size, caller)?;
        notify::report(&self.path, Event::Modify);
        Ok(())
    }

    pub(in crate::vfs) fn truncate_on_open(&self, caller: &Caller<'_>) -> Result<()> {
        if self.inode.pages().is_none() {
            return Ok(());
        }
        if !self.flags().writable() {
            // O_RDONLY | O_TRUNC truncates on Linux; permission to write was checked.
            self.inode.get_write_access()?;
            let result = self.inode.truncate(0, caller);
            self.inode.put_write_access();
            return result;
        }
        self.inode.truncate(0, caller)
    }

    /// Gives room to a range, or takes it.
    ///
    /// # Errors
    /// - `EBADF`: not open for writing.
    /// - `ENODEV`: not a regular file.
    /// - `EFBIG`, `ENOSPC`, `EPERM`: as [`write`](Self::write).
    ///
    /// Source: fallocate(2)
    pub fn allocate(
        &self,
        what: Allocate,
        offset: u64,
        length: u64,
        caller: &Caller<'_>,
    ) -> Result<()> {
        self.writable()?;
        let pages = self.inode.pages().ok_or(Errno::ENODEV)?;
        if length == 0 {
            return Err(Errno::EINVAL);
        }
        let end = offset.checked_add(length).ok_or(Errno::EFBIG)?;
        let grow = match what {
            Allocate::Reserve(grow) => grow,
            Allocate::PunchHole => Grow::No,
        };
        if grow == Grow::Yes && end > caller.size_limit {
            return Err(Errno::EFBIG);
        }
        match what {
            Allocate::Reserve(grow) => pages.allocate(offset..end, grow, caller)?,
            Allocate::PunchHole => pages.punch(offset..end, caller)?,
        }
        self.inode.drop_privileges(caller);
        self.inode.touch_modified(caller);
        notify::report(&self.path, Event::Modify);
        Ok(())
    }
}

impl Inode {
    /// Writing and changing the owner take set-id bits away from those without `CAP_FSETID`.
    pub(crate) fn drop_privileges(&self, caller: &Caller<'_>) {
        use crate::vfs::attr::mode::{GROUP_EXECUTE, SET_GID, SET_UID};
        let mode = self.mode();
        if mode & (SET_UID | SET_GID) == 0 || caller.capable(Capabilities::FSETID) {
            return;
        }
        let group = if mode & GROUP_EXECUTE != 0 { SET_GID } else { 0 };
        self.set_mode(mode & !(SET_UID | group));
    }

    pub(crate) fn touch_modified(&self, caller: &Caller<'_>) {
        let now = caller.now();
        self.update_times(|times| (times.modified, times.changed) = (now, now));
        self.super_block().file_system().attributes_changed(self);
    }

    /// Sets the size, with all that belongs to it but checks of permission.
    pub(crate) fn truncate(&self, size: u64, caller: &Caller<'_>) -> Result<()> {
        let pages = self.pages().ok_or(Errno::EINVAL)?;
        if size > caller.size_limit && size > pages.size() {
            return Err(Errno::EFBIG);
        }
        pages.truncate(size, caller)?;
        self.drop_privileges(caller);
        self.touch_modified(caller);
        Ok(())
    }
}
