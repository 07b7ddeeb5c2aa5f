//! Mounting an overlay.

use crate::{
    Caller, Dentry, Errno, Inode, Kind, LookupFlags, Make, Mount, MountFlags, NewInode, Path,
    Result, Role, SuperBlock, Times, Walk,
    overlayfs::{
        self, Options, OverlayFs,
        directory::OverlayDirectory,
        layer::{self, Look, Marks},
        node::{self, Node, Stack},
    },
    ramfs,
};
use alloc::{boxed::Box, collections::BTreeMap, sync::Arc, vec::Vec};
use core::sync::atomic::AtomicU64;
use spin::Mutex;

/// Overlays that may lie on overlays, as on Linux.
const DEPTH_MAX: u32 = 2;

/// The directory in the work directory in which changes are prepared.
const WORK: &[u8] = b"work";

/// Makes an overlay and a mount of it that is nowhere yet; names in `options` start at `base`.
///
/// # Errors
/// - `EINVAL`: bad options, or upper and work directory do not fit together, or too many overlays
///   on each other.
/// - `ELOOP`: a layer lies in another.
/// - those of the lookups.
pub fn mount(
    options: &[u8],
    source: &[u8],
    flags: MountFlags,
    walk: &Walk<'_>,
    base: &Path,
) -> Result<Arc<Mount>> {
    let options = Options::parse(options)?;
    let directory = |name: &[u8]| {
        let found = walk.resolve(base, name, LookupFlags::FOLLOW)?;
        if overlayfs::is_directory(&found) { Ok(found) } else { Err(Errno::EINVAL) }
    };
    let upper = options.upper.as_deref().map(directory).transpose()?;
    let work = options.work.as_deref().map(directory).transpose()?;
    let lower: Vec<Path> =
        options.lower.iter().map(|name| directory(name)).collect::<Result<_>>()?;
    build(options, Given { upper, work, lower }, source, flags, walk.caller)
}

/// Lays a new file system in memory over a mount: what is changed lasts as long as the overlay.
///
/// # Errors
/// - `ENOMEM`: there is no room for its first directories.
pub fn mount_over(
    lower: &Arc<Mount>,
    source: &[u8],
    flags: MountFlags,
    caller: &Caller<'_>,
) -> Result<Arc<Mount>> {
    let half = framework::frame::stats().total as u64 / 2;
    let limits = ramfs::Options { pages: Some(half), inodes: Some(half), ..Default::default() };
    let memory =
        ramfs::mount(ramfs::Flavour::Tmpfs, limits, b"tmpfs", MountFlags::empty(), caller)?;
    let (memory, lower) = (Path::root_of(&memory), Path::root_of(lower));
    let make = |name: &[u8]| {
        layer::run(caller, &memory, |walk| walk.make(&memory, name, Make::Directory, 0o755))
    };
    let (upper, work) = (make(b"upper")?, make(b"work")?);
    let (shown, own) = (lower.inode()?, upper.inode()?);
    own.set_mode(shown.mode());
    own.set_owner(shown.uid(), shown.gid());
    let named = |name: &[u8]| Some(Box::from(name));
    let options = Options {
        lower: alloc::vec![b"/".as_slice().into()],
        upper: named(b"upper"),
        work: named(b"work"),
        user_xattrs: false,
    };
    let given = Given { upper: Some(upper), work: Some(work), lower: alloc::vec![lower] };
    build(options, given, source, flags, caller)
}

/// The directories an overlay is made of.
struct Given {
    upper: Option<Path>,
    work: Option<Path>,
    lower: Vec<Path>,
}

