//! Mounts: where file systems are joined into one tree.
//!
//! A mount knows its children, and a child its parent (weakly), so a walk needs no table: a path
//! is a mount and a dentry. A [`MountTable`](crate::MountTable) is a tree of mounts with a root.

use crate::{Dentry, Path, Statfs, SuperBlock, vfs::mount_flags::MountFlags};
use alloc::{
    boxed::Box,
    sync::{Arc, Weak},
    vec::Vec,
};
use core::{
    fmt,
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
};
use spin::Mutex;

/// A file system instance, or a part of one, at a place in the tree.
pub struct Mount {
    id: u64,
    super_block: Arc<SuperBlock>,
    root: Arc<Dentry>,
    source: Box<[u8]>,
    flags: AtomicU32,
    /// Files open for writing through it.
    pub(super) writers: AtomicU32,
    pub(super) point: Mutex<Option<Point>>,
    pub(super) children: Mutex<Vec<Child>>,
}

/// Where a mount lies.
#[derive(Clone)]
pub(super) struct Point {
    pub(super) mount: Weak<Mount>,
    pub(super) dentry: Arc<Dentry>,
}

/// What lies on a mount, and on which of its dentries.
pub(super) struct Child {
    pub(super) dentry: Arc<Dentry>,
    pub(super) mount: Arc<Mount>,
}

impl Mount {
    /// Makes a mount of the tree at `root` that is nowhere yet. `source` is the first word of its
    /// line in `/proc/mounts`.
    pub fn new(root: Arc<Dentry>, source: &[u8], flags: MountFlags) -> Option<Arc<Self>> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let super_block = Arc::clone(root.inode().ok()?.super_block());
        super_block.mounted();
        Some(Arc::new(Self {
            id: NEXT.fetch_add(1, Relaxed),
            super_block,
            root,
            source: source.into(),
            flags: AtomicU32::new(flags.bits()),
            writers: AtomicU32::new(0),
            point: Mutex::new(None),
            children: Mutex::new(Vec::new()),
        }))
    }

    /// Its number in `/proc/PID/mountinfo`.
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// The file system on it.
    pub const fn super_block(&self) -> &Arc<SuperBlock> {
        &self.super_block
    }

    /// The dentry it shows as its root.
    pub const fn root(&self) -> &Arc<Dentry> {
        &self.root
    }

    /// What was mounted, in the words of who mounted it.
    pub const fn source(&self) -> &[u8] {
        &self.source
    }

    /// Its flags.
    pub fn flags(&self) -> MountFlags {
        MountFlags::from_bits_truncate(self.flags.load(Relaxed))
    }

    pub(super) fn set_flags(&self, flags: MountFlags) {
        self.flags.store(flags.bits(), Relaxed);
    }

    /// Whether nothing may be changed through it.
    pub fn read_only(&self) -> bool {
        self.flags().contains(MountFlags::READ_ONLY) || self.super_block.read_only()
    }

    /// Where it lies; `None` for the root of a tree and for what was unmounted.
    pub fn parent(&self) -> Option<Path> {
        let point = self.point.lock();
        let point = point.as_ref()?;
        Some(Path::new(point.mount.upgrade()?, Arc::clone(&point.dentry)))
    }

    /// The mount that lies on `dentry` of this mount.
    pub(super) fn child_at(&self, dentry: &Arc<Dentry>) -> Option<Arc<Self>> {
        let children = self.children.lock();
        let child = children.iter().find(|child| Arc::ptr_eq(&child.dentry, dentry))?;
        Some(Arc::clone(&child.mount))
    }

    /// What statfs(2) tells, with the flags of this mount.
    pub fn statfs(&self) -> Statfs {
        let mut statfs = self.super_block.file_system().statfs();
        let mut flags = self.flags();
        flags.set(MountFlags::READ_ONLY, self.read_only());
        statfs.flags = flags.to_statvfs();
        statfs.id = self.super_block.device().to_raw();
        statfs
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        self.super_block.unmounted();
    }
}

impl fmt::Debug for Mount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mount({} {:?})", self.id, self.super_block)
    }
}
