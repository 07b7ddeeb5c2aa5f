//! Copying up: a file of a lower layer comes to the upper one before it is changed.
//!
//! The copy is made in the work directory and moved into place when it is whole. A large file is
//! copied in pieces: between them the operation answers `MISS`, so that other programs run, and
//! goes on where it was when it is tried again.

use crate::{
    Caller, Errno, Inode, Kind, Make, Path, RenameFlags, Result, Role, SetXattr, Source,
    overlayfs::{
        OverlayFs,
        layer::{self, Mark},
        node::{self, Copying, Node, mounter},
    },
    pages::{PAGE, Start},
};
use alloc::{boxed::Box, format, string::String, sync::Arc, vec, vec::Vec};
use core::sync::atomic::Ordering::Relaxed;
use framework::PAGE_SIZE;

/// Pages copied before others get their turn.
const PIECE: u64 = 1024;

/// Whether the bytes come along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contents {
    /// They do.
    Copy,
    /// They are about to be thrown away.
    Leave,
}

impl OverlayFs {
    /// A name in the work directory that nobody uses.
    pub(super) fn temporary(&self) -> String {
        format!("#{:x}", self.next_temporary.fetch_add(1, Relaxed))
    }

    /// The directory in which changes are prepared.
    ///
    /// # Errors
    /// - `EROFS`: nothing can be changed.
    pub(super) fn work(&self) -> Result<&Path> {
        self.work.as_ref().ok_or(Errno::EROFS)
    }

    /// Brings a file to the upper layer, and the directories above it; under the change lock.
    pub(super) fn copy_up(
        &self,
        inode: &Arc<Inode>,
        contents: Contents,
        caller: &Caller<'_>,
    ) -> Result<()> {
        let mut chain = Vec::new();
        let mut at = Arc::clone(inode);
        while Node::of(&at)?.upper().is_none() {
            let parent = Arc::clone(&Node::of(&at)?.place().ok_or(Errno::EROFS)?.parent);
            chain.push(core::mem::replace(&mut at, parent));
        }
        chain.iter().rev().try_for_each(|next| self.copy_one(next, contents, caller))
    }

    /// Brings a file to the upper layer, where its directory is.
    fn copy_one(&self, inode: &Arc<Inode>, contents: Contents, caller: &Caller<'_>) -> Result<()> {
        let node = Node::of(inode)?;
        let place = node.place().ok_or(Errno::EROFS)?;
        let work = self.work()?;
        let lower = node.top()?;
        let real = lower.inode()?;
        let temporary = self.begin(node, real, caller)?;
        if contents == Contents::Copy && real.kind() == Kind::Regular {
            copy_bytes(node, real, &temporary, caller)?;
        }
        copy_attributes(lower, &temporary, self, caller)?;
        // Names of one file below become files of their own above, which need numbers of their own.
        let keeps = real.is_directory() || real.links() == 1;
        let origin = if keeps { self.number(lower)? } else { 0 };
        if keeps {
            self.set_origin(&temporary, origin, caller)?;
        }
        let name = temporary.dentry().name();
        let upper = if node.is_removed() {
            layer::unlink(work, &name, caller)?;
            temporary
        } else {
            let parent = Node::of(&place.parent)?.copied()?;
            let times = parent.inode()?.times();
            layer::rename((work, &name), (parent, &place.name), RenameFlags::empty(), caller)?;
            if keeps {
                self.set_impure(parent, caller)?;
            }
            // Nothing happened to the directory that a program could know of.
            parent.inode()?.update_times(|own| *own = times);
            layer::find(parent, &place.name, caller)?
        };
        *node.copying.lock() = None;
        if !inode.is_directory() {
            self.remember(&upper, inode)?;
        }
        node.set_upper(upper, origin);
        node::pull(inode)
    }

    /// A directory has entries whose numbers are not those of their files.
    pub(super) fn set_impure(&self, directory: &Path, caller: &Caller<'_>) -> Result<()> {
        match self.marks.set(directory, Mark::Impure, b"y", caller) {
            Err(Errno::EOPNOTSUPP) => Ok(()),
            result => result,
        }
    }

