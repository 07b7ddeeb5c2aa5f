//! Setting attributes: chmod(2), chown(2), utimensat(2), truncate(2); and access times.

use crate::{
    Access, Caller, Capabilities, Errno, Inode, Kind, MountFlags, Path, Result, Seals,
    SetAttributes, SetTime, Timespec, Walk,
    notify::{self, Event},
    vfs::{attr::mode, change},
};

/// A relative access time is renewed at least this often: a day.
const RENEW_SECONDS: i64 = 24 * 60 * 60;

impl Inode {
    fn check_set(&self, set: &SetAttributes, caller: &Caller<'_>) -> Result<()> {
        let uid = caller.credentials.uid;
        let owner = uid == self.uid();
        let chown = caller.capable(Capabilities::CHOWN);
        if set.uid.is_some_and(|new| !(chown || owner && new == self.uid())) {
            return Err(Errno::EPERM);
        }
        let group_allowed = |new| owner && (new == self.gid() || caller.credentials.in_group(new));
        if set.gid.is_some_and(|new| !chown && !group_allowed(new)) {
            return Err(Errno::EPERM);
        }
        let times = [set.accessed, set.modified];
        let now_only = times == [Some(SetTime::Now); 2];
        let explicit = !now_only && times.iter().any(Option::is_some);
        if set.mode.is_some() || explicit {
            change::require_owner(self, caller)?;
        }
        if now_only && !self.owned_by(caller) {
            self.permit(Access::WRITE, caller)?;
        }
        Ok(())
    }

    fn apply(&self, set: &SetAttributes, caller: &Caller<'_>) {
        let changes_owner = set.uid.is_some() || set.gid.is_some();
        if changes_owner {
            self.set_owner(set.uid.unwrap_or(self.uid()), set.gid.unwrap_or(self.gid()));
            if !self.is_directory() {
                let mode = self.mode();
                let group = if mode & mode::GROUP_EXECUTE == 0 { 0 } else { mode::SET_GID };
                self.set_mode(mode & !(mode::SET_UID | group));
            }
        }
        if let Some(mut mode) = set.mode {
            let member = caller.credentials.in_group(self.gid());
            if !member && !caller.capable(Capabilities::FSETID) {
                mode &= !mode::SET_GID;
            }
            self.set_mode(mode);
        }
        let now = caller.now();
        let chosen = |time| match time {
            SetTime::Now => now,
            SetTime::At(time) => time,
        };
        self.update_times(|times| {
            times.accessed = set.accessed.map_or(times.accessed, chosen);
            times.modified = set.modified.map_or(times.modified, chosen);
            times.changed = now;
        });
        self.super_block().file_system().attributes_changed(self);
    }
}

impl Path {
    /// Sets attributes.
    ///
    /// # Errors
    /// - `EPERM`: the caller is not the owner, or gives the file away without `CAP_CHOWN`.
    /// - `EACCES`: setting times to now without being owner or allowed to write.
    /// - `EROFS`: a read-only mount.
    ///
    /// Source: chmod(2), chown(2), utimensat(2)
    pub fn set_attributes(&self, set: &SetAttributes, caller: &Caller<'_>) -> Result<()> {
        let inode = self.inode()?;
        if self.mount().read_only() {
            return Err(Errno::EROFS);
        }
        if set.mode.is_some() && inode.kind() == Kind::Symlink {
            return Err(Errno::EOPNOTSUPP);
        }
        inode.check_set(set, caller)?;
        let sealed = || inode.pages().and_then(|pages| pages.seals().ok());
        if let Some(mode) = set.mode
            && (mode ^ inode.mode()) & 0o111 != 0
            && sealed().is_some_and(|seals| seals.contains(Seals::EXECUTE))
        {
            return Err(Errno::EPERM);
        }
        let file_system = inode.super_block().file_system();
        file_system.may_set_attributes(inode, set)?;
        file_system.changing(inode, caller)?;
        inode.apply(set, caller);
        notify::report(self, Event::Attributes);
        Ok(())
    }

    /// Makes the file `size` bytes long.
    ///
    /// # Errors
    /// - `EISDIR`, `EINVAL`: not a regular file.
    /// - `EACCES`, `EROFS`: it may not be written.
    /// - `ETXTBSY`: a program runs from it.
    /// - `EFBIG`: beyond a limit of the file or the caller.
    ///
    /// Source: truncate(2)
    pub fn truncate(&self, size: u64, caller: &Caller<'_>) -> Result<()> {
        let inode = self.inode()?;
        match inode.kind() {
            Kind::Regular => {}
            Kind::Directory => return Err(Errno::EISDIR),
            _ => return Err(Errno::EINVAL),
        }
        self.permit(Access::WRITE, caller)?;
        inode.super_block().file_system().changing(inode, caller)?;
        inode.get_write_access()?;
        let result = inode.truncate(size, caller);
        inode.put_write_access();
        result?;
        notify::report(self, Event::Modify);
        Ok(())
    }

    /// The file was read: its access time changes, if the mount wants that.
    pub(crate) fn touch_accessed(&self, caller: &Caller<'_>) {
        let flags = self.mount().flags();
        if flags.intersects(MountFlags::NO_ACCESS_TIME | MountFlags::READ_ONLY) {
            return;
        }
        let Ok(inode) = self.inode() else { return };
        let no_directory = flags.contains(MountFlags::NO_DIRECTORY_ACCESS_TIME);
        if inode.super_block().read_only() || no_directory && inode.is_directory() {
            return;
        }
        let strict = flags.contains(MountFlags::STRICT_ACCESS_TIME);
        let now = caller.now();
        let mut changed = false;
        inode.update_times(|times| {
            let tells = times.accessed <= times.modified
                || times.accessed <= times.changed
                || renewal_is_due(times.accessed, now);
            if (strict || tells) && times.accessed != now {
                times.accessed = now;
                changed = true;
            }
        });
        if changed {
            inode.super_block().file_system().attributes_changed(inode);
        }
    }
}

fn renewal_is_due(accessed: Timespec, now: Timespec) -> bool {
    now.seconds.saturating_sub(accessed.seconds) >= RENEW_SECONDS
}

impl Walk<'_> {
    /// Whether the caller may do something with a file: access(2), faccessat2(2). The caller's
    /// user id is the real or the effective one, as asked.
    ///
    /// # Errors
    /// - `EACCES`, `EROFS`: no.
    pub fn access(&self, path: &Path, access: Access) -> Result<()> {
        path.permit(access, self.caller)
    }
}
