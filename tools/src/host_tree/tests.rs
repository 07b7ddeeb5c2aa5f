use super::{open, open_writable};
use abi::{Errno, Result};
use fs::{
    Caller, Credentials, Kind, LookupFlags, Make, MountFlags, OpenFile, OpenFlags, OpenHow, Opened,
    Path, SetAttributes, Sink, Source, Timespec, Walk, hostfs, overlayfs,
};
use std::{
    collections::BTreeSet,
    fs::{self as host, File},
    os::unix::{
        fs::{FileExt, MetadataExt, PermissionsExt, symlink},
        net::UnixListener,
    },
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

/// A directory of the host that goes away with the value, and the file system made of it.
struct Tree {
    directory: PathBuf,
    root: Path,
}

fn caller() -> Caller<'static> {
    Caller::new(Credentials::ROOT, || Timespec::new(1, 0))
}

impl Tree {
    fn new(fill: impl FnOnce(&std::path::Path)) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("jinux-host-tree-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
        let directory = std::env::temp_dir().join(name);
        host::create_dir(&directory).unwrap();
        fill(&directory);
        let mount = hostfs::mount(open(&directory).unwrap(), b"host", MountFlags::empty()).unwrap();
        Self { directory, root: Path::root_of(&mount) }
    }

    fn find(&self, path: &str) -> Result<Path> {
        let caller = caller();
        let walk = Walk { caller: &caller, root: &self.root, umask: 0 };
        walk.resolve(&self.root, path.as_bytes(), LookupFlags::FOLLOW)
    }

    fn open(&self, path: &str, flags: OpenFlags) -> Result<OpenFile> {
        let caller = caller();
        let walk = Walk { caller: &caller, root: &self.root, umask: 0 };
        let how = OpenHow { flags, ..OpenHow::default() };
        match walk.open(&self.root, path.as_bytes(), &how)? {
            Opened::File(file) => Ok(file),
            _ => Err(Errno::ENXIO),
        }
    }

    fn read(&self, path: &str) -> Result<Vec<u8>> {
        read_at(&self.open(path, OpenFlags::empty())?, 0, 1 << 20)
    }
}

fn read_at(file: &OpenFile, offset: u64, len: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    let count = file.read_at(offset, &mut Sink::kernel(&mut bytes), &caller())?;
    bytes.truncate(count);
    Ok(bytes)
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = host::remove_dir_all(&self.directory);
    }
}

#[test]
fn files_are_as_on_the_host() {
    let tree = Tree::new(|at| {
        host::create_dir(at.join("sub")).unwrap();
        host::write(at.join("sub/file"), b"contents").unwrap();
        host::hard_link(at.join("sub/file"), at.join("other")).unwrap();
        host::set_permissions(at.join("other"), host::Permissions::from_mode(0o4751)).unwrap();
    });
    assert_eq!(tree.read("/sub/file").unwrap(), b"contents");
    let (one, two) = (tree.find("/sub/file").unwrap(), tree.find("/other").unwrap());
    assert!(std::sync::Arc::ptr_eq(one.inode().unwrap(), two.inode().unwrap()));
    let (ours, theirs) =
        (one.metadata().unwrap(), host::metadata(tree.directory.join("other")).unwrap());
    assert_eq!(ours.st_mode(), theirs.mode());
    assert_eq!((ours.mode, ours.links, ours.size), (0o4751, 2, 8));
    assert_eq!((ours.number, ours.uid, ours.gid), (theirs.ino(), theirs.uid(), theirs.gid()));
    assert_eq!(ours.times.modified.seconds, theirs.mtime());
    assert_eq!(ours.blocks, theirs.blocks());
}

#[test]
fn links_stay_inside() {
    let outside = Tree::new(|at| host::write(at.join("secret"), b"secret").unwrap());
    let tree = Tree::new(|at| {
        host::write(at.join("secret"), b"own").unwrap();
        symlink(&outside.directory, at.join("out")).unwrap();
        symlink("../../../../../secret", at.join("up")).unwrap();
        symlink("/secret", at.join("absolute")).unwrap();
    });
    assert_eq!(tree.read("/up").unwrap(), b"own");
    assert_eq!(tree.read("/absolute").unwrap(), b"own");
    assert_eq!(tree.read("/out/secret"), Err(Errno::ENOENT));
    // A directory that becomes a link behind our back is no way out either.
    host::create_dir(tree.directory.join("d")).unwrap();
    let directory = tree.find("/d").unwrap();
    host::remove_dir(tree.directory.join("d")).unwrap();
    symlink(&outside.directory, tree.directory.join("d")).unwrap();
    assert!(directory.inode().unwrap().is_directory());
    assert!(matches!(tree.read("/d/secret"), Err(Errno::ESTALE | Errno::ENOTDIR | Errno::ELOOP)));
}

