//! Inodes: what a name stands for.
//!
//! An [`Inode`] holds the attributes in memory, so that checks of permission call no file system.
//! What differs between file systems is behind its [`Role`].

use crate::{
    Backing, DeviceNumber, Directory, Errno, Kind, Metadata, PageCache, Result, Role, SuperBlock,
    Times, count::Inodes, locks::FileLocks, notify::Watches, pipe::Pipe, vfs::attr::mode,
    xattr::Xattrs,
};
use alloc::{boxed::Box, sync::Arc};
use core::{
    any::Any,
    fmt,
    sync::atomic::{
        AtomicBool, AtomicI32, AtomicU32,
        Ordering::{Acquire, Relaxed, Release},
    },
};
use framework::count::Counted;
use spin::{Mutex, Once};

/// A file, whatever its names.
pub struct Inode {
    number: u64,
    kind: Kind,
    mode: AtomicU32,
    uid: AtomicU32,
    gid: AtomicU32,
    links: AtomicU32,
    /// Writers if positive, running programs (which deny writing) if negative.
    writers: AtomicI32,
    /// Without a name, but may get one (`O_TMPFILE`).
    linkable: AtomicBool,
    times: Mutex<Times>,
    super_block: Arc<SuperBlock>,
    role: Role,
    backing: Option<Box<dyn Backing>>,
    extra: Once<Box<Extra>>,
    _counted: Counted<Inodes>,
}

/// What few inodes ever need.
#[derive(Default)]
pub(crate) struct Extra {
    pub(crate) locks: FileLocks,
    pub(crate) watches: Watches,
    pub(crate) xattrs: Mutex<Xattrs>,
    attachment: Mutex<Option<Arc<dyn Any + Send + Sync>>>,
}

/// What a new inode starts with.
#[derive(Clone, Copy, Debug)]
pub struct NewInode {
    /// Inode number, unique in the file system.
    pub number: u64,
    /// Type.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Hard links.
    pub links: u32,
    /// Times.
    pub times: Times,
}

impl Inode {
    /// Makes an inode.
    pub fn new(super_block: Arc<SuperBlock>, new: NewInode, role: Role) -> Arc<Self> {
        Arc::new(Self::build(super_block, new, role, None))
    }

    /// Makes an inode that is a view of something else.
    pub fn with_backing(
        super_block: Arc<SuperBlock>,
        new: NewInode,
        role: Role,
        backing: Box<dyn Backing>,
    ) -> Arc<Self> {
        Arc::new(Self::build(super_block, new, role, Some(backing)))
    }

    fn build(
        super_block: Arc<SuperBlock>,
        new: NewInode,
        role: Role,
        backing: Option<Box<dyn Backing>>,
    ) -> Self {
        Self {
            number: new.number,
            kind: new.kind,
            mode: AtomicU32::new(new.mode & mode::ALL),
            uid: AtomicU32::new(new.uid),
            gid: AtomicU32::new(new.gid),
            links: AtomicU32::new(new.links),
            writers: AtomicI32::new(0),
            linkable: AtomicBool::new(false),
            times: Mutex::new(new.times),
            super_block,
            role,
            backing,
            extra: Once::new(),
            _counted: Counted::new(),
        }
    }

    /// Its number, unique in its file system.
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// Its type.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Its file system.
    pub const fn super_block(&self) -> &Arc<SuperBlock> {
        &self.super_block
    }

    /// What it can do.
    pub const fn role(&self) -> &Role {
        &self.role
    }

    /// The page cache, if it is a regular file with one.
    pub fn pages(&self) -> Option<&PageCache> {
        match &self.role {
            Role::Regular(pages) => Some(pages),
            Role::Stacked => self.backing()?.real()?.pages(),
            _ => None,
        }
    }

    /// What is behind it, if it is a view of something else.
    pub fn backing(&self) -> Option<&dyn Backing> {
        self.backing.as_deref()
    }

    /// The inode whose bytes it shows by now: its own, unless it is a view of another.
    pub fn real(self: &Arc<Self>) -> &Arc<Self> {
        match self.backing.as_deref().and_then(Backing::real) {
            Some(below) => below.real(),
            None => self,
        }
    }