fn build(
    options: Options,
    given: Given,
    source: &[u8],
    flags: MountFlags,
    caller: &Caller<'_>,
) -> Result<Arc<Mount>> {
    let Given { upper, work, lower } = given;
    if let (Some(upper), Some(work)) = (&upper, &work) {
        check_work(upper, work)?;
    }
    let given: Vec<&Path> = upper.iter().chain(&work).chain(&lower).collect();
    check_apart(&given)?;
    let depth = 1 + given.iter().map(|layer| depth(layer)).max().unwrap_or(0);
    if depth > DEPTH_MAX {
        return Err(Errno::EINVAL);
    }
    let layers = upper.iter().chain(&lower).map(private).collect::<Result<Vec<_>>>()?;
    let work = match (work, layers.first()) {
        (Some(work), Some(upper)) => {
            // On the mount of the upper layer, so that files can be moved there.
            let work = Path::new(Arc::clone(upper.mount()), Arc::clone(work.dentry()));
            Some(prepare(&work, caller)?)
        }
        _ => None,
    };
    let read_only = upper.is_none();
    let marks = Marks { user: options.user_xattrs };
    let stack = Stack {
        upper: if read_only { None } else { layers.first().cloned() },
        lower: layers.iter().skip(usize::from(!read_only)).cloned().collect(),
    };
    let file_system = OverlayFs {
        options,
        marks,
        work,
        layers,
        depth,
        inodes: Mutex::new(BTreeMap::new()),
        next_temporary: AtomicU64::new(1),
        clock: caller.clock(),
    };
    let super_block = SuperBlock::new(Box::new(file_system));
    super_block.set_read_only(read_only);
    let root = root(&super_block, Node::new(stack, None, marks, 0))?;
    Mount::new(Dentry::root(root), source, flags).ok_or(Errno::ENOENT)
}

fn root(super_block: &Arc<SuperBlock>, node: Node) -> Result<Arc<Inode>> {
    let new = NewInode {
        number: node.number(overlayfs::of(super_block)?)?,
        kind: Kind::Directory,
        mode: 0,
        uid: 0,
        gid: 0,
        links: 1,
        times: Times::default(),
    };
    let role = Role::Directory(Box::new(OverlayDirectory));
    let root = Inode::with_backing(Arc::clone(super_block), new, role, Box::new(node));
    node::pull(&root)?;
    Ok(root)
}

/// A mount of a layer of its own: later changes of the mount it was found by mean nothing.
fn private(layer: &Path) -> Result<Path> {
    let mount = layer.mount();
    let kept = mount.flags() & (MountFlags::READ_ONLY | MountFlags::NO_DEVICES);
    let own = Mount::new(Arc::clone(mount.root()), mount.source(), kept);
    Ok(Path::new(own.ok_or(Errno::ENOENT)?, Arc::clone(layer.dentry())))
}

/// Renames between the two have to be possible, and neither may be in the other.
fn check_work(upper: &Path, work: &Path) -> Result<()> {
    let together = Arc::ptr_eq(upper.mount(), work.mount()) && !upper.mount().read_only();
    if !together || upper.is_inside(work) || work.is_inside(upper) {
        return Err(Errno::EINVAL);
    }
    Ok(())
}

fn check_apart(layers: &[&Path]) -> Result<()> {
    for (index, layer) in layers.iter().enumerate() {
        for other in &layers[index + 1..] {
            let (one, two) = (layer.dentry(), other.dentry());
            if one.is_inside(two) || two.is_inside(one) {
                return Err(Errno::ELOOP);
            }
        }
    }
    Ok(())
}

fn depth(layer: &Path) -> u32 {
    overlayfs::of(layer.mount().super_block()).map_or(0, |overlay| overlay.depth)
}

/// Makes the directory in which changes are prepared, empty.
fn prepare(work: &Path, caller: &Caller<'_>) -> Result<Path> {
    if let Look::Found(old) = layer::look(work, WORK, caller)? {
        empty(&old, caller)?;
        return Ok(old);
    }
    layer::run(caller, work, |walk| walk.make(work, WORK, Make::Directory, 0))
}

/// Removes what an overlay that did not end well has left.
fn empty(directory: &Path, caller: &Caller<'_>) -> Result<()> {
    for (name, _, kind) in layer::names(directory, caller)? {
        if kind == Kind::Directory {
            layer::clear(&layer::find(directory, &name, caller)?, caller)?;
            layer::remove_dir(directory, &name, caller)?;
        } else {
            layer::unlink(directory, &name, caller)?;
        }
    }
    Ok(())
}
