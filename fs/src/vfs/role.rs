//! What a file system provides for each kind of file.

use crate::{
    Caller, DeviceNumber, Directory, Errno, Inode, PageCache, Path, Result, Sink, Source,
    pipe::Pipe,
};
use abi::Events;
use alloc::{borrow::Cow, boxed::Box, sync::Arc, vec::Vec};
use core::any::Any;
use executor::wait::WaitQueue;
use spin::Once;

/// What a file can do, by kind.
pub enum Role {
    /// A directory.
    Directory(Box<dyn Directory>),
    /// A regular file whose bytes are in the page cache.
    Regular(PageCache),
    /// A regular file that shows the bytes of another: those of [`Backing::real`].
    Stacked,
    /// A regular file made up as it is read (`/proc`), or with operations of its own.
    Generated(Box<dyn FileNode>),
    /// A symbolic link with a fixed text.
    Symlink(Box<[u8]>),
    /// A symbolic link whose text is made up, or which jumps to a file without any text.
    MagicLink(Box<dyn MagicLink>),
    /// A FIFO; the pipe is made when it is first opened.
    Fifo(Once<Arc<Pipe>>),
    /// A character or block device.
    Device(DeviceNumber),
    /// A socket, or another object of the kernel that has no bytes of its own.
    Object,
}

/// A regular file that makes its bytes up.
pub trait FileNode: Send + Sync {
    /// Opens it; the state of this open file is in what is returned.
    fn open(&self, inode: &Arc<Inode>, caller: &Caller<'_>) -> Result<Box<dyn OpenNode>>;

    /// `st_size`.
    fn size(&self) -> u64 {
        0
    }
}

/// An open file with operations of its own. All are try-first: `EAGAIN` when they have to wait.
pub trait OpenNode: Send + Sync {
    /// Reads at `offset`; returns how many bytes.
    fn read(&self, _offset: u64, _to: &mut Sink<'_>, _caller: &Caller<'_>) -> Result<usize> {
        Err(Errno::EINVAL)
    }

    /// Writes at `offset`; returns how many bytes.
    fn write(&self, _offset: u64, _from: &mut Source<'_>, _caller: &Caller<'_>) -> Result<usize> {
        Err(Errno::EINVAL)
    }

    /// Which events are there now.
    fn poll(&self) -> Events {
        Events::IN | Events::OUT | Events::RDNORM | Events::WRNORM
    }

    /// Where to wait for events, if they change.
    fn wait_queue(&self) -> Option<&WaitQueue> {
        None
    }

    /// Whether lseek and pread work.
    fn seekable(&self) -> bool {
        true
    }

    /// The object itself, for operations only the crate above knows.
    fn as_any(&self) -> Option<&dyn Any> {
        None
    }
}

/// A symbolic link that is made up as it is read.
pub trait MagicLink: Send + Sync {
    /// What readlink(2) answers.
    fn text(&self, caller: &Caller<'_>) -> Result<Vec<u8>>;

    /// Where following it leads without going by its text; `None` goes by the text.
    fn jump(&self, _caller: &Caller<'_>) -> Option<Result<Path>> {
        None
    }
}

/// What is behind an inode that is a view of something else.
pub trait Backing: Send + Sync {
    /// The inode of another file system whose bytes and extended attributes it shows. It may
    /// become another one, once.
    fn real(&self) -> Option<&Arc<Inode>> {
        None
    }

    /// What an extended attribute is called at the real inode.
    fn xattr_below<'a>(&self, name: &'a [u8]) -> Cow<'a, [u8]> {
        Cow::Borrowed(name)
    }

    /// What an extended attribute of the real inode is called here; `None` if it is hidden.
    fn xattr_shown<'a>(&self, name: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        Some(Cow::Borrowed(name))
    }

    /// The backing itself, by which a file system knows its own.
    fn as_any(&self) -> &dyn Any;
}
