//! A generated directory.

use crate::{
    Caller, Directory, Emit, Entry, Errno, Inode, Make, MakeAttributes, Result, SuperBlock, Times,
    generated::{GeneratedFs, Listed, Node, Tree},
};
use alloc::sync::Arc;

pub(super) struct GeneratedDirectory {
    pub(super) tree: Arc<Tree>,
}

/// Fixed entries have the cookies from here on, by their positions, and come before the others.
const FIXED: u64 = 3;
/// Entries that change by themselves have the cookies from here on.
const CHANGING: u64 = 1 << 32;

/// The frame's part of a file system.
pub(super) fn of(super_block: &Arc<SuperBlock>) -> Result<&GeneratedFs> {
    let any = super_block.file_system().as_any().ok_or(Errno::EIO)?;
    any.downcast_ref().ok_or(Errno::EIO)
}

impl GeneratedDirectory {
    fn make_inode(dir: &Inode, node: &Node, fixed: bool) -> Result<Arc<Inode>> {
        let generated = of(dir.super_block())?;
        let now = if fixed { generated.born } else { (generated.clock)() };
        Ok(generated.inode(dir.super_block(), node, Times::all(now)))
    }

    /// The first fixed entry from `position` on.
    fn fixed_from(&self, position: u64) -> Option<Listed> {
        let fixed = self.tree.fixed.read();
        let after = fixed.iter().filter(|(_, entry)| entry.position >= position);
        let (name, entry) = after.min_by_key(|(_, entry)| entry.position)?;
        Some(Listed {
            name: name.to_vec(),
            kind: entry.node.body.kind(),
            number: entry.node.number,
            position: entry.position,
        })
    }
}

impl Directory for GeneratedDirectory {
    fn cacheable(&self) -> bool {
        self.tree.listing.is_none()
    }

    fn lookup(&self, dir: &Arc<Inode>, name: &[u8], caller: &Caller<'_>) -> Result<Arc<Inode>> {
        let fixed = self.tree.fixed.read().get(name).map(|fixed| fixed.node.clone());
        if let Some(node) = fixed {
            return Self::make_inode(dir, &node, true);
        }
        let listing = self.tree.listing.as_ref().ok_or(Errno::ENOENT)?;
        Self::make_inode(dir, &listing.find(name, caller)?, false)
    }

    fn read_dir(
        &self,
        _dir: &Inode,
        cookie: u64,
        caller: &Caller<'_>,
        emit: &mut Emit<'_>,
    ) -> Result<()> {
        let mut at = cookie.max(FIXED);
        while at < CHANGING {
            let Some(found) = self.fixed_from(at - FIXED) else {
                at = CHANGING;
                break;
            };
            at = found.position + FIXED + 1;
            let (number, kind) = (found.number, found.kind);
            if !emit(Entry { name: &found.name, number, kind, next: at }) {
                return Ok(());
            }
        }
        let Some(listing) = &self.tree.listing else { return Ok(()) };
        while let Some(found) = listing.next(at - CHANGING, caller)? {
            at = found.position.saturating_add(CHANGING + 1);
            let (number, kind) = (found.number, found.kind);
            if !emit(Entry { name: &found.name, number, kind, next: at }) {
                break;
            }
        }
        Ok(())
    }

    fn make(
        &self,
        dir: &Arc<Inode>,
        _name: &[u8],
        _what: Make<'_>,
        _attributes: MakeAttributes,
        _caller: &Caller<'_>,
    ) -> Result<Arc<Inode>> {
        Err(of(dir.super_block())?.identity.refusal)
    }
}
