//! Tests of mounts and of the dentry cache.

use super::{MountTable, Remount, Submounts, Unmount};
use crate::{
    Errno, LookupFlags, Mount, MountFlags, OpenFlags, Path, Walk,
    ramfs::{self, Flavour, Options},
    testing::{World, root_caller},
};
use std::sync::Arc;

fn tmpfs(source: &[u8]) -> Arc<Mount> {
    let options = Options { mode: Some(0o755), ..Options::default() };
    let flags = MountFlags::NO_SUID | MountFlags::RELATIVE_ACCESS_TIME;
    ramfs::mount(Flavour::Tmpfs, options, source, flags, &root_caller()).unwrap()
}

fn world() -> World {
    let world = World::new();
    world.mkdir("/mnt");
    world.write("/mnt/below", b"hidden");
    world.table.mount(&world.lookup("/mnt").unwrap(), tmpfs(b"a b")).unwrap();
    world.mkdir("/mnt/sub");
    world
}

fn unmount(world: &World, path: &str, how: Unmount) -> Result<(), Errno> {
    world.table.unmount(world.lookup(path).unwrap(), how)
}

#[test]
fn a_mount_covers_what_is_below() {
    let world = world();
    assert_eq!(world.lookup("/mnt/below").unwrap_err(), Errno::ENOENT);
    assert_eq!(world.number("/mnt/.."), world.number("/"));
    assert_eq!(world.number("/mnt/sub/../.."), world.number("/"));
    assert_eq!(world.lookup("/mnt/sub").unwrap().display(&world.root), b"/mnt/sub");
    let caller = root_caller();
    let walk = world.walk(&caller);
    assert_eq!(walk.remove_dir(&world.root, b"/mnt"), Err(Errno::EBUSY));
    let crossing = walk.resolve(&world.root, b"/mnt/sub", LookupFlags::NO_XDEV);
    assert_eq!(crossing.unwrap_err(), Errno::EXDEV);
    let file = world.lookup("/mnt/sub").unwrap();
    assert!(file.metadata().unwrap().mount_id != world.root.metadata().unwrap().mount_id);
    drop(file);
    unmount(&world, "/mnt", Unmount::IfUnused).unwrap();
    assert_eq!(world.read("/mnt/below"), b"hidden");
}

#[test]
fn what_is_in_use_is_unmounted_only_if_forced() {
    let world = world();
    assert_eq!(unmount(&world, "/", Unmount::IfUnused), Err(Errno::EBUSY));
    assert_eq!(unmount(&world, "/mnt/sub", Unmount::IfUnused), Err(Errno::EINVAL));
    let file = world.open("/mnt/f", OpenFlags::CREATE | OpenFlags::READ_WRITE).unwrap();
    assert_eq!(unmount(&world, "/mnt", Unmount::IfUnused), Err(Errno::EBUSY));
    world.table.mount(&world.lookup("/mnt/sub").unwrap(), tmpfs(b"inner")).unwrap();
    unmount(&world, "/mnt", Unmount::Detach).unwrap();
    assert_eq!(world.read("/mnt/below"), b"hidden");
    assert_eq!(world.table.list(&world.root).len(), 1);
    crate::testing::put(&file, b"still works").unwrap();
    let super_block = Arc::downgrade(file.inode().super_block());
    drop(file);
    assert!(super_block.upgrade().is_none(), "nothing keeps the file system alive");
}

#[test]
fn binding_shows_the_same_files_elsewhere() {
    let world = world();
    world.mkdir("/other");
    world.table.mount(&world.lookup("/mnt/sub").unwrap(), tmpfs(b"inner")).unwrap();
    world.write("/mnt/sub/deep", b"deep");
    let (from, to) = (world.lookup("/mnt").unwrap(), world.lookup("/other").unwrap());
    world.table.bind(&from, &to, Submounts::Leave).unwrap();
    assert!(world.lookup("/other/sub/deep").is_err());
    unmount(&world, "/other", Unmount::IfUnused).unwrap();
    world.table.bind(&from, &to, Submounts::Include).unwrap();
    assert_eq!(world.read("/other/sub/deep"), b"deep");
    let deep = world.lookup("/other/sub/deep").unwrap();
    assert_eq!(deep.display(&world.root), b"/other/sub/deep");
    world.write("/file", b"");
    let file = world.lookup("/file").unwrap();
    assert_eq!(world.table.bind(&from, &file, Submounts::Leave), Err(Errno::ENOTDIR));
    world.table.bind(&deep, &file, Submounts::Leave).unwrap();
    assert_eq!(world.read("/file"), b"deep");
}

#[test]
fn a_mount_moves_but_not_into_itself() {
    let world = world();
    world.mkdir("/to");
    let mnt = || world.lookup("/mnt").unwrap();
    let into = world.lookup("/mnt/sub").unwrap();
    assert_eq!(world.table.move_mount(&mnt(), &into), Err(Errno::ELOOP));
    assert_eq!(world.table.move_mount(&into, &world.lookup("/to").unwrap()), Err(Errno::EINVAL));
    world.table.move_mount(&mnt(), &world.lookup("/to").unwrap()).unwrap();
    assert!(world.lookup("/to/sub").is_ok());
    assert_eq!(world.read("/mnt/below"), b"hidden");
}

#[test]
fn a_moved_root_is_the_root_of_chroot() {
    // What switch_root does: mount --move . /; chroot .
    let world = world();
    let new_root = world.lookup("/mnt").unwrap();
    world.table.move_mount(&new_root, &world.root).unwrap();
    let caller = root_caller();
    let walk = Walk { caller: &caller, root: &new_root, umask: 0 };
    let up = walk.resolve(&new_root, b"../../..", LookupFlags::empty()).unwrap();
    assert!(up.is(&new_root));
    assert!(walk.resolve(&new_root, b"/sub/..", LookupFlags::empty()).unwrap().is(&new_root));
    assert!(world.table.root().is(&new_root));
}

