//! The files of a host, seen from a kernel that runs as one of its processes.
//!
//! The host is behind the trait [`HostNode`], which the crate above implements. Here its files
//! become inodes: one for each file of the host, by device and number, whose attributes are asked
//! anew at every stat and open, and whose bytes go through the page cache, so that they can be
//! mapped. Unless it is mounted writable, nothing can be changed; then a write has reached the host
//! when it returns, and what a mapping wrote when the file is synced or given up.
//!
//! ```text
//!   lookup, stat, list ──▶ HostFs ──▶ HostNode (the host's openat, fstat, getdents)
//!   read, map ──▶ PageCache ──load──▶ HostNode::read_at
//! ```

mod directory;
mod file;
mod tree;

pub use tree::{Found, HostAttributes, HostEntry, HostMetadata, HostNode, HostPlace};

use crate::{
    Backing, Caller, Dentry, DeviceNumber, Errno, FileSystem, Inode, Kind, Metadata, Mount,
    MountFlags, NewInode, OpenFlags, PageCache, Result, Role, SetAttributes, Statfs, SuperBlock,
};
use alloc::{
    boxed::Box,
    collections::BTreeMap,
    sync::{Arc, Weak},
    vec::Vec,
};
use core::any::Any;
use directory::HostDirectory;
use file::{HostStore, Loaded};
use spin::{Mutex, Once};

/// What identifies a file of the host: device and inode number.
type Identity = (u64, u64);

/// The magic number in statfs(2) if the host does not tell its own.
const MAGIC: u64 = 0x00c0_ffee;

/// A directory tree of the host.
struct HostFs {
    root: Arc<dyn HostNode>,
    writable: bool,
    /// The inodes in use, so that all names of a file lead to the same one.
    inodes: Mutex<BTreeMap<Identity, Weak<Inode>>>,
    /// The devices of the host in the order in which they were met: inode numbers of all of them
    /// have to be unique in one file system.
    devices: Mutex<Vec<u64>>,
    loaded: Loaded,
}

/// Makes a read-only file system of a directory of the host and a mount of it that is nowhere yet.
///
/// # Errors
/// - `ENOTDIR`: it is no directory.
/// - those of the host.
pub fn mount(root: Arc<dyn HostNode>, source: &[u8], flags: MountFlags) -> Result<Arc<Mount>> {
    build(root, source, flags | MountFlags::READ_ONLY, false)
}

/// The same, but what is changed is changed on the host.
///
/// # Errors
/// As for [`mount`].
pub fn mount_writable(
    root: Arc<dyn HostNode>,
    source: &[u8],
    flags: MountFlags,
) -> Result<Arc<Mount>> {
    build(root, source, flags, true)
}

fn build(
    root: Arc<dyn HostNode>,
    source: &[u8],
    flags: MountFlags,
    writable: bool,
) -> Result<Arc<Mount>> {
    let metadata = root.metadata()?;
    if metadata.kind != Kind::Directory {
        return Err(Errno::ENOTDIR);
    }
    let file_system = HostFs {
        root: Arc::clone(&root),
        writable,
        inodes: Mutex::default(),
        devices: Mutex::new(alloc::vec![metadata.device]),
        loaded: Loaded::default(),
    };
    let super_block = SuperBlock::new(Box::new(file_system));
    super_block.set_read_only(!writable);
    let inode = of(&super_block)?.inode(&super_block, Found { node: root, metadata })?;
    Mount::new(Dentry::root(inode), source, flags | MountFlags::NO_DEVICES).ok_or(Errno::ENOENT)
}

/// The file system of an inode that is a host's.
fn of(super_block: &SuperBlock) -> Result<&HostFs> {
    let any = super_block.file_system().as_any().ok_or(Errno::EIO)?;
    any.downcast_ref().ok_or(Errno::EIO)
}

/// The host's side of an inode.
struct HostBacking {
    node: Arc<dyn HostNode>,
    identity: Identity,
    /// What the host said last.
    seen: Mutex<HostMetadata>,
}

impl Backing for HostBacking {
    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn backing(inode: &Inode) -> Option<&HostBacking> {
    inode.backing()?.as_any().downcast_ref()
}

impl HostFs {
    /// The inode of a file that was found, made if this is the first time.
    fn inode(&self, super_block: &Arc<SuperBlock>, found: Found) -> Result<Arc<Inode>> {
        let identity = (found.metadata.device, found.metadata.number);
        let known = self.inodes.lock().get(&identity).and_then(Weak::upgrade);
        // The host may have given the number to another file by now.
        if let Some(inode) = known.filter(|inode| inode.kind() == found.metadata.kind) {
            refresh(&inode, &found.metadata);
            return Ok(inode);
        }
        let inode = self.make(super_block, found)?;
        self.inodes.lock().insert(identity, Arc::downgrade(&inode));
        Ok(inode)
    }

    fn make(&self, super_block: &Arc<SuperBlock>, found: Found) -> Result<Arc<Inode>> {
        let Found { node, metadata } = found;
        let role = match metadata.kind {
            Kind::Directory => Role::Directory(Box::new(HostDirectory::new(Arc::clone(&node)))),
            Kind::Regular => {
                let store = HostStore::new(Arc::clone(&node), self.writable);
                Role::Regular(PageCache::with_size(Box::new(store), metadata.size))
            }
            Kind::Symlink => Role::Symlink(node.read_link()?),
            Kind::Fifo => Role::Fifo(Once::new()),
            Kind::Character | Kind::Block => Role::Device(metadata.special),
            Kind::Socket => Role::Object,
        };
        let new = NewInode {
            number: self.number(metadata.device, metadata.number),
            kind: metadata.kind,
            mode: metadata.mode,
            uid: metadata.uid,
            gid: metadata.gid,
            links: metadata.links,
            times: metadata.times,
        };
        let backing = HostBacking {
            node,
            identity: (metadata.device, metadata.number),
            seen: Mutex::new(metadata),
        };
        let made = Inode::with_backing(Arc::clone(super_block), new, role, Box::new(backing));
        if let Some(store) = store(&made) {
            store.inode.call_once(|| Arc::downgrade(&made));
        }
        Ok(made)
    }

