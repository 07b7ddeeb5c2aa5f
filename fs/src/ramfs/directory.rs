//! A directory in memory: names in the order in which they were made, and an index by name.

use crate::{
    Caller, Directory, Emit, Entry, Errno, Inode, Kind, Make, MakeAttributes, Place, Result, Swap,
    Timespec,
    ramfs::{Flavour, Maker},
    vfs::{Name, hash_name},
};
use alloc::{collections::BTreeMap, sync::Arc, vec::Vec};
use core::{any::Any, ops::Bound};
use hashbrown::HashTable;
use spin::Mutex;

/// Cookies 0 to 2 are those of `.` and `..`.
const FIRST_COOKIE: u64 = 3;
/// What tmpfs says a directory entry takes.
const ENTRY_SIZE: u64 = 20;

pub(super) struct RamDirectory {
    maker: Maker,
    entries: Mutex<Entries>,
}

/// An entry keeps its cookie for life, so a listing goes on in the right place whatever happens
/// in between.
struct Entries {
    by_cookie: BTreeMap<u64, RamEntry>,
    by_name: HashTable<u64>,
    next_cookie: u64,
}

struct RamEntry {
    name: Name,
    inode: Arc<Inode>,
}

impl Entries {
    fn cookie(&self, name: &[u8]) -> Option<u64> {
        let is =
            |cookie: &u64| self.by_cookie.get(cookie).is_some_and(|entry| *entry.name == *name);
        self.by_name.find(hash_name(0, name), is).copied()
    }

    fn get(&self, name: &[u8]) -> Option<&Arc<Inode>> {
        Some(&self.by_cookie.get(&self.cookie(name)?)?.inode)
    }

    fn insert(&mut self, name: &[u8], inode: Arc<Inode>) -> Result<()> {
        let Self { by_cookie, by_name, next_cookie } = self;
        let rehash =
            |cookie: &u64| by_cookie.get(cookie).map_or(0, |entry| hash_name(0, &entry.name));
        by_name.try_reserve(1, rehash).map_err(|_| Errno::ENOMEM)?;
        let cookie = *next_cookie;
        by_name.insert_unique(hash_name(0, name), cookie, rehash);
        by_cookie.insert(cookie, RamEntry { name: Name::from_slice(name), inode });
        *next_cookie += 1;
        Ok(())
    }

    fn remove(&mut self, name: &[u8]) -> Option<Arc<Inode>> {
        let cookie = self.cookie(name)?;
        if let Ok(entry) = self.by_name.find_entry(hash_name(0, name), |other| *other == cookie) {
            entry.remove();
        }
        self.by_cookie.remove(&cookie).map(|entry| entry.inode)
    }

    fn replace(&mut self, name: &[u8], inode: Arc<Inode>) -> Option<Arc<Inode>> {
        let cookie = self.cookie(name)?;
        let entry = self.by_cookie.get_mut(&cookie)?;
        Some(core::mem::replace(&mut entry.inode, inode))
    }
}

impl RamDirectory {
    pub(super) const fn new(maker: Maker) -> Self {
        let entries = Entries {
            by_cookie: BTreeMap::new(),
            by_name: HashTable::new(),
            next_cookie: FIRST_COOKIE,
        };
        Self { maker, entries: Mutex::new(entries) }
    }

    fn of(inode: &Inode) -> Result<&Self> {
        let any = inode.directory()?.as_any().ok_or(Errno::EXDEV)?;
        any.downcast_ref().ok_or(Errno::EXDEV)
    }

    fn is_empty(&self) -> bool {
        self.entries.lock().by_cookie.is_empty()
    }

    fn check_empty(inode: &Inode) -> Result<()> {
        if inode.is_directory() && !Self::of(inode)?.is_empty() {
            return Err(Errno::ENOTEMPTY);
        }
        Ok(())
    }
}

fn touch(directory: &Inode, now: Timespec) {
    directory.update_times(|times| (times.modified, times.changed) = (now, now));
}

fn changed(inode: &Inode, now: Timespec) {
    inode.update_times(|times| times.changed = now);
}

/// A name of the inode goes away.
fn unlinked(directory: &Inode, inode: &Inode, now: Timespec) {
    if inode.is_directory() {
        inode.set_links(0);
        directory.set_links(directory.links() - 1);
    } else {
        inode.set_links(inode.links().saturating_sub(1));
    }
    changed(inode, now);
}

impl Directory for RamDirectory {
    fn lookup(&self, _dir: &Arc<Inode>, name: &[u8], _caller: &Caller<'_>) -> Result<Arc<Inode>> {
        self.entries.lock().get(name).cloned().ok_or(Errno::ENOENT)
    }

