//! overlayfs: directories laid over each other, of which only the uppermost is changed.
//!
//! ```text
//!   lookup ──▶ upper layer, then the lower ones ──▶ Stack ──▶ Node behind an Inode
//!   write, chmod, rename ──▶ copy up: lower file ──▶ work directory ──▶ upper layer
//!   unlink ──▶ whiteout (device 0:0) in the upper layer
//! ```
//! What is in the layers is as Linux writes it: whiteouts, `trusted.overlay.opaque` on directories
//! that hide those below, `trusted.overlay.origin` on what was copied up (only its value is our
//! own), so a layer made here can be used there.
//!
//! The layers are used through their own dentries and as whole operations, so programs that look
//! into a layer see what happens. An inode of the overlay keeps a copy of the attributes, for
//! checks of permission; stat asks the file that is shown.
//!
//! Lock order: the overlay's change lock, then those of the layers' file systems.
//!
//! # Gaps
//! Directories that have a lower part cannot be renamed (`EXDEV`, as with `redirect_dir=off`);
//! no index, metacopy, data-only layers.

mod copy_up;
mod directory;
mod layer;
mod listing;
mod lookup;
mod node;
mod options;
mod rename;
mod setup;
#[cfg(test)]
mod tests;

pub use options::Options;
pub use setup::{mount, mount_over};

use crate::{
    Caller, Errno, FileSystem, Inode, Kind, Metadata, OpenFlags, Path, Result, Statfs, SuperBlock,
    Timespec,
};
use alloc::{
    collections::BTreeMap,
    sync::{Arc, Weak},
    vec::Vec,
};
use copy_up::Contents;
use core::{any::Any, fmt, sync::atomic::AtomicU64};
use layer::Marks;
use node::Node;
use spin::Mutex;

/// The magic number in statfs(2).
const MAGIC: u64 = 0x794c_7630;

/// An overlay.
struct OverlayFs {
    options: Options,
    marks: Marks,
    /// The directory in which changes are prepared; none if nothing can be changed.
    work: Option<Path>,
    /// The layers, topmost first.
    layers: Vec<Path>,
    /// Overlays below this one, itself included.
    depth: u32,
    /// Inodes of files of the upper layer by the address of the inode there, so that all names of
    /// a file lead to the same one.
    inodes: Mutex<BTreeMap<usize, Weak<Inode>>>,
    next_temporary: AtomicU64,
    clock: fn() -> Timespec,
}

/// The overlay that a file system is.
fn of(super_block: &SuperBlock) -> Result<&OverlayFs> {
    let any = super_block.file_system().as_any().ok_or(Errno::EXDEV)?;
    any.downcast_ref().ok_or(Errno::EXDEV)
}

impl OverlayFs {
    /// A number for a file of a layer that no file of another layer's file system has.
    fn number(&self, path: &Path) -> Result<u64> {
        let inode = path.inode()?;
        Ok(self.number_of(inode.super_block(), inode.number()))
    }

    /// The same for a file that is known by its number.
    fn number_of(&self, super_block: &Arc<SuperBlock>, number: u64) -> u64 {
        // Numbers of the lowest layer's file system stay as they are.
        let mut upwards = self.layers.iter().rev();
        let index = upwards.position(|layer| Arc::ptr_eq(layer.mount().super_block(), super_block));
        number ^ (index.unwrap_or(0) as u64) << 56
    }
}

impl FileSystem for OverlayFs {
    fn name(&self) -> &'static str {
        "overlay"
    }

    fn statfs(&self) -> Statfs {
        let statfs = self.layers.first().map(|layer| layer.mount().statfs()).unwrap_or_default();
        Statfs { magic: MAGIC, ..statfs }
    }

    fn options(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        self.options.write(out)
    }

    fn sync(&self, caller: &Caller<'_>) -> Result<()> {
        let Some(work) = &self.work else { return Ok(()) };
        let file_system = work.mount().super_block().file_system();
        layer::run(caller, work, |walk| file_system.sync(walk.caller))
    }

    fn sync_inode(&self, inode: &Inode, caller: &Caller<'_>) -> Result<()> {
        let Some(upper) = Node::of(inode)?.upper() else { return Ok(()) };
        let real = upper.inode()?;
        let file_system = real.super_block().file_system();
        layer::run(caller, upper, |walk| file_system.sync_inode(real, walk.caller))
    }

    fn opening(&self, inode: &Arc<Inode>, flags: OpenFlags, caller: &Caller<'_>) -> Result<()> {
        let truncates = flags.contains(OpenFlags::TRUNCATE);
        if flags.writable() || truncates {
            let contents = if truncates { Contents::Leave } else { Contents::Copy };
            let _change = inode.super_block().lock_changes();
            self.copy_up(inode, contents, caller)?;
        }
        let path = Node::of(inode)?.top()?;
        let real = path.inode()?;
        let below = real.super_block().file_system();
        layer::run(caller, path, |walk| below.opening(real, flags, walk.caller))
    }

    fn changing(&self, inode: &Arc<Inode>, caller: &Caller<'_>) -> Result<()> {
        let _change = inode.super_block().lock_changes();
        self.copy_up(inode, Contents::Copy, caller)
    }

    fn attributes_changed(&self, inode: &Inode) {
        let Ok(node) = Node::of(inode) else { return };
        match node.upper().map(Path::inode) {
            Some(Ok(upper)) => node::push(inode, upper),
            // Only an access time can have changed: files below keep theirs.
            _ => drop(node::pull(inode)),
        }
    }

    fn released(&self, inode: &Inode) {
        let Ok(node) = Node::of(inode) else { return };
        self.abandon(node);
        if let Some(Ok(upper)) = node.upper().map(Path::inode) {
            let key = Arc::as_ptr(upper).addr();
            let mut inodes = self.inodes.lock();
            // Another inode may have taken its place.
            if inodes.get(&key).is_some_and(|known| known.strong_count() == 0) {
                inodes.remove(&key);
            }
        }
    }

    fn complete(&self, inode: &Inode, metadata: &mut Metadata) {
        if let Ok(node) = Node::of(inode) {
            // A layer that cannot say leaves what is known.
            let _ = node.complete(self, metadata);
        }
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }

    fn xattr_prefixes(&self) -> &'static [&'static [u8]] {
        match self.layers.first() {
            Some(layer) => layer.mount().super_block().file_system().xattr_prefixes(),
            None => &[],
        }
    }
}

/// Whether what is at a path is a directory.
fn is_directory(path: &Path) -> bool {
    path.inode().is_ok_and(|inode| inode.kind() == Kind::Directory)
}