    /// A number for a file that no file of another device of the host has.
    fn number(&self, device: u64, number: u64) -> u64 {
        let mut devices = self.devices.lock();
        let index = devices.iter().position(|known| *known == device).unwrap_or_else(|| {
            devices.push(device);
            devices.len() - 1
        });
        // The first device is the root's, whose numbers stay as they are.
        number ^ (index as u64) << 48
    }
}

/// The store of a regular file's pages.
fn store(inode: &Inode) -> Option<&HostStore> {
    inode.pages()?.store().as_any()?.downcast_ref()
}

/// Takes over what the host says; if the contents changed, what is in memory is forgotten.
fn refresh(inode: &Inode, metadata: &HostMetadata) {
    inode.set_mode(metadata.mode);
    inode.set_owner(metadata.uid, metadata.gid);
    inode.set_links(metadata.links);
    inode.update_times(|times| *times = metadata.times);
    let Some(backing) = backing(inode) else { return };
    let before = core::mem::replace(&mut *backing.seen.lock(), *metadata);
    if let (Some(pages), Some(store)) = (inode.pages(), store(inode))
        && (before.size, before.times.modified) != (metadata.size, metadata.times.modified)
    {
        pages.forget(|| {
            store.flush(pages);
            // A write may have made it longer since it was asked.
            backing.node.metadata().map_or(metadata.size, |now| now.size)
        });
    }
}

/// What differs from what the host said last.
fn changes(inode: &Inode, seen: &HostMetadata) -> HostAttributes {
    let (times, changed) = (inode.times(), |now: u32, then: u32| (now != then).then_some(now));
    let pair = (times.accessed, times.modified);
    HostAttributes {
        mode: changed(inode.mode(), seen.mode),
        uid: changed(inode.uid(), seen.uid),
        gid: changed(inode.gid(), seen.gid),
        times: (pair != (seen.times.accessed, seen.times.modified)).then_some(pair),
    }
}

impl FileSystem for HostFs {
    fn name(&self) -> &'static str {
        "hostfs"
    }

    fn statfs(&self) -> Statfs {
        let statfs = self.root.statfs().unwrap_or_default();
        Statfs { magic: if statfs.magic == 0 { MAGIC } else { statfs.magic }, ..statfs }
    }

    fn opening(&self, inode: &Arc<Inode>, flags: OpenFlags, _caller: &Caller<'_>) -> Result<()> {
        let Some(backing) = backing(inode) else { return Ok(()) };
        // Tells now, and not in a page fault, that the host does not allow it.
        backing.node.read_at(0, &mut [])?;
        if flags.writable() || flags.contains(OpenFlags::TRUNCATE) {
            backing.node.write_at(0, &[])?;
        }
        refresh(inode, &backing.node.metadata()?);
        Ok(())
    }

    fn sync_inode(&self, inode: &Inode, _caller: &Caller<'_>) -> Result<()> {
        let Some(backing) = backing(inode) else { return Ok(()) };
        if let (Some(pages), Some(store)) = (inode.pages(), store(inode)) {
            store.flush(pages);
            store.take_error()?;
        }
        backing.node.sync()
    }

    fn may_set_attributes(&self, inode: &Inode, set: &SetAttributes) -> Result<()> {
        let Some(backing) = backing(inode).filter(|_| self.writable) else { return Ok(()) };
        let set = HostAttributes { mode: set.mode, uid: set.uid, gid: set.gid, times: None };
        backing.node.set_attributes(&set)
    }

    fn attributes_changed(&self, inode: &Inode) {
        let Some(backing) = backing(inode).filter(|_| self.writable) else { return };
        if let (Some(pages), Some(store)) = (inode.pages(), store(inode)) {
            store.flush(pages);
        }
        let set = changes(inode, &backing.seen.lock());
        // What the host does not allow stays as it is there, and is shown so.
        let _ = backing.node.set_attributes(&set);
        if let Ok(now) = backing.node.metadata() {
            *backing.seen.lock() = now;
        }
    }

    fn released(&self, inode: &Inode) {
        let Some(backing) = backing(inode) else { return };
        if let (Some(pages), Some(store)) = (inode.pages(), store(inode)) {
            store.flush(pages);
        }
        let mut inodes = self.inodes.lock();
        // Another inode may have taken its place.
        if inodes.get(&backing.identity).is_some_and(|known| known.strong_count() == 0) {
            inodes.remove(&backing.identity);
        }
    }

    fn complete(&self, inode: &Inode, metadata: &mut Metadata) {
        let Some(backing) = backing(inode) else { return };
        // What is gone on the host keeps what was last known of it.
        let Ok(now) = backing.node.metadata() else { return };
        refresh(inode, &now);
        metadata.mode = now.mode;
        (metadata.uid, metadata.gid) = (now.uid, now.gid);
        (metadata.links, metadata.times) = (now.links, now.times);
        (metadata.size, metadata.blocks) = (now.size, now.blocks);
        metadata.special = match now.kind {
            Kind::Character | Kind::Block => now.special,
            _ => DeviceNumber::default(),
        };
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}