    /// The file in the work directory that becomes the copy: a new one, or the one begun before.
    fn begin(&self, node: &Node, real: &Inode, caller: &Caller<'_>) -> Result<Path> {
        if let Some(copying) = &*node.copying.lock() {
            return Ok(copying.temporary.clone());
        }
        let what = match real.role() {
            Role::Symlink(text) => Make::Symlink(text),
            Role::Device(number) if real.kind() == Kind::Block => Make::Block(*number),
            Role::Device(number) => Make::Character(*number),
            _ => match real.kind() {
                Kind::Directory => Make::Directory,
                Kind::Regular => Make::Regular,
                Kind::Fifo => Make::Fifo,
                Kind::Socket => Make::Socket,
                Kind::Symlink | Kind::Character | Kind::Block => return Err(Errno::EPERM),
            },
        };
        let (work, name) = (self.work()?, self.temporary());
        let made = layer::run(caller, work, |walk| walk.make(work, name.as_bytes(), what, 0))?;
        *node.copying.lock() = Some(Copying { temporary: made.clone(), page: 0 });
        Ok(made)
    }

    /// Nobody wants the copy any more that was under way.
    pub(super) fn abandon(&self, node: &Node) {
        let Some(copying) = node.copying.lock().take() else { return };
        let caller = Caller::new(crate::Credentials::ROOT, self.clock);
        let name = copying.temporary.dentry().name();
        if let Ok(work) = self.work() {
            // What stays is removed when the overlay is mounted again.
            let _ = match super::is_directory(&copying.temporary) {
                true => layer::remove_dir(work, &name, &caller),
                false => layer::unlink(work, &name, &caller),
            };
        }
    }
}

/// Copies what is left of the bytes, or a piece of them.
fn copy_bytes(node: &Node, from: &Inode, to: &Path, caller: &Caller<'_>) -> Result<()> {
    let source = from.pages().ok_or(Errno::EIO)?;
    let target = to.inode()?.pages().ok_or(Errno::EIO)?;
    let first = node.copying.lock().as_ref().map_or(0, |copying| copying.page);
    let end = source.size().div_ceil(PAGE);
    let mut buffer = vec![0; PAGE_SIZE];
    for page in first..end {
        if page == first.saturating_add(PIECE) {
            // The future is only a turn of the scheduler.
            return Err(caller.miss(Box::pin(async {
                executor::yield_now().await;
                Ok(())
            })));
        }
        if let Some(frame) = layer::run(caller, to, |walk| source.get(page, walk.caller))? {
            frame.read(0, &mut buffer);
            let length = (source.size().saturating_sub(page * PAGE)).min(PAGE);
            let length = usize::try_from(length).unwrap_or(PAGE_SIZE);
            let mut bytes = Source::kernel(&buffer[..length]);
            let start = Start::At(page * PAGE);
            let written =
                layer::run(caller, to, |walk| target.write_from(start, &mut bytes, walk.caller))?;
            if written < page * PAGE + length as u64 {
                return Err(Errno::ENOSPC);
            }
        }
        if let Some(copying) = &mut *node.copying.lock() {
            copying.page = page + 1;
        }
    }
    layer::run(caller, to, |walk| target.truncate(source.size(), walk.caller))
}

/// Gives the copy the extended attributes, mode, owner and times of the file.
fn copy_attributes(
    from: &Path,
    to: &Path,
    file_system: &OverlayFs,
    caller: &Caller<'_>,
) -> Result<()> {
    let inner = mounter(caller);
    let names: Vec<u8> = from.xattr_names(&inner)?;
    for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        if name.starts_with(file_system.marks.prefix()) {
            continue;
        }
        let value = from.xattr(name, &inner)?;
        match to.set_xattr(name, &value, SetXattr::Any, &inner) {
            Ok(()) | Err(Errno::EOPNOTSUPP) => {}
            Err(error) => return Err(error),
        }
    }
    let (real, copy) = (from.inode()?, to.inode()?);
    copy.set_owner(real.uid(), real.gid());
    copy.set_mode(real.mode());
    let times = real.times();
    copy.update_times(|own| {
        (own.accessed, own.modified) = (times.accessed, times.modified);
    });
    copy.super_block().file_system().attributes_changed(copy);
    Ok(())
}
