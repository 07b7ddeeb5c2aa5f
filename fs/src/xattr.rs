//! Extended attributes kept in memory: xattr(7).

use crate::{
    Access, Caller, Capabilities, Errno, Inode, Kind, Path, Result,
    notify::{self, Event},
    vfs::{attr::mode, change},
};
use alloc::{borrow::Cow, boxed::Box, collections::BTreeMap, sync::Arc, vec::Vec};

/// Bytes in the longest name.
pub const XATTR_NAME_MAX: usize = 255;
/// Bytes in the longest value.
pub const XATTR_SIZE_MAX: usize = 65536;
/// Bytes of names and values an inode may have, so that a program cannot fill the memory.
const TOTAL_MAX: usize = 256 * 1024;

/// The attributes of an inode.
#[derive(Debug, Default)]
pub(crate) struct Xattrs {
    values: BTreeMap<Box<[u8]>, Box<[u8]>>,
    total: usize,
}

/// Whether the attribute must be new, or must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetXattr {
    /// Either.
    Any,
    /// `XATTR_CREATE`.
    Create,
    /// `XATTR_REPLACE`.
    Replace,
    /// Both, which no attribute can satisfy.
    Never,
}

impl Inode {
    fn permit_xattr(&self, name: &[u8], access: Access, caller: &Caller<'_>) -> Result<()> {
        let prefixes = self.super_block().file_system().xattr_prefixes();
        if name.is_empty() || name.len() > XATTR_NAME_MAX {
            return Err(Errno::ERANGE);
        }
        let writes = access.contains(Access::WRITE);
        if let Some(rest) = name.strip_prefix(b"user.") {
            if rest.is_empty() {
                return Err(Errno::EINVAL);
            }
            if !matches!(self.kind(), Kind::Regular | Kind::Directory) {
                return Err(if writes { Errno::EPERM } else { Errno::ENODATA });
            }
            let sticky = self.is_directory() && self.mode() & mode::STICKY != 0;
            if sticky && writes {
                change::require_owner(self, caller)?;
            }
            self.permit(access, caller)?;
        } else if name.starts_with(b"trusted.") && !caller.capable(Capabilities::SYS_ADMIN) {
            return Err(if writes { Errno::EPERM } else { Errno::ENODATA });
        } else if name.starts_with(b"security.") && writes {
            let needed = if name == b"security.capability" {
                Capabilities::SETFCAP
            } else {
                Capabilities::SYS_ADMIN
            };
            if !caller.capable(needed) {
                return Err(Errno::EPERM);
            }
        }
        if prefixes.iter().any(|prefix| name.starts_with(prefix)) {
            Ok(())
        } else {
            Err(Errno::EOPNOTSUPP)
        }
    }
}

impl Inode {
    fn has_xattr(self: &Arc<Self>, name: &[u8]) -> bool {
        let extra = self.real().extra_if_any();
        extra.is_some_and(|extra| extra.xattrs.lock().values.contains_key(&*self.below(name)))
    }

    /// What an attribute is called at the inode that keeps it.
    fn below<'a>(&self, name: &'a [u8]) -> Cow<'a, [u8]> {
        self.backing().map_or(Cow::Borrowed(name), |backing| backing.xattr_below(name))
    }
}

impl Path {
    /// The value of an extended attribute.
    ///
    /// # Errors
    /// - `ENODATA`: there is none of this name, or none the caller may see.
    /// - `EOPNOTSUPP`: the file system has none of this kind.
    /// - `EACCES`: the file may not be read.
    ///
    /// Source: getxattr(2)
    pub fn xattr(&self, name: &[u8], caller: &Caller<'_>) -> Result<Vec<u8>> {
        let inode = self.inode()?;
        inode.permit_xattr(name, Access::READ, caller)?;
        let extra = inode.real().extra_if_any().ok_or(Errno::ENODATA)?;
        let xattrs = extra.xattrs.lock();
        let name = inode.below(name);
        xattrs.values.get(&*name).map(|value| value.to_vec()).ok_or(Errno::ENODATA)
    }

    /// Sets an extended attribute.
    ///
    /// # Errors
    /// - `EEXIST`, `ENODATA`: it is there, or is not, against what was asked.
    /// - `E2BIG`, `ENOSPC`: too large a value, or too many.
    /// - `EPERM`, `EACCES`, `EROFS`: it may not be set.
    /// - `EOPNOTSUPP`: the file system has none of this kind.
    ///
    /// Source: setxattr(2)
    pub fn set_xattr(
        &self,
        name: &[u8],
        value: &[u8],
        how: SetXattr,
        caller: &Caller<'_>,
    ) -> Result<()> {
        let inode = self.inode()?;
        if self.mount().read_only() {
            return Err(Errno::EROFS);
        }
        if value.len() > XATTR_SIZE_MAX {
            return Err(Errno::E2BIG);
        }
        inode.permit_xattr(name, Access::WRITE, caller)?;
        inode.super_block().file_system().changing(inode, caller)?;
        let name = &*inode.below(name);
        {
            let mut xattrs = inode.real().extra().xattrs.lock();
            let old = xattrs.values.get(name).map(|value| name.len() + value.len());
            match how {
                SetXattr::Create | SetXattr::Never if old.is_some() => return Err(Errno::EEXIST),
                SetXattr::Replace | SetXattr::Never if old.is_none() => return Err(Errno::ENODATA),
                _ => {}
            }
            let total = xattrs.total - old.unwrap_or(0) + name.len() + value.len();
            if total > TOTAL_MAX {
                return Err(Errno::ENOSPC);
            }
            xattrs.values.insert(name.into(), value.into());
            xattrs.total = total;
        }
        let now = caller.now();
        inode.update_times(|times| times.changed = now);
        inode.super_block().file_system().attributes_changed(inode);
        notify::report(self, Event::Attributes);
        Ok(())
    }

