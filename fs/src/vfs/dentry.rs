//! Names in memory: dentries and their cache.
//!
//! A dentry ties a name in a directory to an inode, or to the knowledge that there is none
//! (a *negative* dentry). It holds its parent, so that `..` and the way back to the root always
//! exist; the cache of the file system holds the dentries themselves and lets go of those that
//! nobody else holds. Which inode a dentry names never changes: another file under the same name
//! is another dentry. A rename moves the dentry.
//!
//! A hit takes one of sixteen spin locks for the time of one hash probe. Lock order: the file
//! system's change lock, a shard, a dentry's link.

use crate::{
    Caller, Errno, Inode, Result,
    count::{Dentries, NEGATIVE},
};
use alloc::{sync::Arc, vec::Vec};
use core::{
    fmt,
    sync::atomic::{
        AtomicBool, AtomicU32, AtomicU64,
        Ordering::{Acquire, Relaxed, Release},
    },
};
use framework::count::Counted;
use hashbrown::HashTable;
use smallvec::SmallVec;
use spin::Mutex;

/// The name of a directory entry: most are short.
pub(crate) type Name = SmallVec<[u8; 32]>;

/// A name in a directory, and what it stands for.
pub struct Dentry {
    link: Mutex<Link>,
    hash: AtomicU64,
    inode: Option<Arc<Inode>>,
    /// How many mounts lie on it, in all mount tables.
    pub(super) mounts: AtomicU32,
    unlinked: AtomicBool,
    /// Found since the cache last looked for victims.
    recent: AtomicBool,
    _counted: Counted<Dentries>,
}

struct Link {
    parent: Option<Arc<Dentry>>,
    name: Name,
}

impl Dentry {
    /// Makes the root of a file system.
    pub fn root(inode: Arc<Inode>) -> Arc<Self> {
        Self::new(None, b"", Some(inode))
    }

    /// Makes the dentry of a file that is in no directory; `name` is what readlink of
    /// `/proc/PID/fd/N` shows.
    pub fn nameless(name: &[u8], inode: Arc<Inode>) -> Arc<Self> {
        let dentry = Self::new(None, name, Some(inode));
        dentry.unlinked.store(true, Relaxed);
        dentry
    }

    /// Makes the dentry of an object whose name is no name in a directory (`pipe:[12]`).
    pub(crate) fn object(name: &[u8], inode: Arc<Inode>) -> Arc<Self> {
        Self::new(None, name, Some(inode))
    }

    pub(super) fn new(
        parent: Option<Arc<Dentry>>,
        name: &[u8],
        inode: Option<Arc<Inode>>,
    ) -> Arc<Self> {
        let hash = parent.as_ref().map_or(0, |parent| hash(parent, name));
        if inode.is_none() {
            NEGATIVE.add(1);
        }
        Arc::new(Self {
            link: Mutex::new(Link { parent, name: Name::from_slice(name) }),
            hash: AtomicU64::new(hash),
            inode,
            mounts: AtomicU32::new(0),
            unlinked: AtomicBool::new(false),
            recent: AtomicBool::new(false),
            _counted: Counted::new(),
        })
    }

    /// What the name stands for.
    ///
    /// # Errors
    /// - `ENOENT`: nothing, it is negative.
    pub fn inode(&self) -> Result<&Arc<Inode>> {
        self.inode.as_ref().ok_or(Errno::ENOENT)
    }

    /// Whether the name is known to stand for nothing.
    pub const fn is_negative(&self) -> bool {
        self.inode.is_none()
    }

    /// The directory it is in; `None` at the root.
    pub fn parent(&self) -> Option<Arc<Self>> {
        self.link.lock().parent.clone()
    }

    /// Its name.
    pub fn name(&self) -> Vec<u8> {
        self.link.lock().name.to_vec()
    }

    /// Whether the name was removed.
    pub fn is_unlinked(&self) -> bool {
        self.unlinked.load(Acquire)
    }

    pub(super) fn is_mount_point(&self) -> bool {
        self.mounts.load(Relaxed) != 0
    }

    /// Whether it is `ancestor` or below it.
    pub(crate) fn is_inside(self: &Arc<Self>, ancestor: &Arc<Self>) -> bool {
        let mut at = Arc::clone(self);
        loop {
            if Arc::ptr_eq(&at, ancestor) {
                return true;
            }
            let Some(parent) = at.parent() else { return false };
            at = parent;
        }
    }

