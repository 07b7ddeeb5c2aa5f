//! The types of file systems that mount(2) knows, as a value.
//!
//! A type is a name and a function that makes a mount which is nowhere yet. `/proc`, `/sys`,
//! `/dev` and `/dev/pts` are one instance each, however often they are mounted.

use crate::{proc, sys, system::System};
use abi::{Errno, Result};
use alloc::{sync::Arc, vec::Vec};
use core::fmt;
use fs::{Caller, Mount, MountFlags, Path, Walk, device, overlayfs, ramfs};
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
    /// What `/` means in options.
    pub root: &'a Path,
    /// Where other names in options start.
    pub base: &'a Path,
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
    sys: Mutex<Option<Arc<Mount>>>,
}

impl FileSystems {
    /// The types that every system has.
    pub fn new() -> Self {
        let kept_in_memory = |name, make| FileSystemType { name, needs_device: false, make };
        let types = alloc::vec![
            kept_in_memory("tmpfs", tmpfs),
            kept_in_memory("ramfs", ramfs),
            kept_in_memory("proc", proc_fs),
            kept_in_memory("sysfs", sysfs),
            kept_in_memory("devtmpfs", devtmpfs),
            kept_in_memory("devpts", devpts),
            kept_in_memory("overlay", overlay),
        ];
        Self {
            types: RwLock::new(types),
            dev: Mutex::default(),
            proc: Mutex::default(),
            sys: Mutex::default(),
        }
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

fn tmpfs(request: &Request<'_>) -> Result<Arc<Mount>> {
    let mut options = ramfs::Options::parse(request.options)?;
    // Half of the memory, unless said otherwise; `size=0` is no limit.
    let half = fs::ramfs::default_limit();
    let says = |name: &[u8]| {
        request.options.split(|byte| *byte == b',').any(|option| option.starts_with(name))
    };
    if !says(b"size=") && !says(b"nr_blocks=") {
        options.pages = Some(half);
    }
    if !says(b"nr_inodes=") {
        options.inodes = Some(half);
    }
    let flavour = ramfs::Flavour::Tmpfs;
    ramfs::mount(flavour, options, request.source, request.flags, request.caller)
}

fn ramfs(request: &Request<'_>) -> Result<Arc<Mount>> {
    let options = ramfs::Options::parse(request.options)?;
    let flavour = ramfs::Flavour::Ramfs;
    ramfs::mount(flavour, options, request.source, request.flags, request.caller)
}

fn sysfs(request: &Request<'_>) -> Result<Arc<Mount>> {
    single(&request.system.file_systems.sys, request, || sys::mount(request.system))
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
        let root = Path::root_of(&mount);
        device::populate(&root, device::STANDARD, request.caller)?;
        request.system.devices.populate(&root, request.caller)?;
        Ok(mount)
    })
}

fn overlay(request: &Request<'_>) -> Result<Arc<Mount>> {
    let walk = Walk { caller: request.caller, root: request.root, umask: 0 };
    overlayfs::mount(request.options, request.source, request.flags, &walk, request.base)
}

fn devpts(request: &Request<'_>) -> Result<Arc<Mount>> {
    let pts = request.system.devices.pts(request.options, request.caller)?;
    let root = Arc::clone(pts.root().dentry());
    Mount::new(root, request.source, request.flags).ok_or(Errno::ENOENT)
}