    /// The names of all extended attributes the caller may see, each with a NUL after it.
    ///
    /// Source: listxattr(2)
    pub fn xattr_names(&self, caller: &Caller<'_>) -> Result<Vec<u8>> {
        let mut names = Vec::new();
        let inode = self.inode()?;
        if let Some(extra) = inode.real().extra_if_any() {
            for name in extra.xattrs.lock().values.keys() {
                let shown = match inode.backing() {
                    Some(backing) => backing.xattr_shown(name),
                    None => Some(Cow::Borrowed(&**name)),
                };
                let Some(name) = shown else { continue };
                if name.starts_with(b"trusted.") && !caller.capable(Capabilities::SYS_ADMIN) {
                    continue;
                }
                names.extend_from_slice(&name);
                names.push(0);
            }
        }
        Ok(names)
    }

    /// Removes an extended attribute.
    ///
    /// # Errors
    /// - `ENODATA`: there is none of this name.
    /// - those of [`set_xattr`](Self::set_xattr).
    ///
    /// Source: removexattr(2)
    pub fn remove_xattr(&self, name: &[u8], caller: &Caller<'_>) -> Result<()> {
        let inode = self.inode()?;
        if self.mount().read_only() {
            return Err(Errno::EROFS);
        }
        inode.permit_xattr(name, Access::WRITE, caller)?;
        // Looked for first: a file is not copied up for nothing.
        if !inode.has_xattr(name) {
            return Err(Errno::ENODATA);
        }
        inode.super_block().file_system().changing(inode, caller)?;
        let name = &*inode.below(name);
        {
            let mut xattrs = inode.real().extra().xattrs.lock();
            let value = xattrs.values.remove(name).ok_or(Errno::ENODATA)?;
            xattrs.total -= name.len() + value.len();
        }
        let now = caller.now();
        inode.update_times(|times| times.changed = now);
        inode.super_block().file_system().attributes_changed(inode);
        notify::report(self, Event::Attributes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::SetXattr;
    use crate::{
        Errno, Make,
        testing::{World, root_caller, user_caller},
    };

    #[test]
    fn attributes_are_set_listed_and_removed() {
        let world = World::new();
        world.write("/f", b"");
        let (root, user) = (root_caller(), user_caller());
        let path = world.lookup("/f").unwrap();
        let set = |name: &[u8], how| path.set_xattr(name, b"v", how, &root);
        assert_eq!(set(b"user.a", SetXattr::Replace), Err(Errno::ENODATA));
        assert_eq!(set(b"user.a", SetXattr::Create), Ok(()));
        assert_eq!(set(b"user.a", SetXattr::Create), Err(Errno::EEXIST));
        assert_eq!(set(b"user.", SetXattr::Any), Err(Errno::EINVAL));
        assert_eq!(set(b"bad", SetXattr::Any), Err(Errno::EOPNOTSUPP));
        assert_eq!(set(b"", SetXattr::Any), Err(Errno::ERANGE));
        assert_eq!(set(b"trusted.t", SetXattr::Any), Ok(()));
        assert_eq!(path.xattr(b"user.a", &root).unwrap(), b"v");
        assert_eq!(path.xattr(b"user.zz", &root), Err(Errno::ENODATA));
        assert_eq!(path.xattr_names(&root).unwrap(), b"trusted.t\0user.a\0");
        assert_eq!(path.xattr_names(&user).unwrap(), b"user.a\0");
        assert_eq!(path.set_xattr(b"user.b", b"", SetXattr::Any, &user), Err(Errno::EACCES));
        let large = vec![0; 65537];
        assert_eq!(path.set_xattr(b"user.b", &large, SetXattr::Any, &root), Err(Errno::E2BIG));
        path.remove_xattr(b"user.a", &root).unwrap();
        assert_eq!(path.remove_xattr(b"user.a", &root), Err(Errno::ENODATA));
        let walk = world.walk(&root);
        let fifo = walk.make(&world.root, b"/fifo", Make::Fifo, 0o600).unwrap();
        assert_eq!(fifo.set_xattr(b"user.a", b"", SetXattr::Any, &root), Err(Errno::EPERM));
        assert_eq!(fifo.xattr(b"user.a", &root), Err(Errno::ENODATA));
    }
}