#[test]
fn pivot_root_swaps_old_and_new() {
    let world = world();
    world.mkdir("/mnt/old");
    let (new_root, put_old) = (world.lookup("/mnt").unwrap(), world.lookup("/mnt/old").unwrap());
    assert_eq!(world.table.pivot_root(&world.root, &world.root, &put_old), Err(Errno::EBUSY));
    world.table.pivot_root(&world.root, &new_root, &put_old).unwrap();
    let caller = root_caller();
    let root = world.table.root();
    let walk = Walk { caller: &caller, root: &root, umask: 0 };
    let below = walk.resolve(&root, b"/old/mnt/below", LookupFlags::empty()).unwrap();
    assert_eq!(below.display(&root), b"/old/mnt/below");
    let up = walk.resolve(&below, b"/old/..", LookupFlags::empty()).unwrap();
    assert!(up.is(&new_root));
}

#[test]
fn read_only_mounts_refuse() {
    let world = world();
    let mnt = world.lookup("/mnt").unwrap();
    let flags = MountFlags::READ_ONLY | MountFlags::NO_DEVICES;
    let file = world.open("/mnt/f", OpenFlags::CREATE | OpenFlags::READ_WRITE).unwrap();
    assert_eq!(world.table.remount(&mnt, flags, Remount::Mount), Err(Errno::EBUSY));
    drop(file);
    world.table.remount(&mnt, flags, Remount::Mount).unwrap();
    let open = |path, flags| world.open(path, flags).map(drop);
    assert_eq!(open("/mnt/f", OpenFlags::READ_WRITE), Err(Errno::EROFS));
    assert_eq!(open("/mnt/g", OpenFlags::CREATE), Err(Errno::EROFS));
    assert_eq!(open("/mnt/f", OpenFlags::CREATE), Ok(()));
    let caller = root_caller();
    assert_eq!(world.walk(&caller).unlink(&world.root, b"/mnt/f"), Err(Errno::EROFS));
    world.table.remount(&mnt, MountFlags::empty(), Remount::FileSystem(b"size=8k")).unwrap();
    assert_eq!(mnt.mount().statfs().blocks, 2);
    let bad = world.table.remount(&mnt, MountFlags::empty(), Remount::FileSystem(b"x=y"));
    assert_eq!(bad, Err(Errno::EINVAL));
}

#[test]
fn listings_look_like_those_of_linux() {
    let world = world();
    world.table.mount(&world.lookup("/mnt/sub").unwrap(), tmpfs(b"inner")).unwrap();
    let bound = world.lookup("/mnt/sub").unwrap();
    world.mkdir("/mnt/sub/x");
    world.mkdir("/bind");
    let x = world.lookup("/mnt/sub/x").unwrap();
    world.table.bind(&x, &world.lookup("/bind").unwrap(), Submounts::Leave).unwrap();
    let mut mounts = String::new();
    let mut info = String::new();
    for listed in world.table.list(&world.root) {
        listed.write_mounts(&mut mounts).unwrap();
        listed.write_mountinfo(&mut info).unwrap();
    }
    assert_eq!(
        mounts,
        "none / tmpfs rw,relatime,mode=755 0 0\n\
        a\\040b /mnt tmpfs rw,nosuid,relatime,mode=755 0 0\n\
        inner /mnt/sub tmpfs rw,nosuid,relatime,mode=755 0 0\n\
        inner /bind tmpfs rw,nosuid,relatime,mode=755 0 0\n"
    );
    let line = info.lines().last().unwrap();
    let (device, id) = (bound.inode().unwrap().super_block().device(), world.root.mount().id());
    assert!(
        line.contains(&format!(
            " {id} {device:?} /x /bind rw,nosuid,relatime - tmpfs inner rw,mode=755"
        )),
        "{line}"
    );
    let jail = world.lookup("/mnt").unwrap();
    let seen: Vec<_> = world.table.list(&jail).into_iter().map(|listed| listed.point).collect();
    assert_eq!(seen, [b"/".to_vec(), b"/sub".to_vec()]);
}

#[test]
fn a_copy_of_the_table_is_its_own() {
    let world = world();
    let (copy, pairs): (MountTable, _) = world.table.duplicate().unwrap();
    assert_eq!(pairs.len(), 2);
    unmount(&world, "/mnt", Unmount::Detach).unwrap();
    let caller = root_caller();
    let root: Path = copy.root();
    let walk = Walk { caller: &caller, root: &root, umask: 0 };
    assert!(walk.resolve(&root, b"/mnt/sub", LookupFlags::empty()).is_ok());
    assert_eq!(world.read("/mnt/below"), b"hidden");
}

#[test]
fn the_cache_remembers_and_stays_bounded() {
    let world = World::new();
    let super_block = world.root.inode().unwrap().super_block();
    super_block.dentries.set_shard_limit(8);
    for i in 0..2000 {
        assert_eq!(world.lookup(&format!("/none{i}")).unwrap_err(), Errno::ENOENT);
    }
    assert!(super_block.dentries.len() <= 16 * 9, "{}", super_block.dentries.len());
    world.write("/none1999", b"here now");
    assert_eq!(world.read("/none1999"), b"here now");
    world.mkdir("/d");
    let held = world.lookup("/d").unwrap();
    for i in 0..2000 {
        world.write(&format!("/d/{i}"), b"");
    }
    assert!(super_block.dentries.len() <= 16 * 9, "{}", super_block.dentries.len());
    assert!(Arc::ptr_eq(world.lookup("/d").unwrap().dentry(), held.dentry()));
    assert_eq!(world.names("/d").len(), 2002);
}
