//! File systems in memory: ramfs and tmpfs.
//!
//! A file is a page cache without a store behind it; a directory is a table of names. The root of
//! the system (the unpacked initramfs), `/tmp`, `/dev/shm`, memfds and shared anonymous memory are
//! all this.

mod directory;
mod memory;
mod options;
#[cfg(test)]
mod tests;

pub use memory::{AllowSealing, Memory};
pub use options::Options;

use crate::{
    Caller, DeviceNumber, Errno, FileSystem, Inode, Kind, Make, MakeAttributes, Mount, MountFlags,
    NewInode, PageCache, PageStore, Path, Result, Role, Seals, Statfs, SuperBlock, Times,
    pages::PAGE, vfs::Dentry,
};
use alloc::{boxed::Box, sync::Arc};
use core::{
    fmt,
    ops::Range,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};
use directory::RamDirectory;
use spin::Once;

/// Which of the two a file system is: they differ in name, limits and seals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// Without limits.
    Ramfs,
    /// With limits.
    Tmpfs,
    /// A tmpfs that calls itself so, for `/dev`.
    Devtmpfs,
    /// A tmpfs in which only the kernel makes terminals, for `/dev/pts`.
    Devpts,
}

/// A file system in memory.
struct RamFs {
    flavour: Flavour,
    usage: Arc<Usage>,
    options: Options,
}

/// What is used, and what may be.
struct Usage {
    pages: AtomicU64,
    pages_limit: AtomicU64,
    inodes: AtomicU64,
    inodes_limit: AtomicU64,
    next_number: AtomicU64,
}

/// The pages, and the files, of a tmpfs whose options do not say: half the memory. `/proc/mounts`
/// says nothing of them either.
pub fn default_limit() -> u64 {
    framework::frame::stats().total as u64 / 2
}

impl Usage {
    fn take(used: &AtomicU64, limit: &AtomicU64) -> Result<()> {
        let limit = limit.load(Relaxed);
        let more = |used: u64| (used < limit).then_some(used + 1);
        used.fetch_update(Relaxed, Relaxed, more).map(drop).map_err(|_| Errno::ENOSPC)
    }
}

/// Makes a file system and a mount of it that is nowhere yet.
///
/// # Errors
/// None in fact: the root is there.
pub fn mount(
    flavour: Flavour,
    options: Options,
    source: &[u8],
    flags: MountFlags,
    caller: &Caller<'_>,
) -> Result<Arc<Mount>> {
    build(flavour, options, source, flags, caller).map(|built| built.0)
}

/// Makes an empty `/dev/pts`; returns its root.
pub(crate) fn devpts(caller: &Caller<'_>) -> Result<Path> {
    let options = Options { mode: Some(0o755), uid: Some(0), gid: Some(0), ..Options::default() };
    let mount = mount(Flavour::Devpts, options, b"devpts", MountFlags::empty(), caller)?;
    Ok(Path::root_of(&mount))
}

fn build(
    flavour: Flavour,
    options: Options,
    source: &[u8],
    flags: MountFlags,
    caller: &Caller<'_>,
) -> Result<(Arc<Mount>, Maker)> {
    let usage = Arc::new(Usage {
        pages: AtomicU64::new(0),
        pages_limit: AtomicU64::new(options.pages.unwrap_or(u64::MAX)),
        inodes: AtomicU64::new(1),
        inodes_limit: AtomicU64::new(options.inodes.unwrap_or(u64::MAX)),
        next_number: AtomicU64::new(1),
    });
    let attributes = MakeAttributes {
        mode: options.mode.unwrap_or(if flavour == Flavour::Tmpfs { 0o1777 } else { 0o755 }),
        uid: options.uid.unwrap_or(caller.credentials.uid),
        gid: options.gid.unwrap_or(caller.credentials.gid),
        now: caller.now(),
    };
    let file_system = RamFs { flavour, usage: Arc::clone(&usage), options };
    let super_block = SuperBlock::new(Box::new(file_system));
    let maker = Maker { usage, flavour };
    let root = maker.inode(&super_block, Make::Directory, attributes);
    let mount = Mount::new(Dentry::root(root), source, flags).ok_or(Errno::ENOENT)?;
    Ok((mount, maker))
}

