//! A directory of this host as a file system of the library OS.
//!
//! A file is known by its directory and its name in it, and by device and inode number, which are
//! compared whenever it is opened: a file that was put there since is another one (`ESTALE`). Each
//! name is opened relative to its directory and without following symbolic links, so nothing leads
//! out of the tree. Descriptors are opened when they are needed; the oldest are closed when there
//! are many.

#[cfg(test)]
mod tests;

use abi::{Errno, Result};
use fs::{
    DeviceNumber, Kind, Statfs, Times, Timespec,
    hostfs::{Found, HostEntry, HostMetadata, HostNode},
};
use rustix::{
    fs::{self as host, AtFlags, CWD, Dir, FileType, Mode, OFlags, Statx, StatxFlags},
    io,
    process::{Resource, getrlimit},
};
use std::{
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
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = host::openat(CWD, directory, flags, Mode::empty()).map_err(errno)?;
    let metadata = status(&root, c"")?;
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX) / 2;
    let limit = usize::try_from(limit).unwrap_or(OPEN_MAX).min(OPEN_MAX);
    Ok(Arc::new(Handle(Arc::new(HostFile {
        tree: Arc::new(Tree { limit, opened: Mutex::default() }),
        parent: None,
        name: CString::default(),
        identity: (metadata.device, metadata.number),
        kind: metadata.kind,
        descriptor: Mutex::new(Some(Arc::new(root))),
    }))))
}

/// What all files of a tree share.
struct Tree {
    limit: usize,
    /// The files with a descriptor, oldest first.
    opened: Mutex<VecDeque<Weak<HostFile>>>,
}

struct HostFile {
    tree: Arc<Tree>,
    parent: Option<Arc<HostFile>>,
    name: CString,
    identity: (u64, u64),
    kind: Kind,
    descriptor: Mutex<Option<Arc<OwnedFd>>>,
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

    fn parent(&self) -> Result<&Arc<HostFile>> {
        self.parent.as_ref().ok_or(Errno::ESTALE)
    }

    /// The descriptor: of a directory to look names up, of a regular file to read.
    fn descriptor(self: &Arc<Self>) -> Result<Arc<OwnedFd>> {
        if let Some(open) = &*lock(&self.descriptor) {
            return Ok(Arc::clone(open));
        }
        let flags = match self.kind {
            Kind::Directory => OFlags::PATH | OFlags::DIRECTORY,
            Kind::Regular => OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY,
            _ => return Err(Errno::ENXIO),
        };
        let directory = self.parent()?.descriptor()?;
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = host::openat(&*directory, &*self.name, flags, Mode::empty()).map_err(errno)?;
        self.checked(status(&opened, c"")?)?;
        let opened = Arc::new(opened);
        *lock(&self.descriptor) = Some(Arc::clone(&opened));
        self.tree.count(self);
        Ok(opened)
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
        let mut parent = self.parent.take();
        while let Some(mut file) = parent.and_then(Arc::into_inner) {
            parent = file.parent.take();
        }
    }
}

/// A file of the host as the file system holds it.
struct Handle(Arc<HostFile>);

impl HostNode for Handle {
    fn metadata(&self) -> Result<HostMetadata> {
        let open = lock(&self.0.descriptor).clone();
        let found = match open {
            Some(open) => status(&open, c"")?,
            None => status(&*self.0.parent()?.descriptor()?, &self.0.name)?,
        };
        self.0.checked(found)
    }

    fn lookup(&self, name: &[u8]) -> Result<Found> {
        let name = CString::new(name).map_err(|_| Errno::ENOENT)?;
        if name.is_empty()
            || name.as_bytes().contains(&b'/')
            || matches!(name.as_bytes(), b"." | b"..")
        {
            return Err(Errno::ENOENT);
        }
        let metadata = status(&*self.0.descriptor()?, &name)?;
        let node = HostFile {
            tree: Arc::clone(&self.0.tree),
            parent: Some(Arc::clone(&self.0)),
            name,
            identity: (metadata.device, metadata.number),
            kind: metadata.kind,
            descriptor: Mutex::default(),
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
        let directory = self.0.parent()?.descriptor()?;
        let text = host::readlinkat(&*directory, &*self.0.name, Vec::new()).map_err(errno)?;
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
}