    fn is(&self, parent: &Arc<Self>, name: &[u8]) -> bool {
        let link = self.link.lock();
        link.parent.as_ref().is_some_and(|own| Arc::ptr_eq(own, parent)) && *link.name == *name
    }

    /// Finds `name` in this directory, in the cache or in the file system; may be negative.
    pub(super) fn lookup(self: &Arc<Self>, name: &[u8], caller: &Caller<'_>) -> Result<Arc<Self>> {
        let directory = self.inode()?;
        let super_block = directory.super_block();
        let hash = hash(self, name);
        if let Some(found) = super_block.dentries.find(self, name, hash) {
            return Ok(found);
        }
        let _change = super_block.change.lock();
        self.lookup_locked(name, caller)
    }

    /// Like [`lookup`](Self::lookup), under the change lock.
    pub(super) fn lookup_locked(
        self: &Arc<Self>,
        name: &[u8],
        caller: &Caller<'_>,
    ) -> Result<Arc<Self>> {
        let directory = self.inode()?;
        let cache = &directory.super_block().dentries;
        if let Some(found) = cache.find(self, name, hash(self, name)) {
            return Ok(found);
        }
        let operations = directory.directory()?;
        let inode = match operations.lookup(directory, name, caller) {
            Ok(inode) => Some(inode),
            Err(Errno::ENOENT) => None,
            Err(error) => return Err(error),
        };
        let dentry = Self::new(Some(Arc::clone(self)), name, inode);
        if operations.cacheable() && !self.is_unlinked() {
            cache.insert(Arc::clone(&dentry));
        }
        Ok(dentry)
    }

    /// Under the change lock: `name` now stands for `inode`.
    pub(super) fn instantiate(self: &Arc<Self>, name: &[u8], inode: Arc<Inode>) -> Arc<Self> {
        let dentry = Self::new(Some(Arc::clone(self)), name, Some(inode));
        if let Ok(directory) = self.inode() {
            directory.super_block().dentries.replace(Arc::clone(&dentry));
        }
        dentry
    }

    /// Under the change lock: the name is gone.
    pub(super) fn forget(self: &Arc<Self>) {
        self.unlinked.store(true, Release);
        if let Ok(inode) = self.inode() {
            inode.super_block().dentries.remove(self);
        }
    }

    /// Under the change lock: it is now called `name` in `parent`.
    pub(super) fn relocate(self: &Arc<Self>, parent: &Arc<Self>, name: &[u8]) {
        let Ok(inode) = self.inode() else { return };
        let cache = &inode.super_block().dentries;
        cache.remove(self);
        let old = {
            let mut link = self.link.lock();
            link.name = Name::from_slice(name);
            link.parent.replace(Arc::clone(parent))
        };
        drop(old);
        self.hash.store(hash(parent, name), Relaxed);
        cache.replace(Arc::clone(self));
    }
}

impl Drop for Dentry {
    /// Lets go of the parents one by one: a path may be deeper than the stack.
    fn drop(&mut self) {
        if self.is_negative() {
            NEGATIVE.add(-1);
        }
        let mut parent = self.link.get_mut().parent.take();
        while let Some(dentry) = parent {
            let Some(mut dentry) = Arc::into_inner(dentry) else { break };
            parent = dentry.link.get_mut().parent.take();
        }
    }
}

impl fmt::Debug for Dentry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dentry({:?})", alloc::string::String::from_utf8_lossy(&self.name()))
    }
}

fn hash(parent: &Arc<Dentry>, name: &[u8]) -> u64 {
    hash_name(Arc::as_ptr(parent).addr() as u64, name)
}

