//! A mounted file system instance, whatever the number of its mounts.

use crate::{
    Caller, DeviceNumber, Inode, Metadata, OpenFlags, Result, SetAttributes, Statfs,
    vfs::dentry::DentryCache,
};
use alloc::{boxed::Box, sync::Arc};
use core::{
    fmt,
    sync::atomic::{
        AtomicBool, AtomicU32, AtomicUsize,
        Ordering::{AcqRel, Relaxed},
    },
};
use spin::{Mutex, MutexGuard};

/// What a kind of file system does as a whole.
pub trait FileSystem: Send + Sync {
    /// Its name in `/proc/filesystems` and `/proc/mounts`.
    fn name(&self) -> &'static str;

    /// Sizes and counts.
    fn statfs(&self) -> Statfs;

    /// Writes its own mount options, each with a comma before it, as in `/proc/mounts`.
    fn options(&self, _out: &mut dyn fmt::Write) -> fmt::Result {
        Ok(())
    }

    /// Takes new mount options; those it does not know are `EINVAL`.
    fn remount(&self, _options: &[u8]) -> Result<()> {
        Ok(())
    }

    /// Writes everything back.
    fn sync(&self, _caller: &Caller<'_>) -> Result<()> {
        Ok(())
    }

    /// Writes one file back.
    fn sync_inode(&self, _inode: &Inode, _caller: &Caller<'_>) -> Result<()> {
        Ok(())
    }

    /// Whether attributes may be set at all; permission was checked before.
    fn may_set_attributes(&self, _inode: &Inode, _set: &SetAttributes) -> Result<()> {
        Ok(())
    }

    /// A regular file is about to be opened, permission checked.
    fn opening(&self, _inode: &Arc<Inode>, _flags: OpenFlags, _caller: &Caller<'_>) -> Result<()> {
        Ok(())
    }

    /// Contents (beyond what an open for writing announced), attributes or extended attributes of
    /// an inode are about to change, permission checked.
    fn changing(&self, _inode: &Arc<Inode>, _caller: &Caller<'_>) -> Result<()> {
        Ok(())
    }

    /// The attributes of an inode changed in memory.
    fn attributes_changed(&self, _inode: &Inode) {}

    /// The last reference to an inode goes away.
    fn released(&self, _inode: &Inode) {}

    /// Fills in what only the file system knows.
    fn complete(&self, _inode: &Inode, _metadata: &mut Metadata) {}

    /// The file system itself, by which its parts know their own.
    fn as_any(&self) -> Option<&dyn core::any::Any> {
        None
    }

    /// Which extended attributes are kept in memory for its inodes, by the start of their names.
    fn xattr_prefixes(&self) -> &'static [&'static [u8]] {
        &[]
    }
}

/// A mounted file system instance: its device number, dentry cache and change lock.
pub struct SuperBlock {
    file_system: Box<dyn FileSystem>,
    device: DeviceNumber,
    read_only: AtomicBool,
    pub(super) mounts: AtomicUsize,
    /// Files open for writing on it.
    pub(super) writers: AtomicU32,
    pub(super) dentries: DentryCache,
    /// Serialises changes of the tree and lookups that miss the cache.
    pub(super) change: Mutex<()>,
}

impl SuperBlock {
    /// Makes an instance without a device; it gets an anonymous device number.
    pub fn new(file_system: Box<dyn FileSystem>) -> Arc<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let device = DeviceNumber::new(0, NEXT.fetch_add(1, Relaxed));
        Self::on_device(file_system, device)
    }

    /// Makes an instance that lies on a block device.
    pub fn on_device(file_system: Box<dyn FileSystem>, device: DeviceNumber) -> Arc<Self> {
        Arc::new(Self {
            file_system,
            device,
            read_only: AtomicBool::new(false),
            mounts: AtomicUsize::new(0),
            writers: AtomicU32::new(0),
            dentries: DentryCache::new(),
            change: Mutex::new(()),
        })
    }

    /// What kind of file system it is.
    pub fn file_system(&self) -> &dyn FileSystem {
        &*self.file_system
    }

    /// The device number.
    pub const fn device(&self) -> DeviceNumber {
        self.device
    }

    /// Whether nothing on it may change.
    pub fn read_only(&self) -> bool {
        self.read_only.load(Relaxed)
    }

    /// Allows or forbids changes.
    pub fn set_read_only(&self, read_only: bool) {
        self.read_only.store(read_only, Relaxed);
    }

    /// How many of its dentries only the cache holds.
    pub fn unused_dentries(&self) -> usize {
        self.dentries.unused()
    }

    /// Keeps everybody else from changing the tree.
    pub(crate) fn lock_changes(&self) -> MutexGuard<'_, ()> {
        self.change.lock()
    }

    pub(super) fn mounted(&self) {
        self.mounts.fetch_add(1, Relaxed);
    }

    /// The last mount's end empties the cache, whose dentries would keep the instance alive.
    pub(super) fn unmounted(&self) {
        if self.mounts.fetch_sub(1, AcqRel) == 1 {
            self.dentries.clear();
        }
    }
}

impl fmt::Debug for SuperBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SuperBlock({} {:?})", self.file_system.name(), self.device)
    }
}
