//! The types of file systems that mount(2) knows, as a value.
//!
//! A type is a name and a function that makes a mount which is nowhere yet. `/proc`, `/dev` and
//! `/dev/pts` are one instance each, however often they are mounted.

use crate::{proc, system::System};
use abi::{Errno, Result};
use alloc::{sync::Arc, vec::Vec};
use core::fmt;
use fs::{Caller, Mount, MountFlags, device, ramfs};
use spin::{Mutex, RwLock};

/// What mount(2) asks of a type.
#[derive(Debug)]
pub struct Request<'a> {
    /// The system to mount in.
    pub system: &'static System,
    /// What to mount, in the words of who mounts it.
    pub source: &'a [u8],
    /// The flags of the mount.
    pub flags: MountFlags,
    /// The type's own options, separated by commas.
    pub options: &'a [u8],
    /// Who mounts.
    pub caller: &'a Caller<'a>,
}

/// A type of file system.
#[derive(Clone, Copy)]
pub struct FileSystemType {
    /// Its name in `/proc/filesystems`.
    pub name: &'static str,
    /// Whether it lies on a block device.
    pub needs_device: bool,
    /// Makes a mount that is nowhere yet.
    pub make: fn(&Request<'_>) -> Result<Arc<Mount>>,
}

/// The types there are, and the instances of which there is one.
#[derive(Debug)]
pub struct FileSystems {
    types: RwLock<Vec<FileSystemType>>,
    dev: Mutex<Option<Arc<Mount>>>,
    proc: Mutex<Option<Arc<Mount>>>,
}

impl FileSystems {
    /// The types that every system has.
    pub fn new() -> Self {
        let kept_in_memory = |name, make| FileSystemType { name, needs_device: false, make };
        let types = alloc::vec![
            kept_in_memory("tmpfs", tmpfs),
            kept_in_memory("ramfs", ramfs),
            kept_in_memory("proc", proc_fs),
            kept_in_memory("devtmpfs", devtmpfs),
            kept_in_memory("devpts", devpts),
        ];
        Self { types: RwLock::new(types), dev: Mutex::default(), proc: Mutex::default() }
    }

    /// Makes another type known.
    pub fn add(&self, new: FileSystemType) {
        self.types.write().push(new);
    }

    /// The type with this name.
    ///
    /// # Errors
    /// - `ENODEV`: there is none.
    pub fn find(&self, name: &[u8]) -> Result<FileSystemType> {
        let types = self.types.read();
        types.iter().find(|known| known.name.as_bytes() == name).copied().ok_or(Errno::ENODEV)
    }

    /// Writes `/proc/filesystems`.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_list(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        self.types.read().iter().try_for_each(|known| {
            let kind = if known.needs_device { "" } else { "nodev" };
            writeln!(out, "{kind}\t{}", known.name)
        })
    }
}

impl Default for FileSystems {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for FileSystemType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Another mount of the only instance, which the first mount makes.
fn single(
    slot: &Mutex<Option<Arc<Mount>>>,
    request: &Request<'_>,
    make: impl FnOnce() -> Result<Arc<Mount>>,
) -> Result<Arc<Mount>> {
    let mut slot = slot.lock();
    let kept = match &*slot {
        Some(kept) => kept,
        None => slot.insert(make()?),
    };
    Mount::new(Arc::clone(kept.root()), request.source, request.flags).ok_or(Errno::ENOENT)
}

fn in_memory(flavour: ramfs::Flavour, request: &Request<'_>) -> Result<Arc<Mount>> {
    let options = ramfs::Options::parse(request.options)?;
    ramfs::mount(flavour, options, request.source, request.flags, request.caller)
}

fn tmpfs(request: &Request<'_>) -> Result<Arc<Mount>> {
    in_memory(ramfs::Flavour::Tmpfs, request)
}

fn ramfs(request: &Request<'_>) -> Result<Arc<Mount>> {
    in_memory(ramfs::Flavour::Ramfs, request)
}

fn proc_fs(request: &Request<'_>) -> Result<Arc<Mount>> {
    proc::check_options(request.options)?;
    single(&request.system.file_systems.proc, request, || proc::mount(request.system))
}

fn devtmpfs(request: &Request<'_>) -> Result<Arc<Mount>> {
    ramfs::Options::parse(request.options)?;
    single(&request.system.file_systems.dev, request, || {
        let options = ramfs::Options { mode: Some(0o755), ..ramfs::Options::default() };
        let flavour = ramfs::Flavour::Devtmpfs;
        let flags = MountFlags::empty();
        let mount = ramfs::mount(flavour, options, b"devtmpfs", flags, request.caller)?;
        let root = fs::Path::root_of(&mount);
        device::populate(&root, device::STANDARD, request.caller)?;
        request.system.devices.populate(&root, request.caller)?;
        Ok(mount)
    })
}

fn devpts(request: &Request<'_>) -> Result<Arc<Mount>> {
    let pts = request.system.devices.pts(request.options, request.caller)?;
    let root = Arc::clone(pts.root().dentry());
    Mount::new(root, request.source, request.flags).ok_or(Errno::ENOENT)
}