#[test]
fn nothing_can_be_changed_and_special_files_stay_shut() {
    let tree = Tree::new(|at| {
        host::write(at.join("file"), b"x").unwrap();
        UnixListener::bind(at.join("socket")).unwrap();
    });
    assert_eq!(tree.open("/file", OpenFlags::READ_WRITE).unwrap_err(), Errno::EROFS);
    let caller = caller();
    let walk = Walk { caller: &caller, root: &tree.root, umask: 0 };
    let made = walk.make(&tree.root, b"new", Make::Directory, 0o755);
    assert_eq!(made.unwrap_err(), Errno::EROFS);
    assert_eq!(walk.unlink(&tree.root, b"file"), Err(Errno::EROFS));
    assert_eq!(tree.find("/socket").unwrap().inode().unwrap().kind(), Kind::Socket);
    assert_eq!(tree.open("/socket", OpenFlags::empty()).unwrap_err(), Errno::ENXIO);
}

#[test]
fn large_directories_are_listed_in_pieces() {
    let tree = Tree::new(|at| {
        for index in 0..1500 {
            File::create(at.join(format!("file-{index}"))).unwrap();
        }
        host::create_dir(at.join("directory")).unwrap();
    });
    let listing = tree.open("/", OpenFlags::DIRECTORY).unwrap();
    let mut seen = BTreeSet::new();
    loop {
        let mut count = 0;
        listing
            .read_dir(&caller(), &mut |entry| {
                count += 1;
                let taken = count <= 7;
                if taken {
                    assert!(seen.insert(entry.name.to_vec()), "an entry came twice");
                    let directory = matches!(entry.name, b"." | b".." | b"directory");
                    assert_eq!(entry.kind == Kind::Directory, directory);
                }
                taken
            })
            .unwrap();
        if count == 0 {
            break;
        }
    }
    assert_eq!(seen.len(), 1503);
}

#[test]
fn a_large_sparse_file_costs_what_is_in_it() {
    const FAR: u64 = 6 << 30;
    let tree = Tree::new(|at| {
        let file = File::create(at.join("sparse")).unwrap();
        file.write_at(b"end", FAR).unwrap();
    });
    let file = tree.open("/sparse", OpenFlags::empty()).unwrap();
    assert_eq!(file.inode().size(), FAR + 3);
    assert_eq!(read_at(&file, FAR - 2, 100).unwrap(), b"\0\0end");
    assert!(read_at(&file, 1 << 30, 1 << 20).unwrap().iter().all(|byte| *byte == 0));
    assert!(file.pages().unwrap().blocks() <= 8, "holes are not kept");
}

#[test]
fn files_larger_than_the_memory_can_be_read() {
    let memory = framework::frame::stats().total as u64 * 4096;
    let tree = Tree::new(|at| {
        let file = File::create(at.join("large")).unwrap();
        for at in (0..memory + (8 << 20)).step_by(4096) {
            file.write_at(&at.to_le_bytes(), at).unwrap();
        }
    });
    let file = tree.open("/large", OpenFlags::empty()).unwrap();
    for at in (0..file.inode().size() - 7).step_by(4096) {
        assert_eq!(read_at(&file, at, 8).unwrap(), at.to_le_bytes());
    }
    assert!(file.pages().unwrap().blocks() <= memory / 512 / 3);
}

