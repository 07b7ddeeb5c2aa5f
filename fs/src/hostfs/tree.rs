//! What the host provides: the trait behind which its files are.

use crate::{
    DeviceNumber, Errno, Kind, Make, MakeAttributes, Result, Statfs, Swap, Times, Timespec,
};
use alloc::{boxed::Box, sync::Arc};
use core::any::Any;

/// A file of the host, of any kind, whatever its name is by now.
///
/// All operations are synchronous and fast: the host has the bytes in its own cache. Its errors
/// are the errors the program gets. Names are single components; nothing follows a symbolic link.
pub trait HostNode: Send + Sync {
    /// What stat(2) tells of it now.
    ///
    /// # Errors
    /// - `ESTALE`, `ENOENT`: it is gone.
    fn metadata(&self) -> Result<HostMetadata>;

    /// Finds an entry of a directory.
    ///
    /// # Errors
    /// - `ENOENT`: there is none of this name.
    fn lookup(&self, name: &[u8]) -> Result<Found>;

    /// Hands out the entries of a directory but `.` and `..`, from the place `from` on (0 is the
    /// start, others come from [`HostEntry::next`]), until `emit` says `false`.
    fn entries(&self, from: u64, emit: &mut dyn FnMut(HostEntry<'_>) -> bool) -> Result<()>;

    /// The text of a symbolic link.
    fn read_link(&self) -> Result<Box<[u8]>>;

    /// Reads from a regular file; fewer bytes only at its end.
    fn read_at(&self, offset: u64, to: &mut [u8]) -> Result<usize>;

    /// Sizes and counts of the file system it is on.
    fn statfs(&self) -> Result<Statfs> {
        Ok(Statfs::default())
    }

    /// Writes all of `from` to a regular file; with nothing to write, tells whether it could.
    fn write_at(&self, _offset: u64, _from: &[u8]) -> Result<()> {
        Err(Errno::EROFS)
    }

    /// Makes a regular file `size` bytes long.
    fn set_size(&self, _size: u64) -> Result<()> {
        Err(Errno::EROFS)
    }

    /// Sets attributes.
    fn set_attributes(&self, _set: &HostAttributes) -> Result<()> {
        Err(Errno::EROFS)
    }

    /// Makes an entry of a directory. Its owner is who the host lets it be.
    fn make(&self, _name: &[u8], _what: Make<'_>, _attributes: MakeAttributes) -> Result<Found> {
        Err(Errno::EROFS)
    }

    /// Gives `target`, which is of the same tree, another name.
    fn link(&self, _name: &[u8], _target: &dyn HostNode) -> Result<()> {
        Err(Errno::EROFS)
    }

    /// Removes the name of `target`, which keeps its bytes as long as it is used.
    fn remove(&self, _name: &[u8], _target: &dyn HostNode) -> Result<()> {
        Err(Errno::EROFS)
    }

    /// Moves `moved` to a name in another directory of the same tree, or swaps the two.
    fn rename(&self, _from: HostPlace<'_>, _to: HostPlace<'_>, _swap: Swap) -> Result<()> {
        Err(Errno::EROFS)
    }

    /// Writes the file back.
    fn sync(&self) -> Result<()> {
        Ok(())
    }

    /// The file itself, by which a tree knows its own.
    fn as_any(&self) -> &dyn Any;
}

/// One end of a rename.
#[derive(Clone, Copy)]
pub struct HostPlace<'a> {
    /// The directory.
    pub directory: &'a dyn HostNode,
    /// The name in it.
    pub name: &'a [u8],
    /// What the name stands for now.
    pub node: Option<&'a dyn HostNode>,
}

/// Attributes to set; `None` leaves one as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostAttributes {
    /// Permission bits.
    pub mode: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Times of the last read and of the last change of the contents.
    pub times: Option<(Timespec, Timespec)>,
}

/// An entry of a directory that was looked up.
pub struct Found {
    /// The file.
    pub node: Arc<dyn HostNode>,
    /// What stat(2) tells of it.
    pub metadata: HostMetadata,
}

/// An entry of a directory that is listed.
#[derive(Clone, Copy, Debug)]
pub struct HostEntry<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Its inode number on the directory's device.
    pub number: u64,
    /// Its type.
    pub kind: Kind,
    /// Where the listing goes on after it.
    pub next: u64,
}

/// What the host's stat(2) tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostMetadata {
    /// The device it is on; with `number` it identifies the file.
    pub device: u64,
    /// Inode number.
    pub number: u64,
    /// Type.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Hard links.
    pub links: u32,
    /// Bytes.
    pub size: u64,
    /// Blocks of 512 bytes in use.
    pub blocks: u64,
    /// The device it stands for.
    pub special: DeviceNumber,
    /// Times.
    pub times: Times,
}
