//! What is behind an inode of an overlay: the files of the layers that it shows.

use crate::{
    Backing, Caller, Errno, Inode, Metadata, Path, Result,
    overlayfs::{OverlayFs, layer::Marks, listing::Listing},
    vfs::Name,
};
use alloc::{borrow::Cow, boxed::Box, sync::Arc, vec::Vec};
use core::{
    any::Any,
    sync::atomic::{
        AtomicBool, AtomicU32, AtomicU64,
        Ordering::{Acquire, Relaxed, Release},
    },
};
use spin::{Mutex, Once};

/// The files of the layers that have one name.
#[derive(Default)]
pub(super) struct Stack {
    /// That of the upper layer.
    pub(super) upper: Option<Path>,
    /// Of the lower ones, topmost first: directories that are merged, or one file.
    pub(super) lower: Vec<Path>,
}

impl Stack {
    pub(super) fn top(&self) -> Option<&Path> {
        self.upper.as_ref().or(self.lower.first())
    }
}

/// Where a file is in the overlay that is only in a lower layer: it never moves before it is
/// copied up, nor does a directory above it.
pub(super) struct Place {
    pub(super) parent: Arc<Inode>,
    pub(super) name: Name,
}

/// A copy under way.
pub(super) struct Copying {
    pub(super) temporary: Path,
    /// The next page to copy.
    pub(super) page: u64,
}

/// The backing of an inode of an overlay.
pub(super) struct Node {
    /// Set when it is found, or when it is copied up; changes under the file system's change lock.
    upper: Once<Path>,
    lower: Box<[Path]>,
    place: Option<Place>,
    marks: Marks,
    /// The inode number it had before it was copied up, and keeps; 0 if it has that of `upper`.
    origin: AtomicU64,
    /// Its name is gone.
    removed: AtomicBool,
    /// How many changes of its entries there were.
    version: AtomicU32,
    pub(super) listing: Mutex<Option<Listing>>,
    pub(super) copying: Mutex<Option<Copying>>,
}

impl Node {
    /// The files of a stack, at least one.
    pub(super) fn new(stack: Stack, place: Option<Place>, marks: Marks, origin: u64) -> Self {
        Self {
            upper: stack.upper.map_or_else(Once::new, Once::initialized),
            lower: stack.lower.into_boxed_slice(),
            place,
            marks,
            origin: AtomicU64::new(origin),
            removed: AtomicBool::new(false),
            version: AtomicU32::new(0),
            listing: Mutex::new(None),
            copying: Mutex::new(None),
        }
    }

    /// The node of an inode of an overlay.
    pub(super) fn of(inode: &Inode) -> Result<&Self> {
        inode.backing().and_then(|backing| backing.as_any().downcast_ref()).ok_or(Errno::EXDEV)
    }

    pub(super) fn upper(&self) -> Option<&Path> {
        self.upper.get()
    }

    /// The file of the upper layer, which the caller has copied up.
    pub(super) fn copied(&self) -> Result<&Path> {
        self.upper.get().ok_or(Errno::EROFS)
    }

    pub(super) fn set_upper(&self, upper: Path, origin: u64) {
        self.origin.store(origin, Relaxed);
        self.upper.call_once(|| upper);
    }

    pub(super) fn lower(&self) -> &[Path] {
        &self.lower
    }

    pub(super) const fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    /// The file that is shown: of the topmost layer.
    pub(super) fn top(&self) -> Result<&Path> {
        self.upper.get().or(self.lower.first()).ok_or(Errno::EIO)
    }

    /// Whether it is a directory of several layers.
    pub(super) fn is_merged(&self) -> bool {
        self.lower.len() + usize::from(self.upper.get().is_some()) > 1
    }

    pub(super) fn set_removed(&self) {
        self.removed.store(true, Release);
    }

    pub(super) fn is_removed(&self) -> bool {
        self.removed.load(Acquire)
    }

    pub(super) fn version(&self) -> u32 {
        self.version.load(Acquire)
    }

    pub(super) fn entries_changed(&self) {
        self.version.fetch_add(1, Release);
    }

    /// Its inode number in the overlay.
    pub(super) fn number(&self, file_system: &OverlayFs) -> Result<u64> {
        match (self.upper.get(), self.origin.load(Relaxed)) {
            (Some(_), origin) if origin != 0 => Ok(origin),
            _ => file_system.number(self.top()?),
        }
    }

    /// What the file that is shown says, under the overlay's own number and device.
    pub(super) fn complete(&self, file_system: &OverlayFs, metadata: &mut Metadata) -> Result<()> {
        let below = self.top()?.inode()?.metadata();
        *metadata = Metadata {
            number: self.number(file_system)?,
            device: metadata.device,
            mount_id: metadata.mount_id,
            mount_root: metadata.mount_root,
            ..below
        };
        if self.is_merged_directory(metadata) {
            metadata.links = 1;
        }
        Ok(())
    }

    fn is_merged_directory(&self, metadata: &Metadata) -> bool {
        metadata.kind == crate::Kind::Directory && self.is_merged()
    }
}

/// Takes the attributes of the file that is shown over into the inode.
pub(super) fn pull(inode: &Inode) -> Result<()> {
    let node = Node::of(inode)?;
    let real = node.top()?.inode()?;
    inode.set_mode(real.mode());
    inode.set_owner(real.uid(), real.gid());
    let merged = inode.is_directory() && node.is_merged();
    if !node.is_removed() {
        inode.set_links(if merged { 1 } else { real.links() });
    }
    let times = real.times();
    inode.update_times(|own| *own = times);
    Ok(())
}

/// Gives the attributes of the inode, which were changed, to the file of the upper layer.
pub(super) fn push(inode: &Inode, upper: &Inode) {
    upper.set_mode(inode.mode());
    upper.set_owner(inode.uid(), inode.gid());
    let times = inode.times();
    upper.update_times(|own| {
        (own.accessed, own.modified, own.changed) = (times.accessed, times.modified, times.changed);
    });
    upper.super_block().file_system().attributes_changed(upper);
}

impl Backing for Node {
    fn real(&self) -> Option<&Arc<Inode>> {
        self.top().ok()?.inode().ok()
    }

    /// A program's own attributes that look like marks get another prefix, as on Linux.
    fn xattr_below<'a>(&self, name: &'a [u8]) -> Cow<'a, [u8]> {
        let prefix = self.marks.prefix();
        match name.strip_prefix(prefix) {
            Some(rest) => Cow::Owned([prefix, b"overlay.", rest].concat()),
            None => Cow::Borrowed(name),
        }
    }

    fn xattr_shown<'a>(&self, name: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        let prefix = self.marks.prefix();
        match name.strip_prefix(prefix) {
            Some(rest) => {
                let own = rest.strip_prefix(b"overlay.")?;
                Some(Cow::Owned([prefix, own].concat()))
            }
            None => Some(Cow::Borrowed(name)),
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The same clock, but the rights of who mounted: what the layers are changed with.
pub(super) fn mounter(caller: &Caller<'_>) -> Caller<'static> {
    Caller::new(crate::Credentials::ROOT, caller.clock())
}