#[test]
fn a_layer_in_memory_takes_the_changes() {
    let tree = Tree::new(|at| host::write(at.join("file"), b"host").unwrap());
    let mut tree = tree;
    let mount = overlayfs::mount_over(tree.root.mount(), b"o", MountFlags::empty(), &caller());
    tree.root = Path::root_of(&mount.unwrap());
    let file = tree.open("/file", OpenFlags::READ_WRITE | OpenFlags::APPEND).unwrap();
    file.write(&mut Source::kernel(b" and guest"), &caller()).unwrap();
    assert_eq!(tree.read("/file").unwrap(), b"host and guest");
    assert_eq!(host::read(tree.directory.join("file")).unwrap(), b"host");
    let caller = caller();
    let walk = Walk { caller: &caller, root: &tree.root, umask: 0 };
    walk.make(&tree.root, b"directory", Make::Directory, 0o755).unwrap();
    walk.unlink(&tree.root, b"file").unwrap();
    assert_eq!(tree.find("/file").unwrap_err(), Errno::ENOENT);
    assert!(tree.directory.join("file").exists() && !tree.directory.join("directory").exists());
}

#[test]
fn a_writable_tree_changes_the_host() {
    let mut tree = Tree::new(|at| host::write(at.join("file"), b"before").unwrap());
    let node = open_writable(&tree.directory).unwrap();
    let mount = hostfs::mount_writable(node, b"host", MountFlags::RELATIVE_ACCESS_TIME).unwrap();
    tree.root = Path::root_of(&mount);
    let (caller, top) = (caller(), tree.directory.clone());
    let walk = Walk { caller: &caller, root: &tree.root, umask: 0o022 };
    let file = tree.open("/file", OpenFlags::READ_WRITE).unwrap();
    file.write_at(4, &mut Source::kernel(b"that"), &caller).unwrap();
    assert_eq!(host::read(top.join("file")).unwrap(), b"befothat");
    assert_eq!(read_at(&file, 0, 100).unwrap(), b"befothat");
    file.truncate(2, &caller).unwrap();
    assert_eq!(host::read(top.join("file")).unwrap(), b"be");
    walk.make(&tree.root, b"d", Make::Directory, 0o770).unwrap();
    assert_eq!(host::metadata(top.join("d")).unwrap().mode() & 0o7777, 0o750);
    walk.rename((&tree.root, b"file"), (&tree.root, b"d/moved"), Default::default()).unwrap();
    file.write_at(0, &mut Source::kernel(b"BE"), &caller).unwrap();
    assert_eq!(host::read(top.join("d/moved")).unwrap(), b"BE");
    let moved = tree.find("/d/moved").unwrap();
    walk.link(&moved, &tree.root, b"again").unwrap();
    assert_eq!((moved.metadata().unwrap().links, tree.read("/again").unwrap()), (2, b"BE".into()));
    let set = SetAttributes { mode: Some(0o4700), ..SetAttributes::default() };
    moved.set_attributes(&set, &caller).unwrap();
    assert_eq!(host::metadata(top.join("again")).unwrap().mode() & 0o7777, 0o4700);
    walk.unlink(&tree.root, b"again").unwrap();
    walk.unlink(&tree.root, b"d/moved").unwrap();
    file.write_at(0, &mut Source::kernel(b"still"), &caller).unwrap();
    assert_eq!(read_at(&file, 0, 100).unwrap(), b"still", "as long as it is open");
    walk.remove_dir(&tree.root, b"d").unwrap();
    walk.make(&tree.root, b"link", Make::Symlink(b"new"), 0).unwrap();
    let how = OpenHow {
        flags: OpenFlags::CREATE | OpenFlags::READ_WRITE,
        mode: 0o666,
        ..OpenHow::default()
    };
    let Opened::File(made) = walk.open(&tree.root, b"link", &how).unwrap() else { panic!() };
    made.write(&mut Source::kernel(&[7; 10_000]), &caller).unwrap();
    assert_eq!(host::read(top.join("new")).unwrap(), [7; 10_000]);
    assert_eq!(walk.remove_dir(&tree.root, b"new"), Err(Errno::ENOTDIR));
    let left: BTreeSet<_> = host::read_dir(&top).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["link".into(), "new".into()].into());
}

#[test]
fn changes_on_the_host_are_seen_at_the_next_open() {
    let tree = Tree::new(|at| host::write(at.join("file"), b"before").unwrap());
    assert_eq!(tree.read("/file").unwrap(), b"before");
    host::write(tree.directory.join("file"), b"and after").unwrap();
    assert_eq!(tree.read("/file").unwrap(), b"and after");
    let mode = host::Permissions::from_mode(0o600);
    host::set_permissions(tree.directory.join("file"), mode).unwrap();
    assert_eq!(tree.find("/file").unwrap().metadata().unwrap().mode, 0o600);
}