    fn read_dir(
        &self,
        _dir: &Inode,
        cookie: u64,
        _caller: &Caller<'_>,
        emit: &mut Emit<'_>,
    ) -> Result<()> {
        // The entry is copied out, so that `emit`, which may touch user memory, runs unlocked.
        let mut at = cookie.max(FIRST_COOKIE);
        loop {
            let entry = {
                let entries = self.entries.lock();
                let next = entries.by_cookie.range((Bound::Included(at), Bound::Unbounded)).next();
                next.map(|(cookie, entry)| {
                    (*cookie, entry.name.clone(), entry.inode.number(), entry.inode.kind())
                })
            };
            let Some((cookie, name, number, kind)) = entry else { return Ok(()) };
            at = cookie + 1;
            if !emit(Entry { name: &name, number, kind, next: at }) {
                return Ok(());
            }
        }
    }

    fn make(
        &self,
        dir: &Arc<Inode>,
        name: &[u8],
        what: Make<'_>,
        attributes: MakeAttributes,
        _caller: &Caller<'_>,
    ) -> Result<Arc<Inode>> {
        if self.maker.flavour == Flavour::Devpts && what.kind() != Kind::Character {
            return Err(Errno::EPERM);
        }
        let inode = self.maker.make(dir.super_block(), what, attributes)?;
        self.entries.lock().insert(name, Arc::clone(&inode))?;
        if what.kind() == Kind::Directory {
            dir.set_links(dir.links() + 1);
        }
        touch(dir, attributes.now);
        Ok(inode)
    }

    fn make_nameless(
        &self,
        dir: &Arc<Inode>,
        attributes: MakeAttributes,
        _caller: &Caller<'_>,
    ) -> Result<Arc<Inode>> {
        let inode = self.maker.make(dir.super_block(), Make::Regular, attributes)?;
        inode.set_links(0);
        Ok(inode)
    }

    fn link(
        &self,
        dir: &Arc<Inode>,
        name: &[u8],
        target: &Arc<Inode>,
        caller: &Caller<'_>,
    ) -> Result<()> {
        self.entries.lock().insert(name, Arc::clone(target))?;
        target.set_links(target.links() + 1);
        let now = caller.now();
        touch(dir, now);
        changed(target, now);
        Ok(())
    }

    fn unlink(
        &self,
        dir: &Arc<Inode>,
        name: &[u8],
        target: &Arc<Inode>,
        caller: &Caller<'_>,
    ) -> Result<()> {
        let removed = self.entries.lock().remove(name).ok_or(Errno::ENOENT)?;
        drop(removed);
        let now = caller.now();
        unlinked(dir, target, now);
        touch(dir, now);
        Ok(())
    }

    fn remove_dir(
        &self,
        dir: &Arc<Inode>,
        name: &[u8],
        target: &Arc<Inode>,
        caller: &Caller<'_>,
    ) -> Result<()> {
        Self::check_empty(target)?;
        self.unlink(dir, name, target, caller)
    }

    fn rename(
        &self,
        from: Place<'_>,
        to: Place<'_>,
        swap: Swap,
        caller: &Caller<'_>,
    ) -> Result<()> {
        let moved = from.inode.ok_or(Errno::ENOENT)?;
        let target = Self::of(to.directory)?;
        let now = caller.now();
        match (swap, to.inode) {
            (Swap::Exchange, Some(other)) => {
                self.entries.lock().replace(from.name, Arc::clone(other));
                target.entries.lock().replace(to.name, Arc::clone(moved));
                changed(other, now);
                count_move(other, to.directory, from.directory);
            }
            (Swap::Exchange, None) => return Err(Errno::ENOENT),
            (Swap::Replace, Some(replaced)) => {
                Self::check_empty(replaced)?;
                target.entries.lock().replace(to.name, Arc::clone(moved));
                self.entries.lock().remove(from.name);
                unlinked(to.directory, replaced, now);
            }
            (Swap::Replace, None) => {
                target.entries.lock().insert(to.name, Arc::clone(moved))?;
                self.entries.lock().remove(from.name);
            }
        }
        count_move(moved, from.directory, to.directory);
        changed(moved, now);
        touch(from.directory, now);
        touch(to.directory, now);
        Ok(())
    }

    fn size(&self) -> u64 {
        let entries = self.entries.lock().by_cookie.len() as u64;
        (entries + 2) * ENTRY_SIZE
    }

    fn drain(&self) -> Vec<Arc<Inode>> {
        let entries = core::mem::take(&mut self.entries.lock().by_cookie);
        entries.into_values().map(|entry| entry.inode).collect()
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

/// The `..` of a directory that moves is one link of another directory now.
fn count_move(moved: &Inode, from: &Inode, to: &Inode) {
    if moved.is_directory() {
        from.set_links(from.links() - 1);
        to.set_links(to.links() + 1);
    }
}

impl Drop for RamDirectory {
    /// Takes the tree below apart level by level: it may be deeper than the stack.
    fn drop(&mut self) {
        let mut stack = self.drain();
        while let Some(inode) = stack.pop() {
            if Arc::strong_count(&inode) == 1
                && let Ok(directory) = inode.directory()
            {
                stack.extend(directory.drain());
            }
        }
    }
}
