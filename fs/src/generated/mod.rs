//! File systems whose contents are made up as they are read: the frame of `/proc` and `/sys`.
//!
//! The crate above says what there is by three small traits: a [`Listing`] for directories that
//! change by themselves (`/proc`, `/proc/PID/fd`), a [`Content`] for files that are written as a
//! whole when they are opened, and [`FileNode`](crate::FileNode) and
//! [`MagicLink`](crate::MagicLink) for what has ways of its own. Everything else is a fixed
//! [`Tree`].
//!
//! ```text
//!   Generated::new(.., |root| { root.file(..); root.directory(..) })
//!        lookup ──▶ fixed entries, then Listing::find ──▶ Node ──▶ Inode
//! ```
//! What a `Listing` finds is not kept in the dentry cache, so it is asked anew each time; fixed
//! entries are kept.

mod directory;
mod file;
#[cfg(test)]
mod tests;

pub use file::{Content, Written};

use crate::{
    Caller, Dentry, DeviceNumber, Errno, FileNode, FileSystem, Inode, Kind, MagicLink, Mount,
    MountFlags, NewInode, Result, Role, SetAttributes, Statfs, SuperBlock, Times, Timespec,
};
use alloc::{boxed::Box, collections::BTreeMap, sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use directory::GeneratedDirectory;
use spin::RwLock;

/// What an entry is, and who may use it.
#[derive(Clone)]
pub struct Node {
    /// Inode number; 0 lets the file system choose.
    pub number: u64,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// What it is.
    pub body: Body,
}

/// What an entry is.
#[derive(Clone)]
pub enum Body {
    /// A directory with fixed entries, and perhaps others.
    Directory(Arc<Tree>),
    /// A file that is written as a whole when it is opened.
    File(Arc<dyn Content>),
    /// A file with operations of its own.
    Special(Arc<dyn FileNode>),
    /// A symbolic link with a fixed text.
    Symlink(Arc<[u8]>),
    /// A symbolic link that is made up, or jumps.
    MagicLink(Arc<dyn MagicLink>),
    /// A device node (`/dev/pts/N`).
    Character(DeviceNumber),
}

impl Body {
    const fn kind(&self) -> Kind {
        match self {
            Self::Directory(_) => Kind::Directory,
            Self::File(_) | Self::Special(_) => Kind::Regular,
            Self::Symlink(_) | Self::MagicLink(_) => Kind::Symlink,
            Self::Character(_) => Kind::Character,
        }
    }
}

impl Node {
    /// A node of root with the mode that is usual for its kind.
    pub const fn new(body: Body) -> Self {
        let mode = match body {
            Body::Directory(_) => 0o555,
            Body::File(_) | Body::Special(_) => 0o444,
            Body::Symlink(_) | Body::MagicLink(_) => 0o777,
            Body::Character(_) => 0o600,
        };
        Self { number: 0, mode, uid: 0, gid: 0, body }
    }

    /// The same with another mode.
    #[must_use]
    pub const fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// The same with another owner.
    #[must_use]
    pub const fn owner(mut self, uid: u32, gid: u32) -> Self {
        (self.uid, self.gid) = (uid, gid);
        self
    }

    /// The same with an inode number.
    #[must_use]
    pub const fn number(mut self, number: u64) -> Self {
        self.number = number;
        self
    }
}

/// An entry of a directory that changes by itself.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its name.
    pub name: Vec<u8>,
    /// Its type.
    pub kind: Kind,
    /// Its inode number.
    pub number: u64,
    /// Orders the entries and is kept as long as the entry lives (a process id, a descriptor).
    pub position: u64,
}