/// Mixes a seed and a name, eight bytes at a time.
pub(crate) fn hash_name(seed: u64, name: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |state: u64, word: u64| {
        let product = u128::from(state ^ word) * u128::from(FACTOR);
        #[allow(clippy::cast_possible_truncation, reason = "both halves of the product are used")]
        let folded = product as u64 ^ (product >> 64) as u64;
        folded.rotate_left(23)
    };
    let mut state = seed ^ (name.len() as u64) << 56;
    let (words, rest) = name.as_chunks::<8>();
    for word in words {
        state = mix(state, u64::from_le_bytes(*word));
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    mix(state, u64::from_le_bytes(last)).wrapping_mul(FACTOR)
}

const SHARDS: usize = 16;
/// Dentries in a shard before unused ones are let go.
const SHARD_LIMIT: usize = 4096;

/// The dentries of a file system, by parent and name.
pub(super) struct DentryCache {
    shards: [Mutex<Shard>; SHARDS],
}

struct Shard {
    table: HashTable<Arc<Dentry>>,
    limit: usize,
    /// From here on unused ones are let go when memory is short.
    floor: usize,
}

/// So few dentries are not worth looking through.
const SHARD_FLOOR: usize = 64;

impl DentryCache {
    pub(super) const fn new() -> Self {
        Self { shards: [const { Mutex::new(Shard::new()) }; SHARDS] }
    }

    fn shard(&self, hash: u64) -> &Mutex<Shard> {
        &self.shards[(hash >> 32) as usize % SHARDS]
    }

    fn find(&self, parent: &Arc<Dentry>, name: &[u8], hash: u64) -> Option<Arc<Dentry>> {
        let shard = self.shard(hash).lock();
        let found = shard
            .table
            .find(hash, |other| other.hash.load(Relaxed) == hash && other.is(parent, name))?;
        if !found.recent.load(Relaxed) {
            found.recent.store(true, Relaxed);
        }
        Some(Arc::clone(found))
    }

    /// Adds a dentry; when there is no memory for it, it is only not remembered.
    fn insert(&self, dentry: Arc<Dentry>) {
        let hash = dentry.hash.load(Relaxed);
        let mut shard = self.shard(hash).lock();
        let len = shard.table.len();
        if len >= shard.limit || len >= shard.floor && framework::frame::pressure() {
            shard.shrink();
        }
        let rehash = |other: &Arc<Dentry>| other.hash.load(Relaxed);
        if shard.table.try_reserve(1, rehash).is_ok() {
            shard.table.insert_unique(hash, dentry, rehash);
        }
    }

    /// Adds a dentry in place of the one with the same parent and name.
    fn replace(&self, dentry: Arc<Dentry>) {
        let (parent, name) = {
            let link = dentry.link.lock();
            (link.parent.clone(), link.name.clone())
        };
        let Some(parent) = parent else { return };
        let hash = dentry.hash.load(Relaxed);
        let old = {
            let mut shard = self.shard(hash).lock();
            let same =
                |other: &Arc<Dentry>| other.hash.load(Relaxed) == hash && other.is(&parent, &name);
            shard.table.find_entry(hash, same).ok().map(|entry| entry.remove().0)
        };
        drop(old);
        self.insert(dentry);
    }

    fn remove(&self, dentry: &Arc<Dentry>) {
        let hash = dentry.hash.load(Relaxed);
        let mut shard = self.shard(hash).lock();
        if let Ok(entry) = shard.table.find_entry(hash, |other| Arc::ptr_eq(other, dentry)) {
            entry.remove();
        }
    }

    /// Lets go of every dentry.
    pub(super) fn clear(&self) {
        for shard in &self.shards {
            let table = core::mem::take(&mut shard.lock().table);
            drop(table);
        }
    }

    /// How many nobody but the cache holds.
    pub(super) fn unused(&self) -> usize {
        let unused = |dentry: &&Arc<Dentry>| Arc::strong_count(dentry) == 1;
        let of = |shard: &Mutex<Shard>| shard.lock().table.iter().filter(unused).count();
        self.shards.iter().map(of).sum()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().table.len()).sum()
    }

    #[cfg(test)]
    pub(super) fn set_shard_limit(&self, limit: usize) {
        for shard in &self.shards {
            shard.lock().limit = limit;
        }
    }
}

impl Shard {
    const fn new() -> Self {
        Self { table: HashTable::new(), limit: SHARD_LIMIT, floor: SHARD_FLOOR }
    }

    /// Lets go of dentries nobody holds that were not found since the last time. If most are in
    /// use the limit grows, so that this does not run at every insertion.
    fn shrink(&mut self) {
        self.table.retain(|dentry| {
            let recent = dentry.recent.swap(false, Relaxed);
            recent || Arc::strong_count(dentry) > 1
        });
        if self.table.len() > self.limit / 2 {
            self.table.retain(|dentry| Arc::strong_count(dentry) > 1);
        }
        self.limit = self.limit.max(self.table.len() * 2);
        self.floor = SHARD_FLOOR.max(self.table.len() * 2);
    }
}
