//! Directories of an overlay: finding, making and removing names.

use crate::{
    Caller, Credentials, Directory, Emit, Errno, Inode, Kind, Make, MakeAttributes, OpenFlags,
    OpenHow, Opened, Path, Place, RenameFlags, Result, Swap,
    overlayfs::{
        self, OverlayFs,
        copy_up::Contents,
        layer::{self, Look, Mark},
        node::{self, Node, Stack},
    },
};
use alloc::sync::Arc;

/// The operations of all directories of overlays; what they are about is behind the inode.
pub(super) struct OverlayDirectory;

impl OverlayFs {
    /// Makes a file in the upper layer, in place of a whiteout if there is one.
    fn make_upper(
        &self,
        node: &Node,
        name: &[u8],
        what: Make<'_>,
        attributes: MakeAttributes,
        caller: &Caller<'_>,
    ) -> Result<Path> {
        let upper = node.copied()?;
        let maker = || Caller::new(credentials(attributes), caller.clock());
        let is_directory = what.kind() == Kind::Directory;
        let whiteout = matches!(layer::look(upper, name, caller)?, Look::Whiteout);
        if !whiteout {
            let made = layer::run_as(maker(), caller, upper, |walk| {
                walk.make(upper, name, what, attributes.mode)
            })?;
            if is_directory && !node.lower().is_empty() {
                // Nothing is below: saying so saves looking.
                let _ = self.marks.set(&made, Mark::Opaque, b"y", caller);
            }
            return Ok(made);
        }
        let (work, temporary) = (self.work()?, self.temporary());
        let temporary = temporary.as_bytes();
        let made = layer::run_as(maker(), caller, work, |walk| {
            walk.make(work, temporary, what, attributes.mode)
        })?;
        let moved = if is_directory {
            self.marks.set(&made, Mark::Opaque, b"y", caller).and_then(|()| {
                layer::rename((work, temporary), (upper, name), RenameFlags::EXCHANGE, caller)?;
                layer::unlink(work, temporary, caller)
            })
        } else {
            layer::rename((work, temporary), (upper, name), RenameFlags::empty(), caller)
        };
        if let Err(error) = moved {
            let _ = match is_directory {
                true => layer::remove_dir(work, temporary, caller),
                false => layer::unlink(work, temporary, caller),
            };
            return Err(error);
        }
        layer::find(upper, name, caller)
    }

    /// Removes a name from the upper layer, leaving a whiteout if a lower one has it too.
    fn remove(
        &self,
        dir: &Arc<Inode>,
        name: &[u8],
        target: &Arc<Inode>,
        caller: &Caller<'_>,
    ) -> Result<()> {
        self.copy_up(dir, Contents::Copy, caller)?;
        let (node, removed) = (Node::of(dir)?, Node::of(target)?);
        let upper = node.copied()?;
        let covered = self.is_covered(node, name, caller)?;
        let in_upper = removed.upper().is_some();
        if let Some(own) = removed.upper().filter(|_| target.is_directory()) {
            layer::clear(own, caller)?;
        }
        match (in_upper, covered) {
            (false, _) => layer::make_whiteout(upper, name, caller)?,
            (true, true) => {
                let (work, temporary) = (self.work()?, self.temporary());
                let temporary = temporary.as_bytes();
                layer::make_whiteout(work, temporary, caller)?;
                if target.is_directory() {
                    let swap = RenameFlags::EXCHANGE;
                    layer::rename((work, temporary), (upper, name), swap, caller)?;
                    layer::remove_dir(work, temporary, caller)?;
                } else {
                    let replace = RenameFlags::empty();
                    layer::rename((work, temporary), (upper, name), replace, caller)?;
                }
            }
            (true, false) if target.is_directory() => layer::remove_dir(upper, name, caller)?,
            (true, false) => layer::unlink(upper, name, caller)?,
        }
        self.forget_name(target)?;
        self.entries_changed(dir)
    }

    /// A name of the file is gone.
    pub(super) fn forget_name(&self, target: &Inode) -> Result<()> {
        let node = Node::of(target)?;
        match node.upper() {
            Some(upper) if !target.is_directory() => target.set_links(upper.inode()?.links()),
            Some(_) => target.set_links(0),
            None => target.set_links(target.links().saturating_sub(1)),
        }
        if target.links() == 0 || node.upper().is_none() {
            node.set_removed();
        }
        Ok(())
    }

    /// The directory's entries changed in the upper layer.
    pub(super) fn entries_changed(&self, dir: &Inode) -> Result<()> {
        Node::of(dir)?.entries_changed();
        node::pull(dir)
    }
}

