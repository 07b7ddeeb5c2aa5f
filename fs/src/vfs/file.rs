//! Open files: opening, seeking, listing, closing.

mod size;
mod transfer;

pub use size::Allocate;

use crate::{
    Caller, Emit, Entry, Errno, Inode, Kind, OpenFlags, OpenNode, PageCache, Path, Result, Role,
    Statfs,
    notify::{self, Event},
};
use abi::Events;
use alloc::{boxed::Box, sync::Arc};
use core::{
    fmt,
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
};
use executor::wait::WaitQueue;
use spin::Mutex;

/// An open file description of a regular file, a directory, or a place (`O_PATH`).
///
/// `read` and `write` may be tried again after `EFAULT` and `MISS` with the same sink or source;
/// they then go on where it stands, and answer its whole count.
pub struct OpenFile {
    path: Path,
    inode: Arc<Inode>,
    flags: AtomicU32,
    offset: Mutex<u64>,
    /// Identifies it as the owner of locks.
    id: u64,
    node: Option<Box<dyn OpenNode>>,
}

/// From where lseek(2) counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whence {
    /// The start.
    Set,
    /// The current offset.
    Current,
    /// The end.
    End,
    /// The next byte of data.
    Data,
    /// The next hole.
    Hole,
}

impl OpenFile {
    pub(crate) fn open(
        path: Path,
        inode: Arc<Inode>,
        flags: OpenFlags,
        caller: &Caller<'_>,
    ) -> Result<Self> {
        if flags.writable() {
            inode.get_write_access()?;
        }
        let mut file = Self::place(path, inode, flags);
        if flags.writable() {
            file.path.mount().writers.fetch_add(1, Relaxed);
            file.inode.super_block().writers.fetch_add(1, Relaxed);
        }
        if let Role::Generated(node) = file.inode.role() {
            file.node = Some(node.open(&file.inode, caller)?);
        }
        Ok(file)
    }

