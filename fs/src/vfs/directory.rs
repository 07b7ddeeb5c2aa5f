//! Directories of file systems: what can be asked of them, and what is made in them.

use crate::{Caller, DeviceNumber, Errno, Inode, Kind, Result, Timespec};
use alloc::{sync::Arc, vec::Vec};
use core::any::Any;

/// What is to be made in a directory.
#[derive(Clone, Copy, Debug)]
pub enum Make<'a> {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link with this text.
    Symlink(&'a [u8]),
    /// A FIFO.
    Fifo,
    /// The name of a socket.
    Socket,
    /// A character device.
    Character(DeviceNumber),
    /// A block device.
    Block(DeviceNumber),
}

impl Make<'_> {
    /// The type of what is made.
    pub const fn kind(self) -> Kind {
        match self {
            Self::Regular => Kind::Regular,
            Self::Directory => Kind::Directory,
            Self::Symlink(_) => Kind::Symlink,
            Self::Fifo => Kind::Fifo,
            Self::Socket => Kind::Socket,
            Self::Character(_) => Kind::Character,
            Self::Block(_) => Kind::Block,
        }
    }
}

/// Attributes of what is to be made; umask and set-group-id directories are already taken in.
#[derive(Clone, Copy, Debug)]
pub struct MakeAttributes {
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// The time.
    pub now: Timespec,
}

/// An entry of a directory.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Its inode number.
    pub number: u64,
    /// Its type.
    pub kind: Kind,
    /// Where reading goes on after it (`d_off`).
    pub next: u64,
}

/// Takes one entry; `false` when it has no room for it, which ends the listing before that entry.
pub type Emit<'a> = dyn FnMut(Entry<'_>) -> bool + 'a;

/// One end of a rename.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// The directory.
    pub directory: &'a Arc<Inode>,
    /// The name in it.
    pub name: &'a [u8],
    /// What the name stands for now.
    pub inode: Option<&'a Arc<Inode>>,
}

/// A directory of a file system.
///
/// Checks of permission, of the kinds of what is replaced, of loops and of mount points are done
/// above. Changes of one file system are serialised above, and lookups that miss the cache with
/// them; `read_dir` is not. Any method may answer [`Errno::MISS`], having changed nothing.
///
/// The implementation keeps link counts and the times of directory and child.
pub trait Directory: Send + Sync {
    /// Whether what `lookup` finds (and does not find) may be kept in the dentry cache.
    fn cacheable(&self) -> bool {
        true
    }

    /// Finds `name`; `ENOENT` if there is none.
    fn lookup(&self, dir: &Arc<Inode>, name: &[u8], caller: &Caller<'_>) -> Result<Arc<Inode>>;

    /// Lists the entries from `cookie` on, without `.` and `..`; cookies 0, 1 and 2 all mean the
    /// start, those in [`Entry::next`] are above 2.
    fn read_dir(
        &self,
        dir: &Inode,
        cookie: u64,
        caller: &Caller<'_>,
        emit: &mut Emit<'_>,
    ) -> Result<()>;

    /// Makes a file; the name is free.
    fn make(
        &self,
        _dir: &Arc<Inode>,
        _name: &[u8],
        _what: Make<'_>,
        _attributes: MakeAttributes,
        _caller: &Caller<'_>,
    ) -> Result<Arc<Inode>> {
        Err(Errno::EPERM)
    }

    /// Makes a regular file without a name (`O_TMPFILE`), with a link count of 0.
    fn make_nameless(
        &self,
        _dir: &Arc<Inode>,
        _attributes: MakeAttributes,
        _caller: &Caller<'_>,
    ) -> Result<Arc<Inode>> {
        Err(Errno::EOPNOTSUPP)
    }

    /// Gives `target`, which is of the same file system, another name.
    fn link(
        &self,
        _dir: &Arc<Inode>,
        _name: &[u8],
        _target: &Arc<Inode>,
        _caller: &Caller<'_>,
    ) -> Result<()> {
        Err(Errno::EPERM)
    }

    /// Removes a name of a file that is no directory.
    fn unlink(
        &self,
        _dir: &Arc<Inode>,
        _name: &[u8],
        _target: &Arc<Inode>,
        _caller: &Caller<'_>,
    ) -> Result<()> {
        Err(Errno::EPERM)
    }

    /// Removes a directory; `ENOTEMPTY` if it has entries.
    fn remove_dir(
        &self,
        _dir: &Arc<Inode>,
        _name: &[u8],
        _target: &Arc<Inode>,
        _caller: &Caller<'_>,
    ) -> Result<()> {
        Err(Errno::EPERM)
    }

    /// `st_size`.
    fn size(&self) -> u64 {
        0
    }

    /// Gives up all entries of a directory that only this one references, so that a deep tree can
    /// be dropped without recursion.
    fn drain(&self) -> Vec<Arc<Inode>> {
        Vec::new()
    }

    /// The directory itself, by which a file system knows its own.
    fn as_any(&self) -> Option<&dyn Any> {
        None
    }

    /// Moves `from` to `to` and removes what was there, or swaps the two. `from.inode` is there.
    /// Called on the directory of `from`.
    fn rename(
        &self,
        _from: Place<'_>,
        _to: Place<'_>,
        _swap: Swap,
        _caller: &Caller<'_>,
    ) -> Result<()> {
        Err(Errno::EPERM)
    }
}

/// Whether a rename replaces what is there or swaps the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swap {
    /// What is there goes away.
    Replace,
    /// `RENAME_EXCHANGE`.
    Exchange,
}
