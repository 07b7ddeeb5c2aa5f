//! Listing a directory of several layers: each name once, without those that are hidden.
//!
//! A name keeps its place in the listing as long as the listing is kept, so that a program that
//! reads on, or seeks, misses nothing that was there all the time.

use crate::{
    Caller, Emit, Entry, Inode, Kind, Path, Result,
    overlayfs::{
        OverlayFs,
        layer::{self, Look},
        node::{Node, mounter},
    },
};
use alloc::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    vec::Vec,
};

/// Cookies 0 to 2 are those of `.` and `..`.
const FIRST_COOKIE: u64 = 3;

/// The entries of a merged directory as they were at some version of it.
pub(super) struct Listing {
    version: u32,
    /// Names were added or removed since it was first made, so a new one would be another.
    grown: bool,
    by_cookie: BTreeMap<u64, Listed>,
    by_name: BTreeMap<Arc<[u8]>, u64>,
    next: u64,
}

#[derive(Clone)]
struct Listed {
    name: Arc<[u8]>,
    number: u64,
    kind: Kind,
}

impl OverlayFs {
    /// Lists a directory.
    pub(super) fn list(
        &self,
        dir: &Inode,
        cookie: u64,
        caller: &Caller<'_>,
        emit: &mut Emit<'_>,
    ) -> Result<()> {
        let node = Node::of(dir)?;
        match node.upper() {
            Some(upper) if node.lower().is_empty() => self.list_upper(upper, cookie, caller, emit),
            _ => self.list_merged(node, cookie, caller, emit),
        }
    }

    /// A directory that is only in the upper layer is listed by that.
    fn list_upper(
        &self,
        upper: &Path,
        cookie: u64,
        caller: &Caller<'_>,
        emit: &mut Emit<'_>,
    ) -> Result<()> {
        let real = upper.inode()?;
        let inner = mounter(caller);
        let result = real.directory()?.read_dir(real, cookie, &inner, &mut |entry| {
            match self.number_in_upper(upper, entry.name, entry.number, entry.kind, caller) {
                Ok(Some(number)) => emit(Entry { number, ..entry }),
                // Gone by now, or hidden.
                _ => true,
            }
        });
        match (result, inner.take_miss()) {
            (Err(crate::Errno::MISS), Some(miss)) => Err(caller.miss(miss)),
            (result, _) => result,
        }
    }

    /// The number that an entry of the upper layer has in the overlay; `None` for a whiteout.
    fn number_in_upper(
        &self,
        upper: &Path,
        name: &[u8],
        number: u64,
        kind: Kind,
        caller: &Caller<'_>,
    ) -> Result<Option<u64>> {
        let inode = upper.inode()?;
        let plain = self.number_of(inode.super_block(), number);
        if kind != Kind::Character && !self.marks.is_impure(upper, caller)? {
            return Ok(Some(plain));
        }
        match layer::look(upper, name, caller)? {
            Look::Absent | Look::Whiteout => Ok(None),
            Look::Found(found) => Ok(Some(match self.origin(&found, caller)? {
                0 => plain,
                origin => origin,
            })),
        }
    }

    fn list_merged(
        &self,
        node: &Node,
        cookie: u64,
        caller: &Caller<'_>,
        emit: &mut Emit<'_>,
    ) -> Result<()> {
        self.update(node, cookie < FIRST_COOKIE, caller)?;
        let mut at = cookie.max(FIRST_COOKIE);
        let mut emitted = false;
        loop {
            // The entry is copied out, so that `emit`, which may touch user memory, runs unlocked.
            let entry = {
                let listing = node.listing.lock();
                let entries = listing.iter().flat_map(|listing| listing.by_cookie.range(at..));
                entries.map(|(cookie, listed)| (*cookie, listed.clone())).next()
            };
            let Some((cookie, Listed { name, number, kind })) = entry else { break };
            at = cookie + 1;
            if !emit(Entry { name: &name, number, kind, next: at }) {
                return Ok(());
            }
            emitted = true;
        }
        // The end: a listing that would be made the same way again need not be kept.
        let mut listing = node.listing.lock();
        if !emitted && listing.as_ref().is_some_and(|listing| !listing.grown) {
            *listing = None;
        }
        Ok(())
    }

    /// Makes the listing say what is there, at a start anyway, else if it knows of a change.
    fn update(&self, node: &Node, start: bool, caller: &Caller<'_>) -> Result<()> {
        let version = node.version();
        let current = |listing: &Listing| listing.version == version;
        if !start && node.listing.lock().as_ref().is_some_and(current) {
            return Ok(());
        }
        let found = self.gather(node, caller)?;
        let mut slot = node.listing.lock();
        let listing = slot.get_or_insert_with(|| Listing {
            version,
            grown: false,
            by_cookie: BTreeMap::new(),
            by_name: BTreeMap::new(),
            next: FIRST_COOKIE,
        });
        listing.version = version;
        listing.replace(found);
        Ok(())
    }

    /// All entries: those of the upper layer, then what the lower ones add.
    fn gather(&self, node: &Node, caller: &Caller<'_>) -> Result<Vec<Listed>> {
        let mut seen: BTreeSet<Arc<[u8]>> = BTreeSet::new();
        let mut found = Vec::new();
        for (index, layer) in node.upper().into_iter().chain(node.lower()).enumerate() {
            let upper = index == 0 && node.upper().is_some();
            for (name, number, kind) in layer::names(layer, caller)? {
                let name: Arc<[u8]> = name.into();
                if seen.contains(&name) {
                    continue;
                }
                let number = match upper {
                    true => self.number_in_upper(layer, &name, number, kind, caller)?,
                    false => self.number_in_lower(layer, &name, number, kind, caller)?,
                };
                seen.insert(Arc::clone(&name));
                if let Some(number) = number {
                    found.push(Listed { name, number, kind });
                }
            }
        }
        Ok(found)
    }

    fn number_in_lower(
        &self,
        layer: &Path,
        name: &[u8],
        number: u64,
        kind: Kind,
        caller: &Caller<'_>,
    ) -> Result<Option<u64>> {
        if kind == Kind::Character && !matches!(layer::look(layer, name, caller)?, Look::Found(_)) {
            return Ok(None);
        }
        Ok(Some(self.number_of(layer.inode()?.super_block(), number)))
    }

    /// Whether a directory has no entries in the overlay.
    pub(super) fn is_empty(&self, dir: &Inode, caller: &Caller<'_>) -> Result<bool> {
        Ok(self.gather(Node::of(dir)?, caller)?.is_empty())
    }
}

impl Listing {
    /// Takes over what was found; what was there before keeps its place.
    fn replace(&mut self, found: Vec<Listed>) {
        let fresh = self.by_cookie.is_empty();
        let before = self.by_cookie.len();
        let mut by_cookie = BTreeMap::new();
        for listed in found {
            let known = self.by_name.get(&listed.name).copied();
            let cookie = known.unwrap_or_else(|| {
                self.grown |= !fresh;
                self.next += 1;
                self.next - 1
            });
            by_cookie.insert(cookie, listed);
        }
        self.grown |= by_cookie.len() < before;
        self.by_name =
            by_cookie.iter().map(|(cookie, listed)| (Arc::clone(&listed.name), *cookie)).collect();
        self.by_cookie = by_cookie;
    }
}
