//! Inodes: what a name stands for, and the small traits by which a file system takes part.
//!
//! An [`Inode`] holds the attributes in memory, so that stat and checks of permission call no file
//! system. What differs between file systems is behind its [`Role`].

use crate::{
    Caller, DeviceNumber, Errno, Kind, Metadata, PageCache, Path, Result, Sink, Source, SuperBlock,
    Times, Timespec, locks::FileLocks, notify::Watches, pipe::Pipe, vfs::attr::mode, xattr::Xattrs,
};
use abi::Events;
use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::{
    any::Any,
    fmt,
    sync::atomic::{
        AtomicBool, AtomicI32, AtomicU32,
        Ordering::{Acquire, Relaxed, Release},
    },
};
use executor::wait::WaitQueue;
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
    extra: Once<Box<Extra>>,
}

/// What few inodes ever need.
#[derive(Default)]
pub(crate) struct Extra {
    pub(crate) locks: FileLocks,
    pub(crate) watches: Watches,
    pub(crate) xattrs: Mutex<Xattrs>,
    attachment: Mutex<Option<Arc<dyn Any + Send + Sync>>>,
}

/// What a file can do, by kind.
pub enum Role {
    /// A directory.
    Directory(Box<dyn Directory>),
    /// A regular file whose bytes are in the page cache.
    Regular(PageCache),
    /// A regular file made up as it is read (`/proc`), or with operations of its own.
    Generated(Box<dyn FileNode>),
    /// A symbolic link with a fixed text.
    Symlink(Box<[u8]>),
    /// A symbolic link whose text is made up, or which jumps to a file without any text.
    MagicLink(Box<dyn MagicLink>),
    /// A FIFO; the pipe is made when it is first opened.
    Fifo(Once<Arc<Pipe>>),
    /// A character or block device.
    Device(DeviceNumber),
    /// A socket, or another object of the kernel that has no bytes of its own.
    Object,
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

/// What is to be made in a directory.
#[derive(Clone, Copy, Debug)]
pub enum Make<'a> {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link with this text.
    Symlink(&'a [u8]),
    /// A FIFO.
    Fifo,
    /// The name of a socket.
    Socket,
    /// A character device.
    Character(DeviceNumber),
    /// A block device.
    Block(DeviceNumber),
}

impl Make<'_> {
    /// The type of what is made.
    pub const fn kind(self) -> Kind {
        match self {
            Self::Regular => Kind::Regular,
            Self::Directory => Kind::Directory,
            Self::Symlink(_) => Kind::Symlink,
            Self::Fifo => Kind::Fifo,
            Self::Socket => Kind::Socket,
            Self::Character(_) => Kind::Character,
            Self::Block(_) => Kind::Block,
        }
    }
}

/// Attributes of what is to be made; umask and set-group-id directories are already taken in.
#[derive(Clone, Copy, Debug)]
pub struct MakeAttributes {
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// The time.
    pub now: Timespec,
}

/// An entry of a directory.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Its inode number.
    pub number: u64,
    /// Its type.
    pub kind: Kind,
    /// Where reading goes on after it (`d_off`).
    pub next: u64,
}

/// Takes one entry; `false` when it has no room for it, which ends the listing before that entry.
pub type Emit<'a> = dyn FnMut(Entry<'_>) -> bool + 'a;

/// One end of a rename.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// The directory.
    pub directory: &'a Arc<Inode>,
    /// The name in it.
    pub name: &'a [u8],
    /// What the name stands for now.
    pub inode: Option<&'a Arc<Inode>>,
}

/// A directory of a file system.
///
/// Checks of permission, of the kinds of what is replaced, of loops and of mount points are done
/// above. Changes of one file system are serialised above, and lookups that miss the cache with
/// them; `read_dir` is not. Any method may answer [`Errno::MISS`], having changed nothing.
///
/// The implementation keeps link counts and the times of directory and child.
pub trait Directory: Send + Sync {
    /// Whether what `lookup` finds (and does not find) may be kept in the dentry cache.
    fn cacheable(&self) -> bool {
        true
    }