    /// The directory's operations.
    ///
    /// # Errors
    /// - `ENOTDIR`: it is none.
    pub fn directory(&self) -> Result<&dyn Directory> {
        match &self.role {
            Role::Directory(directory) => Ok(&**directory),
            _ => Err(Errno::ENOTDIR),
        }
    }

    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.kind == Kind::Directory
    }

    /// Permission bits.
    pub fn mode(&self) -> u32 {
        self.mode.load(Relaxed)
    }

    /// Owner.
    pub fn uid(&self) -> u32 {
        self.uid.load(Relaxed)
    }

    /// Group.
    pub fn gid(&self) -> u32 {
        self.gid.load(Relaxed)
    }

    /// Hard links.
    pub fn links(&self) -> u32 {
        self.links.load(Relaxed)
    }

    /// Sets the number of hard links; for file systems, under their change lock.
    pub fn set_links(&self, links: u32) {
        self.links.store(links, Relaxed);
    }

    /// Sets the permission bits, without any check.
    pub fn set_mode(&self, mode: u32) {
        self.mode.store(mode & mode::ALL, Relaxed);
    }

    /// Sets owner and group, without any check.
    pub fn set_owner(&self, uid: u32, gid: u32) {
        self.uid.store(uid, Relaxed);
        self.gid.store(gid, Relaxed);
    }

    /// The times.
    pub fn times(&self) -> Times {
        *self.times.lock()
    }

    /// Changes the times.
    pub fn update_times(&self, change: impl FnOnce(&mut Times)) {
        change(&mut self.times.lock());
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        match &self.role {
            Role::Regular(pages) => pages.size(),
            Role::Stacked => self.pages().map_or(0, PageCache::size),
            Role::Generated(node) => node.size(),
            Role::Symlink(text) => text.len() as u64,
            Role::Directory(directory) => directory.size(),
            _ => 0,
        }
    }

    /// All that stat(2) tells.
    pub fn metadata(&self) -> Metadata {
        let mut metadata = Metadata {
            kind: self.kind,
            mode: self.mode(),
            links: self.links(),
            uid: self.uid(),
            gid: self.gid(),
            number: self.number,
            size: self.size(),
            blocks: 0,
            block_size: 4096,
            device: self.super_block.device(),
            special: DeviceNumber::default(),
            times: self.times(),
            mount_id: 0,
            mount_root: false,
        };
        match &self.role {
            Role::Regular(pages) => metadata.blocks = pages.blocks(),
            Role::Device(number) => metadata.special = *number,
            _ => {}
        }
        self.super_block.file_system().complete(self, &mut metadata);
        metadata
    }

    /// The FIFO's pipe, made now if this is the first time.
    pub fn fifo(&self) -> Option<&Arc<Pipe>> {
        match &self.role {
            Role::Fifo(pipe) => Some(pipe.call_once(Pipe::new)),
            _ => None,
        }
    }

    pub(crate) fn extra(&self) -> &Extra {
        self.extra.call_once(Box::default)
    }

    pub(crate) fn extra_if_any(&self) -> Option<&Extra> {
        self.extra.get().map(|extra| &**extra)
    }

    /// The locks of flock(2) and fcntl(2) on it.
    pub fn locks(&self) -> &FileLocks {
        &self.extra().locks
    }

    /// The same, if there have ever been any.
    pub fn locks_if_any(&self) -> Option<&FileLocks> {
        self.extra_if_any().map(|extra| &extra.locks)
    }

    /// Ties an object of the crate above to the inode (the socket bound to its name).
    pub fn attach(&self, object: Option<Arc<dyn Any + Send + Sync>>) {
        *self.extra().attachment.lock() = object;
    }

    /// The object tied to it.
    pub fn attachment(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        self.extra_if_any()?.attachment.lock().clone()
    }

    /// Counts one more open file that may write.
    ///
    /// # Errors
    /// - `ETXTBSY`: a running program denies it.
    pub fn get_write_access(&self) -> Result<()> {
        let more = |count: i32| (count >= 0).then_some(count + 1);
        self.writers.fetch_update(Acquire, Relaxed, more).map(drop).map_err(|_| Errno::ETXTBSY)
    }

    /// Takes back [`get_write_access`](Self::get_write_access).
    pub fn put_write_access(&self) {
        self.writers.fetch_sub(1, Release);
    }

    /// Denies writing while a program runs from it.
    ///
    /// # Errors
    /// - `ETXTBSY`: it is open for writing.
    pub fn deny_write_access(&self) -> Result<()> {
        let more = |count: i32| (count <= 0).then_some(count - 1);
        self.writers.fetch_update(Acquire, Relaxed, more).map(drop).map_err(|_| Errno::ETXTBSY)
    }

    /// Takes back [`deny_write_access`](Self::deny_write_access).
    pub fn allow_write_access(&self) {
        self.writers.fetch_add(1, Release);
    }

    /// Whether link(2) may give it a name although it has none.
    pub fn is_linkable(&self) -> bool {
        self.linkable.load(Relaxed)
    }

    pub(crate) fn set_linkable(&self, linkable: bool) {
        self.linkable.store(linkable, Relaxed);
    }

    /// How many open files may write.
    pub fn writers(&self) -> u32 {
        u32::try_from(self.writers.load(Relaxed)).unwrap_or(0)
    }
}

impl Drop for Inode {
    fn drop(&mut self) {
        let super_block = Arc::clone(&self.super_block);
        super_block.file_system().released(self);
    }
}

impl fmt::Debug for Inode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inode")
            .field("number", &self.number)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}
