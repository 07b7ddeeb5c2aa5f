//! A directory of this host as a file system of the library OS.
//!
//! A file is known by its directory and its name in it, and by device and inode number, which are
//! compared whenever it is opened: a file that was put there since is another one (`ESTALE`). Each
//! name is opened relative to its directory and without following symbolic links, so nothing leads
//! out of the tree. Descriptors are opened when they are needed; the oldest are closed when there
//! are many, but for those of files whose name was removed.

mod change;
#[cfg(test)]
mod tests;

use abi::{Errno, Result};
use fs::{
    DeviceNumber, Kind, Make, MakeAttributes, Statfs, Swap, Times, Timespec,
    hostfs::{Found, HostAttributes, HostEntry, HostMetadata, HostNode, HostPlace},
};
use rustix::{
    fs::{self as host, AtFlags, CWD, Dir, FileType, Mode, OFlags, Statx, StatxFlags},
    io,
    process::{Resource, getrlimit},
};
use std::{
    any::Any,
    collections::VecDeque,
    ffi::{CStr, CString},
    os::fd::OwnedFd,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

/// Descriptors kept open if the host allows as many.
const OPEN_MAX: usize = 4096;

/// The root of a directory tree, for [`fs::hostfs::mount`].
///
/// # Errors
/// Those of opening the directory.
pub fn open(directory: &Path) -> Result<Arc<dyn HostNode>> {
    open_as(directory, false)
}

/// The same for [`fs::hostfs::mount_writable`].
///
/// # Errors
/// Those of opening the directory.
pub fn open_writable(directory: &Path) -> Result<Arc<dyn HostNode>> {
    open_as(directory, true)
}

fn open_as(directory: &Path, writable: bool) -> Result<Arc<dyn HostNode>> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = host::openat(CWD, directory, flags, Mode::empty()).map_err(errno)?;
    let metadata = status(&root, c"")?;
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX) / 2;
    let limit = usize::try_from(limit).unwrap_or(OPEN_MAX).min(OPEN_MAX);
    Ok(Arc::new(Handle(Arc::new(HostFile {
        tree: Arc::new(Tree { writable, limit, opened: Mutex::default() }),
        place: Mutex::new(Place { parent: None, name: CString::default() }),
        identity: (metadata.device, metadata.number),
        kind: metadata.kind,
        descriptor: Mutex::new(Some(Arc::new(root))),
        kept: Mutex::default(),
    }))))
}

/// What all files of a tree share.
struct Tree {
    writable: bool,
    limit: usize,
    /// The files with a descriptor, oldest first.
    opened: Mutex<VecDeque<Weak<HostFile>>>,
}

struct HostFile {
    tree: Arc<Tree>,
    place: Mutex<Place>,
    identity: (u64, u64),
    kind: Kind,
    descriptor: Mutex<Option<Arc<OwnedFd>>>,
    /// Kept open for good: there may be no name to open it by again.
    kept: Mutex<Option<Arc<OwnedFd>>>,
}

/// Where a file is; nowhere if it is the root.
#[derive(Clone, Default)]
struct Place {
    parent: Option<Arc<HostFile>>,
    name: CString,
}

fn errno(errno: io::Errno) -> Errno {
    Errno::from_linux(errno.raw_os_error())
}

/// Nobody panics while holding a lock of this module, so what it guards is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn status(directory: &OwnedFd, name: &CStr) -> Result<HostMetadata> {
    let mut flags = AtFlags::SYMLINK_NOFOLLOW;
    flags.set(AtFlags::EMPTY_PATH, name.is_empty());
    let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
    let status = host::statx(directory, name, flags, wanted).map_err(errno)?;
    metadata(&status).ok_or(Errno::EIO)
}

fn metadata(status: &Statx) -> Option<HostMetadata> {
    let time = |time: &host::StatxTimestamp| Timespec::new(time.tv_sec, time.tv_nsec);
    let mode = u32::from(status.stx_mode);
    Some(HostMetadata {
        device: DeviceNumber::new(status.stx_dev_major, status.stx_dev_minor).to_raw(),
        number: status.stx_ino,
        kind: Kind::from_mode(mode)?,
        mode: mode & 0o7777,
        uid: status.stx_uid,
        gid: status.stx_gid,
        links: status.stx_nlink,
        size: status.stx_size,
        blocks: status.stx_blocks,
        special: DeviceNumber::new(status.stx_rdev_major, status.stx_rdev_minor),
        times: Times {
            accessed: time(&status.stx_atime),
            modified: time(&status.stx_mtime),
            changed: time(&status.stx_ctime),
            born: time(&status.stx_btime),
        },
    })
}

fn kind(file_type: FileType) -> Option<Kind> {
    Some(match file_type {
        FileType::Directory => Kind::Directory,
        FileType::RegularFile => Kind::Regular,
        FileType::Symlink => Kind::Symlink,
        FileType::Fifo => Kind::Fifo,
        FileType::Socket => Kind::Socket,
        FileType::CharacterDevice => Kind::Character,
        FileType::BlockDevice => Kind::Block,
        FileType::Unknown => return None,
    })
}