/// The entries of a directory that change by themselves.
pub trait Listing: Send + Sync {
    /// Finds an entry; `ENOENT` if there is none.
    fn find(&self, name: &[u8], caller: &Caller<'_>) -> Result<Node>;

    /// The first entry whose position is at least `position`.
    fn next(&self, position: u64, caller: &Caller<'_>) -> Result<Option<Listed>>;
}

/// A directory: fixed entries, and perhaps some that change by themselves.
#[derive(Default)]
pub struct Tree {
    fixed: RwLock<BTreeMap<Box<[u8]>, Fixed>>,
    listing: Option<Box<dyn Listing>>,
}

struct Fixed {
    node: Node,
    position: u64,
}

impl Tree {
    /// An empty directory.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// A directory whose entries, but for those added, change by themselves.
    pub fn listing(listing: impl Listing + 'static) -> Arc<Self> {
        Arc::new(Self { fixed: RwLock::default(), listing: Some(Box::new(listing)) })
    }

    /// Adds an entry, or replaces it.
    pub fn add(&self, name: &[u8], mut node: Node) {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let position = NEXT.fetch_add(1, Relaxed);
        if node.number == 0 {
            node.number = FIXED_NUMBERS + position;
        }
        self.fixed.write().insert(name.into(), Fixed { node, position });
    }

    /// Removes an entry; whether it was there. A dentry of it may stay in the cache, so only trees
    /// behind a [`Listing`] should lose entries.
    pub fn remove(&self, name: &[u8]) -> bool {
        self.fixed.write().remove(name).is_some()
    }

    /// Adds a directory and returns it.
    pub fn directory(&self, name: &[u8]) -> Arc<Self> {
        let tree = Self::new();
        self.add(name, Node::new(Body::Directory(Arc::clone(&tree))));
        tree
    }

    /// Adds a file that is written as a whole when it is opened.
    pub fn file(&self, name: &[u8], content: impl Content + 'static) {
        self.add(name, Node::new(Body::File(Arc::new(content))));
    }

    /// Adds a symbolic link.
    pub fn symlink(&self, name: &[u8], text: &[u8]) {
        self.add(name, Node::new(Body::Symlink(text.into())));
    }
}

/// Inode numbers of fixed entries start here, as those of Linux do.
const FIXED_NUMBERS: u64 = 0xf000_0000;
/// Inode number of the root.
const ROOT_NUMBER: u64 = 1;

/// What a file system of this kind is called.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    /// Its name.
    pub name: &'static str,
    /// Its magic number.
    pub magic: u64,
    /// What mkdir and the like answer for a name that is not there.
    pub refusal: Errno,
}

impl Identity {
    /// `/proc`.
    pub const PROC: Self = Self { name: "proc", magic: 0x9fa0, refusal: Errno::ENOENT };
    /// `/sys`.
    pub const SYS: Self = Self { name: "sysfs", magic: 0x6265_6572, refusal: Errno::EPERM };
    /// `/dev/pts`.
    pub const DEVPTS: Self = Self { name: "devpts", magic: 0x1cd1, refusal: Errno::EPERM };
}

struct GeneratedFs {
    identity: Identity,
    clock: fn() -> Timespec,
    born: Timespec,
    next_number: AtomicU64,
}

impl GeneratedFs {
    fn inode(&self, super_block: &Arc<SuperBlock>, node: &Node, times: Times) -> Arc<Inode> {
        let kind = node.body.kind();
        let role = match &node.body {
            Body::Directory(tree) => {
                Role::Directory(Box::new(GeneratedDirectory { tree: Arc::clone(tree) }))
            }
            Body::File(content) => Role::Generated(file::node(Arc::clone(content))),
            Body::Special(node) => Role::Generated(Box::new(Shared(Arc::clone(node)))),
            Body::Symlink(text) => Role::Symlink((**text).into()),
            Body::MagicLink(link) => Role::MagicLink(Box::new(SharedLink(Arc::clone(link)))),
            Body::Character(number) => Role::Device(*number),
        };
        let number = match node.number {
            0 => self.next_number.fetch_add(1, Relaxed),
            number => number,
        };
        let (mode, uid, gid) = (node.mode, node.uid, node.gid);
        let links = if kind == Kind::Directory { 2 } else { 1 };
        let new = NewInode { number, kind, mode, uid, gid, links, times };
        Inode::new(Arc::clone(super_block), new, role)
    }
}

impl FileSystem for GeneratedFs {
    fn name(&self) -> &'static str {
        self.identity.name
    }

    fn statfs(&self) -> Statfs {
        Statfs { magic: self.identity.magic, block_size: 4096, ..Statfs::default() }
    }

    fn may_set_attributes(&self, inode: &Inode, set: &SetAttributes) -> Result<()> {
        // What is found anew at each lookup would forget them.
        let lasting = inode.number() >= FIXED_NUMBERS || set.mode.is_none();
        if lasting { Ok(()) } else { Err(Errno::EPERM) }
    }

    fn as_any(&self) -> Option<&dyn core::any::Any> {
        Some(self)
    }
}

/// Makes a file system with this root and a mount of it that is nowhere yet.
///
/// # Errors
/// None in fact: the root is there.
pub fn mount(
    identity: Identity,
    root: &Arc<Tree>,
    source: &[u8],
    flags: MountFlags,
    clock: fn() -> Timespec,
) -> Result<Arc<Mount>> {
    let born = clock();
    let file_system = GeneratedFs { identity, clock, born, next_number: AtomicU64::new(2) };
    let super_block = SuperBlock::new(Box::new(file_system));
    let node = Node::new(Body::Directory(Arc::clone(root))).number(ROOT_NUMBER);
    let node = if identity.magic == Identity::DEVPTS.magic { node.mode(0o755) } else { node };
    let generated = directory::of(&super_block)?;
    let inode = generated.inode(&super_block, &node, Times::all(born));
    Mount::new(Dentry::root(inode), source, flags).ok_or(Errno::ENOENT)
}

/// A shared node as an inode wants it.
struct Shared(Arc<dyn FileNode>);

impl FileNode for Shared {
    fn open(&self, inode: &Arc<Inode>, caller: &Caller<'_>) -> Result<Box<dyn crate::OpenNode>> {
        self.0.open(inode, caller)
    }

    fn size(&self) -> u64 {
        self.0.size()
    }
}

/// A shared link as an inode wants it.
struct SharedLink(Arc<dyn MagicLink>);

impl MagicLink for SharedLink {
    fn text(&self, caller: &Caller<'_>) -> Result<Vec<u8>> {
        self.0.text(caller)
    }

    fn jump(&self, caller: &Caller<'_>) -> Option<Result<crate::Path>> {
        self.0.jump(caller)
    }
}
