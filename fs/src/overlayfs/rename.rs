//! Renaming in an overlay.

use crate::{
    Caller, Errno, Inode, Path, Place, RenameFlags, Result, Swap,
    overlayfs::{
        OverlayFs,
        copy_up::Contents,
        layer::{self, Look, Mark},
        node::{self, Node},
    },
};
use alloc::sync::Arc;

impl OverlayFs {
    /// Moves `from` to `to`, or swaps the two.
    pub(super) fn rename(
        &self,
        from: Place<'_>,
        to: Place<'_>,
        swap: Swap,
        caller: &Caller<'_>,
    ) -> Result<()> {
        let moved = from.inode.ok_or(Errno::ENOENT)?;
        check_movable(moved)?;
        match (swap, to.inode) {
            (Swap::Exchange, Some(other)) => check_movable(other)?,
            (Swap::Replace, Some(other))
                if other.is_directory() && !self.is_empty(other, caller)? =>
            {
                return Err(Errno::ENOTEMPTY);
            }
            _ => {}
        }
        self.copy_up(moved, Contents::Copy, caller)?;
        self.copy_up(from.directory, Contents::Copy, caller)?;
        self.copy_up(to.directory, Contents::Copy, caller)?;
        match (swap, to.inode) {
            (Swap::Exchange, other) => {
                let other = other.ok_or(Errno::ENOENT)?;
                self.exchange(&from, moved, &to, other, caller)?;
            }
            (Swap::Replace, replaced) => {
                self.replace(&from, moved, &to, replaced, caller)?;
            }
        }
        node::pull(moved)?;
        self.entries_changed(from.directory)?;
        self.entries_changed(to.directory)
    }

    fn exchange(
        &self,
        from: &Place<'_>,
        moved: &Arc<Inode>,
        to: &Place<'_>,
        other: &Arc<Inode>,
        caller: &Caller<'_>,
    ) -> Result<()> {
        self.copy_up(other, Contents::Copy, caller)?;
        let (old, new) = (upper(from.directory)?, upper(to.directory)?);
        self.hide_below(moved, to, caller)?;
        self.hide_below(other, from, caller)?;
        layer::rename((old, from.name), (new, to.name), RenameFlags::EXCHANGE, caller)?;
        self.carry_origin(moved, new, caller)?;
        self.carry_origin(other, old, caller)?;
        node::pull(other)
    }

    fn replace(
        &self,
        from: &Place<'_>,
        moved: &Arc<Inode>,
        to: &Place<'_>,
        replaced: Option<&Arc<Inode>>,
        caller: &Caller<'_>,
    ) -> Result<()> {
        let (old, new) = (upper(from.directory)?, upper(to.directory)?);
        self.hide_below(moved, to, caller)?;
        if let Some(own) = replaced.map(|inode| Node::of(inode)).transpose()?.and_then(Node::upper)
            && moved.is_directory()
        {
            layer::clear(own, caller)?;
        }
        // A directory does not replace a whiteout, which is no directory.
        if moved.is_directory() && matches!(layer::look(new, to.name, caller)?, Look::Whiteout) {
            layer::unlink(new, to.name, caller)?;
        }
        let covered = self.is_covered(Node::of(from.directory)?, from.name, caller)?;
        layer::rename((old, from.name), (new, to.name), RenameFlags::empty(), caller)?;
        if covered {
            layer::make_whiteout(old, from.name, caller)?;
        }
        self.carry_origin(moved, new, caller)?;
        match replaced {
            Some(replaced) => self.forget_name(replaced),
            None => Ok(()),
        }
    }

    /// A directory that comes to a place where a lower layer has something must hide that.
    fn hide_below(&self, moved: &Inode, to: &Place<'_>, caller: &Caller<'_>) -> Result<()> {
        if moved.is_directory() && self.is_covered(Node::of(to.directory)?, to.name, caller)? {
            self.marks.set(upper(moved)?, Mark::Opaque, b"y", caller)?;
        }
        Ok(())
    }

    /// A file whose number comes from below makes its new directory impure.
    fn carry_origin(&self, moved: &Inode, directory: &Path, caller: &Caller<'_>) -> Result<()> {
        if self.origin(upper(moved)?, caller)? != 0 {
            self.set_impure(directory, caller)?;
        }
        Ok(())
    }
}

/// What a directory has in lower layers cannot come along.
fn check_movable(inode: &Inode) -> Result<()> {
    let movable = !inode.is_directory() || Node::of(inode)?.lower().is_empty();
    if movable { Ok(()) } else { Err(Errno::EXDEV) }
}

/// The file of the upper layer, which was copied up.
fn upper(inode: &Inode) -> Result<&Path> {
    Node::of(inode)?.copied()
}