impl HostFile {
    fn checked(&self, metadata: HostMetadata) -> Result<HostMetadata> {
        let identity = (metadata.device, metadata.number);
        if identity == self.identity { Ok(metadata) } else { Err(Errno::ESTALE) }
    }

    /// The descriptor of its directory, and its name there.
    fn place(&self) -> Result<(Arc<OwnedFd>, CString)> {
        let Place { parent, name } = lock(&self.place).clone();
        Ok((parent.ok_or(Errno::ESTALE)?.descriptor()?, name))
    }

    /// The descriptor: of a directory to look names up, of a regular file to read.
    fn descriptor(self: &Arc<Self>) -> Result<Arc<OwnedFd>> {
        let open = lock(&self.descriptor).clone().or_else(|| lock(&self.kept).clone());
        if let Some(open) = open {
            return Ok(open);
        }
        let (directory, name) = self.place()?;
        let open = |flags| {
            let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            host::openat(&*directory, &*name, flags, Mode::empty()).map_err(errno)
        };
        let calm = OFlags::NONBLOCK | OFlags::NOCTTY;
        let opened = match self.kind {
            Kind::Directory => open(OFlags::PATH | OFlags::DIRECTORY)?,
            // What may not be written can still be read.
            Kind::Regular if self.tree.writable => {
                open(OFlags::RDWR | calm).or_else(|_| open(OFlags::RDONLY | calm))?
            }
            Kind::Regular => open(OFlags::RDONLY | calm)?,
            _ => return Err(Errno::ENXIO),
        };
        self.checked(status(&opened, c"")?)?;
        let opened = Arc::new(opened);
        *lock(&self.descriptor) = Some(Arc::clone(&opened));
        self.tree.count(self);
        Ok(opened)
    }
}

impl HostFile {
    /// Its name is about to go: what is open stays open.
    fn keep(self: &Arc<Self>) {
        if self.kind == Kind::Regular {
            // What cannot be opened cannot be in use either.
            *lock(&self.kept) = self.descriptor().ok();
        }
    }

    fn moved(&self, parent: &Arc<HostFile>, name: CString) {
        let place = Place { parent: Some(Arc::clone(parent)), name };
        let before = std::mem::replace(&mut *lock(&self.place), place);
        drop(before);
    }
}

impl Tree {
    /// One more descriptor is open; the oldest is closed if there are too many.
    fn count(&self, file: &Arc<HostFile>) {
        let oldest = {
            let mut opened = lock(&self.opened);
            opened.push_back(Arc::downgrade(file));
            if opened.len() > self.limit { opened.pop_front() } else { None }
        };
        if let Some(oldest) = oldest.and_then(|oldest| oldest.upgrade()) {
            drop(lock(&oldest.descriptor).take());
        }
    }
}

impl Drop for HostFile {
    /// Lets go of the parents one by one: the tree may be deeper than the stack.
    fn drop(&mut self) {
        let mut parent = lock(&self.place).parent.take();
        while let Some(file) = parent.and_then(Arc::into_inner) {
            parent = lock(&file.place).parent.take();
        }
    }
}

/// A file of the host as the file system holds it.
struct Handle(Arc<HostFile>);

impl HostNode for Handle {
    fn metadata(&self) -> Result<HostMetadata> {
        let open = lock(&self.0.descriptor).clone().or_else(|| lock(&self.0.kept).clone());
        let found = match open {
            Some(open) => status(&open, c"")?,
            None => {
                let (directory, name) = self.0.place()?;
                status(&directory, &name)?
            }
        };
        self.0.checked(found)
    }

    fn lookup(&self, name: &[u8]) -> Result<Found> {
        let name = component(name)?;
        let metadata = status(&*self.0.descriptor()?, &name)?;
        let node = HostFile {
            tree: Arc::clone(&self.0.tree),
            place: Mutex::new(Place { parent: Some(Arc::clone(&self.0)), name }),
            identity: (metadata.device, metadata.number),
            kind: metadata.kind,
            descriptor: Mutex::default(),
            kept: Mutex::default(),
        };
        Ok(Found { node: Arc::new(Handle(Arc::new(node))), metadata })
    }