impl FileSystem for RamFs {
    fn name(&self) -> &'static str {
        match self.flavour {
            Flavour::Ramfs => "ramfs",
            Flavour::Tmpfs => "tmpfs",
            Flavour::Devtmpfs => "devtmpfs",
            Flavour::Devpts => "devpts",
        }
    }

    fn statfs(&self) -> Statfs {
        let magic = match self.flavour {
            Flavour::Ramfs => 0x8584_58f6,
            Flavour::Tmpfs | Flavour::Devtmpfs => 0x0102_1994,
            Flavour::Devpts => 0x1cd1,
        };
        let mut statfs = Statfs { magic, block_size: PAGE, ..Statfs::default() };
        let pages = self.usage.pages_limit.load(Relaxed);
        if pages != u64::MAX {
            statfs.blocks = pages;
            statfs.blocks_free = pages.saturating_sub(self.usage.pages.load(Relaxed));
            statfs.blocks_available = statfs.blocks_free;
        }
        let inodes = self.usage.inodes_limit.load(Relaxed);
        if inodes != u64::MAX {
            statfs.inodes = inodes;
            statfs.inodes_free = inodes.saturating_sub(self.usage.inodes.load(Relaxed));
        }
        statfs
    }

    fn options(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        let pages = self.usage.pages_limit.load(Relaxed);
        if pages != u64::MAX && pages != default_limit() {
            write!(out, ",size={}k", pages.saturating_mul(PAGE / 1024))?;
        }
        let inodes = self.usage.inodes_limit.load(Relaxed);
        if inodes != u64::MAX && inodes != default_limit() {
            write!(out, ",nr_inodes={inodes}")?;
        }
        self.options.write_owner(out)
    }

    fn remount(&self, options: &[u8]) -> Result<()> {
        let new = Options::parse(options)?;
        let fits = |limit: Option<u64>, used: &AtomicU64| {
            limit.is_none_or(|limit| used.load(Relaxed) <= limit)
        };
        if !fits(new.pages, &self.usage.pages) || !fits(new.inodes, &self.usage.inodes) {
            return Err(Errno::EINVAL);
        }
        if let Some(pages) = new.pages {
            self.usage.pages_limit.store(pages, Relaxed);
        }
        if let Some(inodes) = new.inodes {
            self.usage.inodes_limit.store(inodes, Relaxed);
        }
        Ok(())
    }

    fn released(&self, _inode: &Inode) {
        self.usage.inodes.fetch_sub(1, Relaxed);
    }

    fn xattr_prefixes(&self) -> &'static [&'static [u8]] {
        match self.flavour {
            Flavour::Ramfs | Flavour::Devpts => &[],
            Flavour::Tmpfs | Flavour::Devtmpfs => &[b"user.", b"trusted.", b"security."],
        }
    }
}

/// Makes the inodes of a file system in memory.
#[derive(Clone)]
struct Maker {
    usage: Arc<Usage>,
    flavour: Flavour,
}

impl Maker {
    /// Makes an inode; `ENOSPC` if there may be no more.
    fn make(
        &self,
        super_block: &Arc<SuperBlock>,
        what: Make<'_>,
        attributes: MakeAttributes,
    ) -> Result<Arc<Inode>> {
        Usage::take(&self.usage.inodes, &self.usage.inodes_limit)?;
        Ok(self.inode(super_block, what, attributes))
    }

    fn inode(
        &self,
        super_block: &Arc<SuperBlock>,
        what: Make<'_>,
        attributes: MakeAttributes,
    ) -> Arc<Inode> {
        let role = match what {
            Make::Regular => Role::Regular(self.pages()),
            Make::Directory => Role::Directory(Box::new(RamDirectory::new(self.clone()))),
            Make::Symlink(text) => Role::Symlink(text.into()),
            Make::Fifo => Role::Fifo(Once::new()),
            Make::Socket => Role::Object,
            Make::Character(number) | Make::Block(number) => device(number),
        };
        let new = NewInode {
            number: self.usage.next_number.fetch_add(1, Relaxed),
            kind: what.kind(),
            mode: attributes.mode,
            uid: attributes.uid,
            gid: attributes.gid,
            links: if what.kind() == Kind::Directory { 2 } else { 1 },
            times: Times::all(attributes.now),
        };
        Inode::new(Arc::clone(super_block), new, role)
    }

    fn pages(&self) -> PageCache {
        let pages = PageCache::new(Box::new(RamStore(Arc::clone(&self.usage))));
        if self.flavour != Flavour::Ramfs {
            pages.make_sealable(Seals::SEAL);
        }
        pages
    }
}

const fn device(number: DeviceNumber) -> Role {
    Role::Device(number)
}

/// The store of pages that are nowhere but in memory: it only counts them.
struct RamStore(Arc<Usage>);

impl PageStore for RamStore {
    fn reserve(&self, _index: u64, _caller: &Caller<'_>) -> Result<()> {
        Usage::take(&self.0.pages, &self.0.pages_limit)
    }

    fn release(&self, _pages: Range<u64>, count: u64) {
        self.0.pages.fetch_sub(count, Relaxed);
    }
}