    /// Finds `name`; `ENOENT` if there is none.
    fn lookup(&self, dir: &Arc<Inode>, name: &[u8], caller: &Caller<'_>) -> Result<Arc<Inode>>;

    /// Lists the entries from `cookie` on, without `.` and `..`; cookies 0, 1 and 2 all mean the
    /// start, those in [`Entry::next`] are above 2.
    fn read_dir(
        &self,
        dir: &Inode,
        cookie: u64,
        caller: &Caller<'_>,
        emit: &mut Emit<'_>,
    ) -> Result<()>;

    /// Makes a file; the name is free.
    fn make(
        &self,
        _dir: &Arc<Inode>,
        _name: &[u8],
        _what: Make<'_>,
        _attributes: MakeAttributes,
        _caller: &Caller<'_>,
    ) -> Result<Arc<Inode>> {
        Err(Errno::EPERM)
    }

    /// Makes a regular file without a name (`O_TMPFILE`), with a link count of 0.
    fn make_nameless(
        &self,
        _dir: &Arc<Inode>,
        _attributes: MakeAttributes,
        _caller: &Caller<'_>,
    ) -> Result<Arc<Inode>> {
        Err(Errno::EOPNOTSUPP)
    }

    /// Gives `target`, which is of the same file system, another name.
    fn link(
        &self,
        _dir: &Arc<Inode>,
        _name: &[u8],
        _target: &Arc<Inode>,
        _caller: &Caller<'_>,
    ) -> Result<()> {
        Err(Errno::EPERM)
    }

    /// Removes a name of a file that is no directory.
    fn unlink(
        &self,
        _dir: &Arc<Inode>,
        _name: &[u8],
        _target: &Arc<Inode>,
        _caller: &Caller<'_>,
    ) -> Result<()> {
        Err(Errno::EPERM)
    }

    /// Removes a directory; `ENOTEMPTY` if it has entries.
    fn remove_dir(
        &self,
        _dir: &Arc<Inode>,
        _name: &[u8],
        _target: &Arc<Inode>,
        _caller: &Caller<'_>,
    ) -> Result<()> {
        Err(Errno::EPERM)
    }

    /// `st_size`.
    fn size(&self) -> u64 {
        0
    }

    /// Gives up all entries of a directory that only this one references, so that a deep tree can
    /// be dropped without recursion.
    fn drain(&self) -> Vec<Arc<Inode>> {
        Vec::new()
    }

    /// The directory itself, by which a file system knows its own.
    fn as_any(&self) -> Option<&dyn Any> {
        None
    }

    /// Moves `from` to `to` and removes what was there, or swaps the two. `from.inode` is there.
    /// Called on the directory of `from`.
    fn rename(
        &self,
        _from: Place<'_>,
        _to: Place<'_>,
        _swap: Swap,
        _caller: &Caller<'_>,
    ) -> Result<()> {
        Err(Errno::EPERM)
    }
}

/// Whether a rename replaces what is there or swaps the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swap {
    /// What is there goes away.
    Replace,
    /// `RENAME_EXCHANGE`.
    Exchange,
}

/// A regular file that makes its bytes up.
pub trait FileNode: Send + Sync {
    /// Opens it; the state of this open file is in what is returned.
    fn open(&self, inode: &Arc<Inode>, caller: &Caller<'_>) -> Result<Box<dyn OpenNode>>;

    /// `st_size`.
    fn size(&self) -> u64 {
        0
    }
}

/// An open file with operations of its own. All are try-first: `EAGAIN` when they have to wait.
pub trait OpenNode: Send + Sync {
    /// Reads at `offset`; returns how many bytes.
    fn read(&self, _offset: u64, _to: &mut Sink<'_>, _caller: &Caller<'_>) -> Result<usize> {
        Err(Errno::EINVAL)
    }

    /// Writes at `offset`; returns how many bytes.
    fn write(&self, _offset: u64, _from: &mut Source<'_>, _caller: &Caller<'_>) -> Result<usize> {
        Err(Errno::EINVAL)
    }

    /// Which events are there now.
    fn poll(&self) -> Events {
        Events::IN | Events::OUT
    }

    /// Where to wait for events, if they change.
    fn wait_queue(&self) -> Option<&WaitQueue> {
        None
    }

    /// Whether lseek and pread work.
    fn seekable(&self) -> bool {
        true
    }

    /// The object itself, for operations only the crate above knows.
    fn as_any(&self) -> Option<&dyn Any> {
        None
    }
}

/// A symbolic link that is made up as it is read.
pub trait MagicLink: Send + Sync {
    /// What readlink(2) answers.
    fn text(&self, caller: &Caller<'_>) -> Result<Vec<u8>>;

    /// Where following it leads without going by its text; `None` goes by the text.
    fn jump(&self, _caller: &Caller<'_>) -> Option<Result<Path>> {
        None
    }
}

impl Inode {
    /// Makes an inode.
    pub fn new(super_block: Arc<SuperBlock>, new: NewInode, role: Role) -> Arc<Self> {
        Arc::new(Self {
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
            extra: Once::new(),
        })
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
    pub const fn pages(&self) -> Option<&PageCache> {
        match &self.role {
            Role::Regular(pages) => Some(pages),
            _ => None,
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
