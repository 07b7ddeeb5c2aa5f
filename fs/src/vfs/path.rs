//! A place in the tree: a dentry seen through a mount.

use crate::{Dentry, Inode, Metadata, Mount, Result};
use alloc::{sync::Arc, vec::Vec};
use core::fmt;

/// A dentry seen through a mount.
#[derive(Clone)]
pub struct Path {
    mount: Arc<Mount>,
    dentry: Arc<Dentry>,
}

impl Path {
    /// Makes a path.
    pub const fn new(mount: Arc<Mount>, dentry: Arc<Dentry>) -> Self {
        Self { mount, dentry }
    }

    /// The root of a mount.
    pub fn root_of(mount: &Arc<Mount>) -> Self {
        Self::new(Arc::clone(mount), Arc::clone(mount.root()))
    }

    /// The mount.
    pub const fn mount(&self) -> &Arc<Mount> {
        &self.mount
    }

    /// The dentry.
    pub const fn dentry(&self) -> &Arc<Dentry> {
        &self.dentry
    }

    /// The file.
    ///
    /// # Errors
    /// - `ENOENT`: the dentry is negative, which no path is that a lookup returned.
    pub fn inode(&self) -> Result<&Arc<Inode>> {
        self.dentry.inode()
    }

    /// Whether both are the same place.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.dentry, &other.dentry) && Arc::ptr_eq(&self.mount, &other.mount)
    }

    /// Whether it is the root of its mount.
    pub fn is_mount_root(&self) -> bool {
        Arc::ptr_eq(&self.dentry, self.mount.root())
    }

    /// All that statx(2) tells, the mount included.
    pub fn metadata(&self) -> Result<Metadata> {
        let mut metadata = self.inode()?.metadata();
        metadata.mount_id = self.mount.id();
        metadata.mount_root = self.is_mount_root();
        Ok(metadata)
    }

    /// What lies on top of it: the root of the last mount here, or itself.
    pub(super) fn covered(mut self) -> Self {
        while self.dentry.is_mount_point() {
            let Some(mount) = self.mount.child_at(&self.dentry) else { break };
            self = Self::root_of(&mount);
        }
        self
    }

    /// The directory above, over mounts; `None` at the top of the tree.
    fn above(&self) -> Option<Self> {
        let mut at = self.clone();
        while at.is_mount_root() {
            at = at.mount.parent()?;
        }
        let parent = at.dentry.parent()?;
        Some(Self::new(at.mount, parent))
    }

    /// `..`, which stays at `root` and at the top.
    pub(super) fn parent(&self, root: &Self) -> Self {
        if self.is(root) {
            return self.clone();
        }
        let mut at = self.clone();
        while at.is_mount_root() {
            let Some(point) = at.mount.parent() else { return self.clone() };
            if point.is(root) {
                return self.clone();
            }
            at = point;
        }
        match at.dentry.parent() {
            Some(parent) => Self::new(at.mount, parent).covered(),
            None => self.clone(),
        }
    }

    /// Whether it is `ancestor` or below it, over mounts.
    pub fn is_inside(&self, ancestor: &Self) -> bool {
        let mut at = self.clone();
        loop {
            if at.is(ancestor) {
                return true;
            }
            // The mount point itself may be the ancestor.
            if at.is_mount_root() {
                let Some(point) = at.mount.parent() else { return false };
                at = point;
            } else {
                let Some(above) = at.above() else { return false };
                at = above;
            }
        }
    }

    /// Its name from `root`, as `/proc/PID/cwd` shows it: with ` (deleted)` when the name is gone.
    pub fn display(&self, root: &Self) -> Vec<u8> {
        let (mut name, _) = self.spell(root);
        if self.dentry.is_unlinked() {
            name.extend_from_slice(b" (deleted)");
        }
        name
    }

    /// Its name from `root` and whether it is reachable from there, as getcwd(2) wants to know.
    pub fn spell(&self, root: &Self) -> (Vec<u8>, bool) {
        let mut names = Vec::new();
        let mut at = self.clone();
        let mut reachable = true;
        while !at.is(root) {
            if at.is_mount_root() {
                let Some(point) = at.mount.parent() else {
                    reachable = false;
                    break;
                };
                at = point;
                continue;
            }
            let name = at.dentry.name();
            let Some(parent) = at.dentry.parent() else {
                // A file in no directory is called by its name alone.
                reachable = false;
                if names.is_empty() && !name.is_empty() {
                    return (name, false);
                }
                break;
            };
            names.push(name);
            at = Self::new(at.mount, parent);
        }
        let mut spelled = Vec::new();
        for name in names.iter().rev() {
            spelled.push(b'/');
            spelled.extend_from_slice(name);
        }
        if spelled.is_empty() {
            spelled.push(b'/');
        }
        (spelled, reachable)
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Path({:?} {:?})", self.mount, self.dentry)
    }
}