    pub(super) fn place(path: Path, inode: Arc<Inode>, flags: OpenFlags) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = NEXT.fetch_add(1, Relaxed);
        let (flags, offset) = (AtomicU32::new(flags.bits()), Mutex::new(0));
        Self { path, inode, flags, offset, id, node: None }
    }

    /// Where it was opened.
    pub const fn path(&self) -> &Path {
        &self.path
    }

    /// The file.
    pub const fn inode(&self) -> &Arc<Inode> {
        &self.inode
    }

    /// Its flags, for `F_GETFL`.
    pub fn flags(&self) -> OpenFlags {
        OpenFlags::from_bits_retain(self.flags.load(Relaxed))
    }

    /// Changes the flags that `F_SETFL` changes.
    ///
    /// # Errors
    /// - `EPERM`: `O_NOATIME` by somebody who is not the owner.
    pub fn set_flags(&self, flags: OpenFlags, caller: &Caller<'_>) -> Result<()> {
        let old = self.flags();
        let quiet = (flags - old).contains(OpenFlags::NO_ACCESS_TIME);
        if quiet && !self.inode.owned_by(caller) {
            return Err(Errno::EPERM);
        }
        let new = (old - OpenFlags::SETTABLE) | (flags & OpenFlags::SETTABLE);
        self.flags.store(new.bits(), Relaxed);
        Ok(())
    }

    /// A number no other open file has: it owns locks of flock(2) and `F_OFD_SETLK`.
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// The operations of a file that has its own (`/proc`).
    pub fn node(&self) -> Option<&dyn OpenNode> {
        self.node.as_deref()
    }

    fn readable(&self) -> Result<()> {
        if self.flags().readable() { Ok(()) } else { Err(Errno::EBADF) }
    }

    fn writable(&self) -> Result<()> {
        if self.flags().writable() { Ok(()) } else { Err(Errno::EBADF) }
    }

    /// The page cache, if it is a regular file with one: what mmap(2) maps.
    pub fn pages(&self) -> Option<&PageCache> {
        self.inode.pages()
    }

    fn seekable(&self) -> Result<()> {
        match &self.node {
            _ if self.flags().contains(OpenFlags::PATH) => Err(Errno::EBADF),
            Some(node) if !node.seekable() => Err(Errno::ESPIPE),
            _ => Ok(()),
        }
    }

    /// Moves the offset and returns it.
    ///
    /// # Errors
    /// - `EINVAL`: it would be negative, or too large.
    /// - `ENXIO`: no data, or nothing at all, from there on.
    /// - `ESPIPE`: the file has no offsets.
    ///
    /// Source: lseek(2)
    pub fn seek(&self, by: i64, whence: Whence) -> Result<u64> {
        self.seekable()?;
        let mut offset = self.offset.lock();
        let size = self.inode.size();
        let add = |base: u64| {
            let sum = i64::try_from(base).ok().and_then(|base| base.checked_add(by));
            let sum = sum.ok_or(Errno::EINVAL)?;
            u64::try_from(sum).map_err(|_| Errno::EINVAL)
        };
        if self.inode.is_directory() && !matches!(whence, Whence::Set | Whence::Current) {
            return Err(Errno::EINVAL);
        }
        *offset = match whence {
            Whence::Set => add(0)?,
            Whence::Current => add(*offset)?,
            Whence::End => add(size)?,
            Whence::Data | Whence::Hole => {
                let from = u64::try_from(by).map_err(|_| Errno::ENXIO)?;
                if from >= size {
                    return Err(Errno::ENXIO);
                }
                match (self.inode.pages(), whence) {
                    (Some(pages), Whence::Data) => pages.next_data(from).ok_or(Errno::ENXIO)?,
                    (Some(pages), _) => pages.next_hole(from),
                    (None, Whence::Data) => from,
                    (None, _) => size,
                }
            }
        };
        Ok(*offset)
    }

    /// Lists entries from the offset on until `emit` has no room, and moves the offset.
    ///
    /// # Errors
    /// - `ENOTDIR`: no directory.
    /// - `ENOENT`: it was removed.
    ///
    /// Source: getdents64(2)
    pub fn read_dir(&self, caller: &Caller<'_>, emit: &mut Emit<'_>) -> Result<()> {
        let directory = self.inode.directory()?;
        self.readable()?;
        if self.path.dentry().is_unlinked() {
            return Err(Errno::ENOENT);
        }
        let mut offset = self.offset.lock();
        let above =
            self.path.dentry().parent().and_then(|parent| Some(parent.inode().ok()?.number()));
        let dots: [(&[u8], u64); 2] =
            [(b".", self.inode.number()), (b"..", above.unwrap_or(self.inode.number()))];
        for (position, (name, number)) in (0..).zip(dots) {
            if *offset == position {
                let entry = Entry { name, number, kind: Kind::Directory, next: position + 1 };
                if !emit(entry) {
                    return Ok(());
                }
                *offset = position + 1;
            }
        }
        let mut next = *offset;
        let result = directory.read_dir(&self.inode, next, caller, &mut |entry| {
            let taken = emit(entry);
            if taken {
                next = entry.next;
            }
            taken
        });
        *offset = next;
        self.path.touch_accessed(caller);
        notify::report(&self.path, Event::Access);
        result
    }

    /// Writes the file back: fsync(2).
    pub fn sync(&self, caller: &Caller<'_>) -> Result<()> {
        self.inode.super_block().file_system().sync_inode(&self.inode, caller)
    }

    /// The file system it is on: fstatfs(2).
    pub fn statfs(&self) -> Statfs {
        self.path.mount().statfs()
    }

    /// Which events are there now.
    pub fn poll(&self) -> Events {
        let always = Events::IN | Events::OUT | Events::RDNORM | Events::WRNORM;
        self.node.as_ref().map_or(always, |node| node.poll())
    }

    /// Where to wait for events, if they change.
    pub fn wait_queue(&self) -> Option<&WaitQueue> {
        self.node.as_ref()?.wait_queue()
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        if let Some(extra) = self.inode.extra_if_any() {
            extra.locks.release_file(self.id);
        }
        let flags = self.flags();
        if flags.contains(OpenFlags::PATH) {
            return;
        }
        if flags.writable() {
            self.inode.put_write_access();
            self.path.mount().writers.fetch_sub(1, Relaxed);
            self.inode.super_block().writers.fetch_sub(1, Relaxed);
        }
        let event = if flags.writable() { Event::CloseWrite } else { Event::CloseNoWrite };
        notify::report(&self.path, event);
    }
}

impl fmt::Debug for OpenFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenFile({:?})", self.path)
    }
}