/// Who makes a file with these attributes: its owner, with every right.
fn credentials(attributes: MakeAttributes) -> Credentials<'static> {
    Credentials { uid: attributes.uid, gid: attributes.gid, ..Credentials::ROOT }
}

impl Directory for OverlayDirectory {
    fn lookup(&self, dir: &Arc<Inode>, name: &[u8], caller: &Caller<'_>) -> Result<Arc<Inode>> {
        let file_system = overlayfs::of(dir.super_block())?;
        let stack = file_system.stack(Node::of(dir)?, name, caller)?;
        file_system.inode(dir, name, stack, caller)
    }

    fn read_dir(
        &self,
        dir: &Inode,
        cookie: u64,
        caller: &Caller<'_>,
        emit: &mut Emit<'_>,
    ) -> Result<()> {
        overlayfs::of(dir.super_block())?.list(dir, cookie, caller, emit)
    }

    fn make(
        &self,
        dir: &Arc<Inode>,
        name: &[u8],
        what: Make<'_>,
        attributes: MakeAttributes,
        caller: &Caller<'_>,
    ) -> Result<Arc<Inode>> {
        if matches!(what, Make::Character(number) if number.to_raw() == 0) {
            // It would be a whiteout.
            return Err(Errno::EPERM);
        }
        let file_system = overlayfs::of(dir.super_block())?;
        file_system.copy_up(dir, Contents::Copy, caller)?;
        let made = file_system.make_upper(Node::of(dir)?, name, what, attributes, caller)?;
        let stack = Stack { upper: Some(made), ..Stack::default() };
        let inode = file_system.inode(dir, name, stack, caller)?;
        file_system.entries_changed(dir)?;
        Ok(inode)
    }

    fn make_nameless(
        &self,
        dir: &Arc<Inode>,
        attributes: MakeAttributes,
        caller: &Caller<'_>,
    ) -> Result<Arc<Inode>> {
        let file_system = overlayfs::of(dir.super_block())?;
        file_system.copy_up(dir, Contents::Copy, caller)?;
        let upper = Node::of(dir)?.copied()?;
        let flags = OpenFlags::TEMPORARY | OpenFlags::READ_WRITE;
        let how = OpenHow { flags, mode: attributes.mode, ..OpenHow::default() };
        let maker = Caller::new(credentials(attributes), caller.clock());
        let opened = layer::run_as(maker, caller, upper, |walk| walk.open(upper, b".", &how))?;
        let Opened::File(file) = opened else { return Err(Errno::EIO) };
        let stack = Stack { upper: Some(file.path().clone()), ..Stack::default() };
        file_system.inode(dir, b"", stack, caller)
    }

    fn link(
        &self,
        dir: &Arc<Inode>,
        name: &[u8],
        target: &Arc<Inode>,
        caller: &Caller<'_>,
    ) -> Result<()> {
        let file_system = overlayfs::of(dir.super_block())?;
        file_system.copy_up(target, Contents::Copy, caller)?;
        file_system.copy_up(dir, Contents::Copy, caller)?;
        let (upper, old) = (Node::of(dir)?.copied()?, Node::of(target)?.copied()?);
        if matches!(layer::look(upper, name, caller)?, Look::Whiteout) {
            let (work, temporary) = (file_system.work()?, file_system.temporary());
            let temporary = temporary.as_bytes();
            layer::run(caller, work, |walk| walk.link(old, work, temporary))?;
            let replace = RenameFlags::empty();
            layer::rename((work, temporary), (upper, name), replace, caller)?;
        } else {
            layer::run(caller, upper, |walk| walk.link(old, upper, name))?;
        }
        if file_system.origin(old, caller)? != 0 {
            file_system.set_impure(upper, caller)?;
        }
        node::pull(target)?;
        file_system.entries_changed(dir)
    }

    fn unlink(
        &self,
        dir: &Arc<Inode>,
        name: &[u8],
        target: &Arc<Inode>,
        caller: &Caller<'_>,
    ) -> Result<()> {
        overlayfs::of(dir.super_block())?.remove(dir, name, target, caller)
    }

    fn remove_dir(
        &self,
        dir: &Arc<Inode>,
        name: &[u8],
        target: &Arc<Inode>,
        caller: &Caller<'_>,
    ) -> Result<()> {
        let file_system = overlayfs::of(dir.super_block())?;
        if !file_system.is_empty(target, caller)? {
            return Err(Errno::ENOTEMPTY);
        }
        file_system.remove(dir, name, target, caller)
    }

    fn rename(
        &self,
        from: Place<'_>,
        to: Place<'_>,
        swap: Swap,
        caller: &Caller<'_>,
    ) -> Result<()> {
        overlayfs::of(from.directory.super_block())?.rename(from, to, swap, caller)
    }
}