    fn entries(&self, from: u64, emit: &mut dyn FnMut(HostEntry<'_>) -> bool) -> Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = self.0.descriptor()?;
        let opened = host::openat(&*directory, c".", flags, Mode::empty()).map_err(errno)?;
        let mut listing = Dir::new(opened).map_err(errno)?;
        listing.seek(i64::try_from(from).map_err(|_| Errno::EINVAL)?).map_err(errno)?;
        while let Some(entry) = listing.read() {
            let entry = entry.map_err(errno)?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let kind = match kind(entry.file_type()) {
                Some(kind) => kind,
                // Not every file system tells; what is gone by now is left out.
                None => match status(&directory, name) {
                    Ok(metadata) => metadata.kind,
                    Err(_) => continue,
                },
            };
            let next = u64::try_from(entry.offset()).map_err(|_| Errno::EIO)?;
            if !emit(HostEntry { name: name.to_bytes(), number: entry.ino(), kind, next }) {
                break;
            }
        }
        Ok(())
    }

    fn read_link(&self) -> Result<Box<[u8]>> {
        let (directory, name) = self.0.place()?;
        let text = host::readlinkat(&*directory, &*name, Vec::new()).map_err(errno)?;
        Ok(text.into_bytes().into_boxed_slice())
    }

    fn read_at(&self, offset: u64, to: &mut [u8]) -> Result<usize> {
        let file = self.0.descriptor()?;
        let mut done = 0;
        while done < to.len() {
            let read =
                io::retry_on_intr(|| io::pread(&*file, &mut to[done..], offset + done as u64));
            match read.map_err(errno)? {
                0 => break,
                count => done += count,
            }
        }
        Ok(done)
    }

    fn statfs(&self) -> Result<Statfs> {
        let told = host::fstatfs(&*self.0.descriptor()?).map_err(errno)?;
        let unsigned = |value: i64| u64::try_from(value).unwrap_or(0);
        Ok(Statfs {
            magic: unsigned(told.f_type),
            block_size: unsigned(told.f_bsize),
            blocks: told.f_blocks,
            blocks_free: told.f_bfree,
            blocks_available: told.f_bavail,
            inodes: told.f_files,
            inodes_free: told.f_ffree,
            ..Statfs::default()
        })
    }

    fn write_at(&self, offset: u64, from: &[u8]) -> Result<()> {
        let file = self.0.descriptor()?;
        let mode = host::fcntl_getfl(&*file).map_err(errno)?;
        if !mode.contains(OFlags::RDWR) {
            return Err(if self.0.tree.writable { Errno::EACCES } else { Errno::EROFS });
        }
        let mut done = 0;
        while done < from.len() {
            let write = || io::pwrite(&*file, &from[done..], offset + done as u64);
            done += io::retry_on_intr(write).map_err(errno)?;
        }
        Ok(())
    }

    fn set_size(&self, size: u64) -> Result<()> {
        host::ftruncate(&*self.0.descriptor()?, size).map_err(errno)
    }

    fn set_attributes(&self, set: &HostAttributes) -> Result<()> {
        change::set_attributes(&self.0, set)
    }

    fn make(&self, name: &[u8], what: Make<'_>, attributes: MakeAttributes) -> Result<Found> {
        let name = component(name)?;
        change::make(&*self.0.descriptor()?, &name, what, attributes)?;
        self.lookup(name.as_bytes())
    }

    fn link(&self, name: &[u8], target: &dyn HostNode) -> Result<()> {
        let (directory, old) = own(target)?.place()?;
        let (to, name) = (self.0.descriptor()?, component(name)?);
        host::linkat(&*directory, &*old, &*to, &*name, AtFlags::empty()).map_err(errno)
    }

    fn remove(&self, name: &[u8], target: &dyn HostNode) -> Result<()> {
        let (target, name) = (own(target)?, component(name)?);
        target.keep();
        let mut flags = AtFlags::empty();
        flags.set(AtFlags::REMOVEDIR, target.kind == Kind::Directory);
        host::unlinkat(&*self.0.descriptor()?, &*name, flags).map_err(errno)
    }

    fn rename(&self, from: HostPlace<'_>, to: HostPlace<'_>, swap: Swap) -> Result<()> {
        let (old, new) = (own(from.directory)?, own(to.directory)?);
        let (old_name, new_name) = (component(from.name)?, component(to.name)?);
        let replaced = to.node.map(own).transpose()?;
        let flags = match swap {
            Swap::Replace => host::RenameFlags::empty(),
            Swap::Exchange => host::RenameFlags::EXCHANGE,
        };
        if let (Swap::Replace, Some(replaced)) = (swap, replaced) {
            replaced.keep();
        }
        let (from_fd, to_fd) = (old.descriptor()?, new.descriptor()?);
        host::renameat_with(&*from_fd, &*old_name, &*to_fd, &*new_name, flags).map_err(errno)?;
        if let Some(moved) = from.node {
            own(moved)?.moved(new, new_name);
        }
        if let (Swap::Exchange, Some(other)) = (swap, replaced) {
            other.moved(old, old_name);
        }
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        match self.0.kind {
            Kind::Regular => host::fsync(&*self.0.descriptor()?).map_err(errno),
            _ => Ok(()),
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The file behind a node of a tree of this host.
fn own(node: &dyn HostNode) -> Result<&Arc<HostFile>> {
    node.as_any().downcast_ref::<Handle>().map(|handle| &handle.0).ok_or(Errno::EXDEV)
}

/// A name that leads neither out of the directory nor to itself.
fn component(name: &[u8]) -> Result<CString> {
    match name {
        b"" | b"." | b".." => Err(Errno::ENOENT),
        name if name.contains(&b'/') => Err(Errno::ENOENT),
        name => CString::new(name).map_err(|_| Errno::ENOENT),
    }
}
