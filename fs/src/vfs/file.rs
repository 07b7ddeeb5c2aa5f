//! Open files: reading, writing, seeking, listing.

use crate::{
    Caller, Capabilities, Emit, Entry, Errno, Grow, Inode, Kind, OpenFlags, OpenNode, PageCache,
    Path, Result, Role, Sink, Source, Statfs,
    notify::{self, Event},
    pages::{SIZE_MAX, Start},
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

/// What fallocate(2) does to a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allocate {
    /// Give it room; the file may become longer.
    Reserve(Grow),
    /// Make it a hole.
    PunchHole,
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

    /// Reads at the offset and moves it.
    ///
    /// # Errors
    /// - `EBADF`: not open for reading.
    /// - `EISDIR`: a directory.
    /// - `EFAULT`: the sink says where; the offset has moved up to there.
    ///
    /// Source: read(2)
    pub fn read(&self, to: &mut Sink<'_>, caller: &Caller<'_>) -> Result<usize> {
        let mut offset = self.offset.lock();
        let before = to.done();
        let result = self.read_from(*offset, to, caller);
        *offset += (to.done() - before) as u64;
        result?;
        Ok(to.done())
    }

    /// Reads at `offset`, which is that of the first byte of the sink.
    ///
    /// # Errors
    /// As [`read`](Self::read), and:
    /// - `ESPIPE`: the file has no offsets.
    ///
    /// Source: pread(2)
    pub fn read_at(&self, offset: u64, to: &mut Sink<'_>, caller: &Caller<'_>) -> Result<usize> {
        self.seekable()?;
        let offset = offset.checked_add(to.done() as u64).ok_or(Errno::EINVAL)?;
        self.read_from(offset, to, caller)?;
        Ok(to.done())
    }

    fn read_from(&self, offset: u64, to: &mut Sink<'_>, caller: &Caller<'_>) -> Result<()> {
        self.readable()?;
        if let Some(pages) = self.inode.pages() {
            pages.read_at(offset, to, caller)?;
            if !self.flags().contains(OpenFlags::NO_ACCESS_TIME) {
                self.path.touch_accessed(caller);
            }
            notify::report(&self.path, Event::Access);
            return Ok(());
        }
        match &self.node {
            Some(node) => node.read(offset, to, caller).map(drop),
            None if self.inode.is_directory() => Err(Errno::EISDIR),
            None => Err(Errno::EINVAL),
        }
    }

    /// Writes at the offset and moves it, or at the end with `O_APPEND`.
    ///
    /// # Errors
    /// - `EBADF`: not open for writing.
    /// - `EFBIG`: beyond a limit of the file or the caller.
    /// - `ENOSPC`: no room.
    /// - `EPERM`: sealed.
    /// - `EFAULT`: the source says where; the offset has moved up to there.
    ///
    /// Source: write(2)
    pub fn write(&self, from: &mut Source<'_>, caller: &Caller<'_>) -> Result<usize> {
        let mut offset = self.offset.lock();
        let before = from.done();
        let result = self.write_to(*offset, from, caller);
        *offset = match result {
            Ok(after) => after,
            Err(_) => *offset + (from.done() - before) as u64,
        };
        match result {
            // What was written before an error of a second try counts.
            Err(Errno::ENOSPC | Errno::EFBIG | Errno::EPERM) if before > 0 => Ok(before),
            Err(error) => Err(error),
            Ok(_) => Ok(from.done()),
        }
    }

    /// Writes at `offset`, which is that of the first byte of the source; at the end with
    /// `O_APPEND`, as Linux does.
    ///
    /// # Errors
    /// As [`write`](Self::write), and:
    /// - `ESPIPE`: the file has no offsets.
    ///
    /// Source: pwrite(2)
    pub fn write_at(
        &self,
        offset: u64,
        from: &mut Source<'_>,
        caller: &Caller<'_>,
    ) -> Result<usize> {
        self.seekable()?;
        let before = from.done();
        let offset = offset.checked_add(before as u64).ok_or(Errno::EINVAL)?;
        match self.write_to(offset, from, caller) {
            Err(Errno::ENOSPC | Errno::EFBIG | Errno::EPERM) if before > 0 => Ok(before),
            Err(error) => Err(error),
            Ok(_) => Ok(from.done()),
        }
    }

    /// Writes and returns the offset after the last byte.
    fn write_to(&self, offset: u64, from: &mut Source<'_>, caller: &Caller<'_>) -> Result<u64> {
        self.writable()?;
        if let Some(pages) = self.inode.pages() {
            let append = self.flags().contains(OpenFlags::APPEND);
            let start = if append { Start::End } else { Start::At(offset) };
            if from.remaining() == 0 {
                return Ok(offset);
            }
            let end = offset.saturating_add(from.remaining() as u64);
            if !append && end > SIZE_MAX {
                return Err(Errno::EINVAL);
            }
            let before = from.done();
            let result = pages.write_from(start, from, caller);
            if from.done() != before {
                self.inode.drop_privileges(caller);
                self.inode.touch_modified(caller);
                notify::report(&self.path, Event::Modify);
            }
            return result;
        }
        match &self.node {
            Some(node) => {
                let count = node.write(offset, from, caller)?;
                notify::report(&self.path, Event::Modify);
                Ok(offset + count as u64)
            }
            None => Err(Errno::EINVAL),
        }
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

    /// Makes the file `size` bytes long.
    ///
    /// # Errors
    /// - `EBADF`: a mere place (`O_PATH`).
    /// - `EINVAL`: not a regular file, or not open for writing.
    /// - `EFBIG`: beyond a limit of the file or the caller.
    /// - `EPERM`: sealed.
    ///
    /// Source: ftruncate(2)
    pub fn truncate(&self, size: u64, caller: &Caller<'_>) -> Result<()> {
        if self.flags().contains(OpenFlags::PATH) {
            return Err(Errno::EBADF);
        }
        if self.inode.is_directory() {
            return Err(Errno::EINVAL);
        }
        self.writable().map_err(|_| Errno::EINVAL)?;
        self.inode.truncate(size, caller)?;
        notify::report(&self.path, Event::Modify);
        Ok(())
    }

    pub(super) fn truncate_on_open(&self, caller: &Caller<'_>) -> Result<()> {
        if self.inode.pages().is_none() {
            return Ok(());
        }
        if !self.flags().writable() {
            // O_RDONLY | O_TRUNC truncates on Linux; permission to write was checked.
            self.inode.get_write_access()?;
            let result = self.inode.truncate(0, caller);
            self.inode.put_write_access();
            return result;
        }
        self.inode.truncate(0, caller)
    }

    /// Gives room to a range, or takes it.
    ///
    /// # Errors
    /// - `EBADF`: not open for writing.
    /// - `ENODEV`: not a regular file.
    /// - `EFBIG`, `ENOSPC`, `EPERM`: as [`write`](Self::write).
    ///
    /// Source: fallocate(2)
    pub fn allocate(
        &self,
        what: Allocate,
        offset: u64,
        length: u64,
        caller: &Caller<'_>,
    ) -> Result<()> {
        self.writable()?;
        let pages = self.inode.pages().ok_or(Errno::ENODEV)?;
        if length == 0 {
            return Err(Errno::EINVAL);
        }
        let end = offset.checked_add(length).ok_or(Errno::EFBIG)?;
        let grow = match what {
            Allocate::Reserve(grow) => grow,
            Allocate::PunchHole => Grow::No,
        };
        if grow == Grow::Yes && end > caller.size_limit {
            return Err(Errno::EFBIG);
        }
        match what {
            Allocate::Reserve(grow) => pages.allocate(offset..end, grow, caller)?,
            Allocate::PunchHole => pages.punch(offset..end, caller)?,
        }
        self.inode.drop_privileges(caller);
        self.inode.touch_modified(caller);
        notify::report(&self.path, Event::Modify);
        Ok(())
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

impl Inode {
    /// Writing and changing the owner take set-id bits away from those without `CAP_FSETID`.
    pub(crate) fn drop_privileges(&self, caller: &Caller<'_>) {
        use crate::vfs::attr::mode::{GROUP_EXECUTE, SET_GID, SET_UID};
        let mode = self.mode();
        if mode & (SET_UID | SET_GID) == 0 || caller.capable(Capabilities::FSETID) {
            return;
        }
        let group = if mode & GROUP_EXECUTE != 0 { SET_GID } else { 0 };
        self.set_mode(mode & !(SET_UID | group));
    }

    pub(crate) fn touch_modified(&self, caller: &Caller<'_>) {
        let now = caller.now();
        self.update_times(|times| (times.modified, times.changed) = (now, now));
        self.super_block().file_system().attributes_changed(self);
    }

    /// Sets the size, with all that belongs to it but checks of permission.
    pub(crate) fn truncate(&self, size: u64, caller: &Caller<'_>) -> Result<()> {
        let pages = self.pages().ok_or(Errno::EINVAL)?;
        if size > caller.size_limit && size > pages.size() {
            return Err(Errno::EFBIG);
        }
        pages.truncate(size, caller)?;
        self.drop_privileges(caller);
        self.touch_modified(caller);
        Ok(())
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
