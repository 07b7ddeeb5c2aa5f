//! Tests of the tree and of files, on a tmpfs: what Linux answers.

use crate::{
    Access, Allocate, Caller, Credentials, Errno, Grow, LookupFlags, Make, OpenFlags, OpenHow,
    Opened, RenameFlags, Seals, SetAttributes, SetTime, Timespec, Whence,
    ramfs::{AllowSealing, Memory, Options},
    testing::{World, get, put, root_caller, user_caller},
};

const RW: OpenFlags = OpenFlags::READ_WRITE;
const CREATE: OpenFlags = OpenFlags::CREATE;

fn rename(world: &World, from: &str, to: &str, flags: RenameFlags) -> Result<(), Errno> {
    let (caller, root) = (root_caller(), &world.root);
    world.walk(&caller).rename((root, from.as_bytes()), (root, to.as_bytes()), flags)
}

fn unlink(world: &World, path: &str) -> Result<(), Errno> {
    world.walk(&root_caller()).unlink(&world.root, path.as_bytes())
}

fn rmdir(world: &World, path: &str) -> Result<(), Errno> {
    world.walk(&root_caller()).remove_dir(&world.root, path.as_bytes())
}

fn links(world: &World, path: &str) -> u32 {
    world.lookup(path).unwrap().inode().unwrap().links()
}

#[test]
fn paths_are_resolved_as_on_linux() {
    let world = World::new();
    world.mkdir("/a");
    world.mkdir("/a/b");
    world.write("/a/f", b"x");
    world.symlink("b", "/a/rel");
    world.symlink("/a", "/abs");
    world.symlink("loop2", "/loop1");
    world.symlink("loop1", "/loop2");
    world.symlink("nowhere", "/dangling");
    let b = world.number("/a/b");
    for path in ["/a/rel", "/abs/b/", "a/./b/../b", "//a//b", "/../a/b", "/abs/../a/rel/."] {
        assert_eq!(world.number(path), b, "{path}");
    }
    let error = |path: &str| world.lookup(path).unwrap_err();
    assert_eq!(error("/a/f/"), Errno::ENOTDIR);
    assert_eq!(error("/a/f/x"), Errno::ENOTDIR);
    assert_eq!(error("/a/f/.."), Errno::ENOTDIR);
    assert_eq!(error("/a/none"), Errno::ENOENT);
    assert_eq!(error(""), Errno::ENOENT);
    assert_eq!(error("/loop1"), Errno::ELOOP);
    assert_eq!(error("/dangling"), Errno::ENOENT);
    assert_eq!(error(&"x".repeat(256)), Errno::ENAMETOOLONG);
    assert_eq!(error(&"x".repeat(255)), Errno::ENOENT);
    assert_eq!(error(&"/".repeat(4096)), Errno::ENAMETOOLONG);
    assert!(world.lookup(&"/".repeat(4095)).is_ok());
}

#[test]
fn forty_links_are_followed_and_no_more() {
    let world = World::new();
    world.write("/0", b"end");
    for i in 1..=41 {
        world.symlink(&format!("{}", i - 1), &format!("/{i}"));
    }
    assert_eq!(world.read("/40"), b"end");
    assert_eq!(world.lookup("/41").unwrap_err(), Errno::ELOOP);
}

#[test]
fn a_link_at_the_end_is_followed_only_if_asked() {
    let world = World::new();
    world.mkdir("/d");
    world.symlink("d", "/l");
    let caller = root_caller();
    let walk = world.walk(&caller);
    let at = |path: &[u8]| walk.resolve(&world.root, path, LookupFlags::empty()).unwrap();
    assert_ne!(at(b"/l").inode().unwrap().number(), world.number("/d"));
    assert_eq!(at(b"/l/").inode().unwrap().number(), world.number("/d"));
    assert_eq!(walk.read_link(&world.root, b"/l").unwrap(), b"d");
    assert_eq!(walk.read_link(&world.root, b"/d").unwrap_err(), Errno::EINVAL);
}

#[test]
fn a_scoped_walk_stays_inside() {
    let world = World::new();
    world.mkdir("/jail");
    world.mkdir("/jail/d");
    world.symlink("/d", "/jail/abs");
    world.symlink("../..", "/jail/out");
    let jail = world.lookup("/jail").unwrap();
    let caller = root_caller();
    let walk = world.walk(&caller);
    let at = |path: &[u8], flags| walk.resolve(&jail, path, flags | LookupFlags::FOLLOW);
    assert_eq!(at(b"abs", LookupFlags::BENEATH).unwrap_err(), Errno::EXDEV);
    assert_eq!(at(b"out", LookupFlags::BENEATH).unwrap_err(), Errno::EXDEV);
    assert_eq!(at(b"d/../d", LookupFlags::BENEATH).unwrap().display(&world.root), b"/jail/d");
    assert_eq!(at(b"abs", LookupFlags::IN_ROOT).unwrap().display(&world.root), b"/jail/d");
    assert_eq!(at(b"out", LookupFlags::IN_ROOT).unwrap().display(&world.root), b"/jail");
    assert_eq!(at(b"abs", LookupFlags::NO_SYMLINKS).unwrap_err(), Errno::ELOOP);
}

#[test]
fn open_makes_and_refuses() {
    let world = World::new();
    world.mkdir("/d");
    world.write("/f", b"old");
    world.symlink("target", "/dangling");
    world.symlink("f", "/link");
    let open = |path: &str, flags| world.open(path, flags).map(drop);
    assert_eq!(open("/f", CREATE | OpenFlags::EXCLUSIVE), Err(Errno::EEXIST));
    assert_eq!(open("/dangling", CREATE | OpenFlags::EXCLUSIVE), Err(Errno::EEXIST));
    assert_eq!(open("/d", RW), Err(Errno::EISDIR));
    assert_eq!(open("/d", CREATE), Err(Errno::EISDIR));
    assert_eq!(open("/d/", CREATE), Err(Errno::EISDIR));
    assert_eq!(open("/d/.", CREATE | OpenFlags::EXCLUSIVE), Err(Errno::EEXIST));
    assert_eq!(open("/d/", CREATE | OpenFlags::EXCLUSIVE), Err(Errno::EISDIR));
    assert_eq!(open("/new/", CREATE), Err(Errno::EISDIR));
    assert_eq!(open("/none", RW), Err(Errno::ENOENT));
    assert_eq!(open("/f", OpenFlags::DIRECTORY), Err(Errno::ENOTDIR));
    assert_eq!(open("/f", CREATE | OpenFlags::DIRECTORY), Err(Errno::EINVAL));
    assert_eq!(open("/link", OpenFlags::NO_FOLLOW), Err(Errno::ELOOP));
    assert_eq!(open("/link", OpenFlags::NO_FOLLOW | OpenFlags::PATH), Ok(()));
    assert_eq!(open("/dangling", CREATE | RW), Ok(()));
    assert!(world.lookup("/target").is_ok());
    assert_eq!(open("/f", RW | OpenFlags::TRUNCATE), Ok(()));
    assert_eq!(world.read("/f"), b"");
    let place = world.open("/f", OpenFlags::PATH | RW).unwrap();
    assert_eq!(get(&place, 1), Err(Errno::EBADF));
}

#[test]
fn bytes_written_are_read_with_holes_between() {
    let world = World::with(Options { pages: Some(3), ..Options::default() });
    let file = world.open("/f", CREATE | RW).unwrap();
    assert_eq!(put(&file, b"head").unwrap(), 4);
    assert_eq!(file.seek(1 << 30, Whence::Set).unwrap(), 1 << 30);
    assert_eq!(put(&file, b"tail").unwrap(), 4);
    assert_eq!(file.inode().size(), (1 << 30) + 4);
    assert_eq!(file.inode().metadata().blocks, 16);
    assert_eq!(file.seek(0, Whence::Set).unwrap(), 0);
    let bytes = get(&file, 10_000).unwrap();
    assert_eq!(&bytes[..4], b"head");
    assert!(bytes[4..].iter().all(|byte| *byte == 0) && bytes.len() == 10_000);
    assert_eq!(file.inode().metadata().blocks, 16, "reading a hole takes no memory");
    assert_eq!(file.seek(0, Whence::Hole).unwrap(), 4096);
    assert_eq!(file.seek(5000, Whence::Data).unwrap(), 1 << 30);
    assert_eq!(file.seek((1 << 30) + 4, Whence::Data), Err(Errno::ENXIO));
    assert_eq!(file.seek(-1, Whence::Set), Err(Errno::EINVAL));
    assert_eq!(file.seek(-4, Whence::End).unwrap(), 1 << 30);
    assert_eq!(get(&file, 100).unwrap(), b"tail");
    assert_eq!(get(&file, 100).unwrap(), b"");
}

#[test]
fn limits_are_kept_and_given_back() {
    let world = World::with(Options { pages: Some(2), inodes: Some(3), ..Options::default() });
    let file = world.open("/f", CREATE | RW).unwrap();
    assert_eq!(put(&file, &[1; 10_000]).unwrap(), 8192);
    assert_eq!(put(&file, b"x"), Err(Errno::ENOSPC));
    file.truncate(100, &root_caller()).unwrap();
    assert_eq!(world.root.mount().statfs().blocks_free, 1);
    drop(file);
    unlink(&world, "/f").unwrap();
    assert_eq!(world.root.mount().statfs().blocks_free, 2);
    world.mkdir("/a");
    world.mkdir("/b");
    assert_eq!(world.open("/c", CREATE).unwrap_err(), Errno::ENOSPC);
    rmdir(&world, "/a").unwrap();
    assert!(world.open("/c", CREATE).is_ok());
}

#[test]
fn truncation_leaves_zeros() {
    let world = World::new();
    let file = world.open("/f", CREATE | RW).unwrap();
    put(&file, &[7; 6000]).unwrap();
    let caller = root_caller();
    file.truncate(10, &caller).unwrap();
    file.truncate(5000, &caller).unwrap();
    let bytes = world.read("/f");
    assert_eq!(bytes.len(), 5000);
    assert!(bytes[..10].iter().all(|byte| *byte == 7) && bytes[10..].iter().all(|byte| *byte == 0));
    let limited = root_caller().with_size_limit(100);
    assert_eq!(file.truncate(6000, &limited), Err(Errno::EFBIG));
    assert_eq!(
        world.open("/f", OpenFlags::empty()).unwrap().truncate(0, &caller),
        Err(Errno::EINVAL)
    );
}

#[test]
fn append_goes_to_the_end_and_limits_cut_it() {
    let world = World::new();
    world.write("/f", b"one");
    let file = world.open("/f", OpenFlags::WRITE_ONLY | OpenFlags::APPEND).unwrap();
    put(&file, b"two").unwrap();
    assert_eq!(file.seek(0, Whence::Current).unwrap(), 6);
    let limited = root_caller().with_size_limit(8);
    let mut source = crate::Source::kernel(b"three");
    assert_eq!(file.write(&mut source, &limited).unwrap(), 2);
    assert_eq!(file.write(&mut source, &limited).unwrap(), 2, "what was written counts");
    assert_eq!(file.write(&mut crate::Source::kernel(b"x"), &limited), Err(Errno::EFBIG));
    assert_eq!(world.read("/f"), b"onetwoth");
}

#[test]
fn fallocate_reserves_and_punches() {
    let world = World::with(Options { pages: Some(4), ..Options::default() });
    let caller = root_caller();
    let file = world.open("/f", CREATE | RW).unwrap();
    file.allocate(Allocate::Reserve(Grow::No), 0, 8192, &caller).unwrap();
    assert_eq!((file.inode().size(), file.inode().metadata().blocks), (0, 16));
    put(&file, &[9; 8192]).unwrap();
    file.allocate(Allocate::PunchHole, 10, 4096, &caller).unwrap();
    let bytes = world.read("/f");
    assert!(bytes[10..4106].iter().all(|byte| *byte == 0));
    assert_eq!((bytes[9], bytes[4106]), (9, 9));
    file.allocate(Allocate::PunchHole, 0, 8192, &caller).unwrap();
    assert_eq!(file.inode().metadata().blocks, 0);
    let all = file.allocate(Allocate::Reserve(Grow::Yes), 0, 5 * 4096, &caller);
    assert_eq!(all, Err(Errno::ENOSPC));
}

#[test]
fn names_come_and_go() {
    let world = World::new();
    world.mkdir("/d");
    assert_eq!((links(&world, "/d"), links(&world, "/")), (2, 3));
    world.write("/d/f", b"x");
    let caller = root_caller();
    let file = world.lookup("/d/f").unwrap();
    world.walk(&caller).link(&file, &world.root, b"/g").unwrap();
    assert_eq!(links(&world, "/g"), 2);
    assert_eq!(world.number("/g"), world.number("/d/f"));
    let directory = world.lookup("/d").unwrap();
    assert_eq!(world.walk(&caller).link(&directory, &world.root, b"/h"), Err(Errno::EPERM));
    assert_eq!(rmdir(&world, "/d"), Err(Errno::ENOTEMPTY));
    assert_eq!(unlink(&world, "/d"), Err(Errno::EISDIR));
    assert_eq!(rmdir(&world, "/g"), Err(Errno::ENOTDIR));
    assert_eq!(unlink(&world, "/g/"), Err(Errno::ENOTDIR));
    assert_eq!(unlink(&world, "/none"), Err(Errno::ENOENT));
    assert_eq!(rmdir(&world, "/d/."), Err(Errno::EINVAL));
    assert_eq!(rmdir(&world, "/d/.."), Err(Errno::ENOTEMPTY));
    assert_eq!(rmdir(&world, "/"), Err(Errno::EBUSY));
    unlink(&world, "/d/f").unwrap();
    assert_eq!(links(&world, "/g"), 1);
    rmdir(&world, "/d").unwrap();
    assert_eq!(world.lookup("/d").unwrap_err(), Errno::ENOENT);
    assert_eq!(links(&world, "/"), 2);
    assert_eq!(directory.display(&world.root), b"/d (deleted)");
    let make = world.walk(&caller).make(&directory, b"x", Make::Directory, 0o777);
    assert_eq!(make.unwrap_err(), Errno::ENOENT);
}

#[test]
fn make_refuses_as_linux_does() {
    let world = World::new();
    let (root, user) = (root_caller(), user_caller());
    let make = |caller: &Caller<'_>, path: &str, what: Make<'_>| {
        world.walk(caller).make(&world.root, path.as_bytes(), what, 0o777).map(drop)
    };
    assert_eq!(make(&root, "/d/", Make::Directory), Ok(()));
    assert_eq!(make(&root, "/d", Make::Directory), Err(Errno::EEXIST));
    assert_eq!(make(&root, "/", Make::Directory), Err(Errno::EEXIST));
    assert_eq!(make(&root, "/d/.", Make::Directory), Err(Errno::EEXIST));
    assert_eq!(make(&root, "/f/", Make::Regular), Err(Errno::ENOENT));
    assert_eq!(make(&root, "/l", Make::Symlink(b"")), Err(Errno::ENOENT));
    assert_eq!(make(&user, "/x", Make::Directory), Err(Errno::EACCES));
    let mode = SetAttributes { mode: Some(0o1777), ..SetAttributes::default() };
    world.root.set_attributes(&mode, &root).unwrap();
    assert_eq!(make(&user, "/x", Make::Directory), Ok(()));
    let device = crate::DeviceNumber::new(1, 3);
    assert_eq!(make(&user, "/null", Make::Character(device)), Err(Errno::EPERM));
    assert_eq!(make(&user, "/fifo", Make::Fifo), Ok(()));
}

#[test]
fn rename_moves_replaces_and_swaps() {
    let world = World::new();
    let none = RenameFlags::empty();
    for path in ["/a", "/b", "/a/sub", "/full"] {
        world.mkdir(path);
    }
    world.write("/full/x", b"");
    world.write("/f", b"f");
    world.write("/g", b"g");
    assert_eq!(rename(&world, "/a", "/a/sub/x", none), Err(Errno::EINVAL));
    assert_eq!(rename(&world, "/a/sub", "/a", none), Err(Errno::ENOTEMPTY));
    assert_eq!(rename(&world, "/b", "/full", none), Err(Errno::ENOTEMPTY));
    assert_eq!(rename(&world, "/f", "/b", none), Err(Errno::EISDIR));
    assert_eq!(rename(&world, "/b", "/f", none), Err(Errno::ENOTDIR));
    assert_eq!(rename(&world, "/f", "/h/", none), Err(Errno::ENOTDIR));
    assert_eq!(rename(&world, "/a/.", "/b", none), Err(Errno::EBUSY));
    assert_eq!(rename(&world, "/none", "/x", none), Err(Errno::ENOENT));
    assert_eq!(rename(&world, "/f", "/g", RenameFlags::NO_REPLACE), Err(Errno::EEXIST));
    assert_eq!(rename(&world, "/f", "/new", RenameFlags::EXCHANGE), Err(Errno::ENOENT));
    let sub = world.lookup("/a/sub").unwrap();
    rename(&world, "/a/sub", "/b/moved", none).unwrap();
    assert_eq!(sub.display(&world.root), b"/b/moved");
    assert_eq!((links(&world, "/a"), links(&world, "/b")), (2, 3));
    rename(&world, "/f", "/b", RenameFlags::EXCHANGE).unwrap();
    assert_eq!(world.read("/b"), b"f");
    assert_eq!(world.number("/f/moved"), sub.inode().unwrap().number());
    rename(&world, "/b", "/g", none).unwrap();
    assert_eq!(world.read("/g"), b"f");
    assert_eq!(world.lookup("/b").unwrap_err(), Errno::ENOENT);
    world.walk(&root_caller()).link(&world.lookup("/g").unwrap(), &world.root, b"/same").unwrap();
    rename(&world, "/g", "/same", none).unwrap();
    assert!(world.lookup("/g").is_ok(), "two names of one file: nothing happens");
}

#[test]
fn listing_goes_on_where_it_stopped() {
    let world = World::new();
    world.mkdir("/d");
    for name in ["a", "b", "c", "d"] {
        world.write(&format!("/d/{name}"), b"");
    }
    let file = world.open("/d", OpenFlags::DIRECTORY).unwrap();
    let mut seen = Vec::new();
    let caller = root_caller();
    let list = |seen: &mut Vec<String>, most: usize| {
        let mut count = 0;
        file.read_dir(&caller, &mut |entry| {
            count += 1;
            if count <= most {
                seen.push(String::from_utf8(entry.name.to_vec()).unwrap());
            }
            count <= most
        })
        .unwrap();
    };
    list(&mut seen, 3);
    unlink(&world, "/d/b").unwrap();
    unlink(&world, "/d/a").unwrap();
    world.write("/d/e", b"");
    list(&mut seen, 100);
    assert_eq!(seen, [".", "..", "a", "c", "d", "e"]);
    file.seek(0, Whence::Set).unwrap();
    seen.clear();
    list(&mut seen, 100);
    assert_eq!(seen, [".", "..", "c", "d", "e"]);
    for name in ["c", "d", "e"] {
        unlink(&world, &format!("/d/{name}")).unwrap();
    }
    rmdir(&world, "/d").unwrap();
    let result = file.read_dir(&caller, &mut |_| true);
    assert_eq!(result, Err(Errno::ENOENT));
}

#[test]
fn permission_follows_owner_group_and_others() {
    let world = World::new();
    world.write("/f", b"x");
    let set = |mode, uid, gid| {
        let set = SetAttributes {
            mode: Some(mode),
            uid: Some(uid),
            gid: Some(gid),
            ..Default::default()
        };
        world.lookup("/f").unwrap().set_attributes(&set, &root_caller()).unwrap();
    };
    let user = user_caller();
    let may = |access| {
        let path = world.lookup("/f").unwrap();
        world.walk(&user).access(&path, access).is_ok()
    };
    set(0o077, 1000, 0);
    assert!(!may(Access::READ), "the owner's bits count, not those of others");
    set(0o040, 0, 100);
    assert!(may(Access::READ) && !may(Access::WRITE), "a supplementary group");
    set(0o005, 0, 0);
    assert!(may(Access::READ | Access::EXECUTE) && !may(Access::WRITE));
    set(0o666, 0, 0);
    let path = world.lookup("/f").unwrap();
    let root = root_caller();
    assert_eq!(path.permit(Access::EXECUTE, &root), Err(Errno::EACCES), "nobody may run it");
    set(0o000, 0, 0);
    assert!(path.permit(Access::READ | Access::WRITE, &root).is_ok());
}

#[test]
fn sticky_directories_protect_their_entries() {
    let world = World::new();
    world.mkdir("/tmp");
    let root = root_caller();
    let set = SetAttributes { mode: Some(0o1777), ..Default::default() };
    world.lookup("/tmp").unwrap().set_attributes(&set, &root).unwrap();
    world.write("/tmp/roots", b"");
    let user = user_caller();
    let walk = world.walk(&user);
    assert_eq!(walk.unlink(&world.root, b"/tmp/roots"), Err(Errno::EPERM));
    world.open_as(&user, "/tmp/users", CREATE).unwrap();
    walk.unlink(&world.root, b"/tmp/users").unwrap();
}

#[test]
fn set_group_id_directories_hand_their_group_down() {
    let world = World::new();
    world.mkdir("/d");
    let root = root_caller();
    let set = SetAttributes { mode: Some(0o2777), gid: Some(50), ..Default::default() };
    world.lookup("/d").unwrap().set_attributes(&set, &root).unwrap();
    world.write("/d/f", b"");
    world.mkdir("/d/sub");
    let metadata = |path| world.lookup(path).unwrap().metadata().unwrap();
    assert_eq!((metadata("/d/f").gid, metadata("/d/f").mode), (50, 0o644));
    assert_eq!((metadata("/d/sub").gid, metadata("/d/sub").mode), (50, 0o2755));
}

#[test]
fn owners_and_modes_change_by_the_rules() {
    let world = World::new();
    world.write("/f", b"x");
    let (root, user) = (root_caller(), user_caller());
    let path = world.lookup("/f").unwrap();
    let mode = |mode| SetAttributes { mode: Some(mode), ..Default::default() };
    assert_eq!(path.set_attributes(&mode(0o777), &user), Err(Errno::EPERM));
    let owner = SetAttributes { uid: Some(1000), gid: Some(1000), ..Default::default() };
    path.set_attributes(&owner, &root).unwrap();
    path.set_attributes(&mode(0o6755), &user).unwrap();
    let other = SetAttributes { uid: Some(0), ..Default::default() };
    assert_eq!(path.set_attributes(&other, &user), Err(Errno::EPERM));
    let group = SetAttributes { gid: Some(100), ..Default::default() };
    path.set_attributes(&group, &user).unwrap();
    assert_eq!(path.metadata().unwrap().mode, 0o755, "a new group takes the set-id bits away");
    let foreign = SetAttributes { gid: Some(101), ..Default::default() };
    assert_eq!(path.set_attributes(&foreign, &user), Err(Errno::EPERM));
    path.set_attributes(&mode(0o4755), &user).unwrap();
    put(&world.open("/f", RW).unwrap(), b"y").unwrap();
    assert_eq!(path.metadata().unwrap().mode, 0o4755, "not for those with CAP_FSETID");
    let file = world.open_as(&user, "/f", RW).unwrap();
    file.write(&mut crate::Source::kernel(b"y"), &user).unwrap();
    assert_eq!(path.metadata().unwrap().mode, 0o755);
}

#[test]
fn times_change_when_they_should() {
    let world = World::new();
    world.write("/f", b"x");
    let times = || world.lookup("/f").unwrap().metadata().unwrap().times;
    let before = times();
    world.read("/f");
    let read = times();
    assert!(read.accessed > before.accessed && read.modified == before.modified);
    world.read("/f");
    assert_eq!(times().accessed, read.accessed, "a second read tells nothing new");
    put(&world.open("/f", RW).unwrap(), b"y").unwrap();
    let written = times();
    assert!(written.modified > read.modified && written.changed == written.modified);
    let set = SetAttributes {
        accessed: Some(SetTime::At(Timespec::new(-5, 7))),
        modified: Some(SetTime::Now),
        ..Default::default()
    };
    let path = world.lookup("/f").unwrap();
    assert_eq!(path.set_attributes(&set, &user_caller()), Err(Errno::EPERM));
    path.set_attributes(&set, &root_caller()).unwrap();
    assert_eq!(times().accessed, Timespec::new(-5, 7));
    assert!(times().changed > written.changed && times().born == before.born);
}

#[test]
fn files_without_a_name_may_get_one() {
    let world = World::new();
    let caller = root_caller();
    let walk = world.walk(&caller);
    let how = OpenHow { flags: OpenFlags::TEMPORARY | RW, mode: 0o600, ..OpenHow::default() };
    let Opened::File(file) = walk.open(&world.root, b"/", &how).unwrap() else { panic!() };
    put(&file, b"secret").unwrap();
    assert_eq!(file.inode().links(), 0);
    walk.link(file.path(), &world.root, b"/named").unwrap();
    assert_eq!(world.read("/named"), b"secret");
    let exclusive = OpenHow { flags: how.flags | OpenFlags::EXCLUSIVE, ..how };
    let Opened::File(file) = walk.open(&world.root, b"/", &exclusive).unwrap() else { panic!() };
    assert_eq!(walk.link(file.path(), &world.root, b"/other"), Err(Errno::ENOENT));
}

#[test]
fn an_unlinked_file_lives_as_long_as_it_is_open() {
    let world = World::with(Options { pages: Some(1), ..Options::default() });
    let file = world.open("/f", CREATE | RW).unwrap();
    put(&file, b"still here").unwrap();
    unlink(&world, "/f").unwrap();
    assert_eq!(file.path().display(&world.root), b"/f (deleted)");
    file.seek(0, Whence::Set).unwrap();
    assert_eq!(get(&file, 100).unwrap(), b"still here");
    drop(file);
    assert_eq!(world.root.mount().statfs().blocks_free, 1);
}

#[test]
fn seals_hold() {
    let caller = root_caller();
    let memory = Memory::new(&caller).unwrap();
    let file = memory.create(b"/memfd:x", AllowSealing::Yes, &caller).unwrap();
    put(&file, b"1234").unwrap();
    let pages = file.pages().unwrap();
    pages.add_writable_mapping().unwrap();
    assert_eq!(pages.add_seals(Seals::WRITE), Err(Errno::EBUSY));
    pages.remove_writable_mapping();
    pages.add_seals(Seals::GROW).unwrap();
    assert_eq!(put(&file, b"5"), Err(Errno::EPERM));
    pages.add_seals(Seals::SHRINK | Seals::WRITE | Seals::SEAL).unwrap();
    assert_eq!(file.truncate(1, &caller), Err(Errno::EPERM));
    assert_eq!(pages.add_writable_mapping(), Err(Errno::EPERM));
    assert_eq!(pages.add_seals(Seals::WRITE), Err(Errno::EPERM));
    let world = World::new();
    assert_eq!(file.path().display(&world.root), b"/memfd:x (deleted)");
    let plain = memory.create(b"/memfd:y", AllowSealing::No, &caller).unwrap();
    assert_eq!(plain.pages().unwrap().seals(), Ok(Seals::SEAL));
}

#[test]
fn running_programs_are_not_written() {
    let world = World::new();
    world.write("/program", b"#!");
    let path = world.lookup("/program").unwrap();
    let inode = path.inode().unwrap();
    inode.deny_write_access().unwrap();
    assert_eq!(world.open("/program", RW).unwrap_err(), Errno::ETXTBSY);
    assert_eq!(path.truncate(0, &root_caller()), Err(Errno::ETXTBSY));
    inode.allow_write_access();
    let file = world.open("/program", RW).unwrap();
    assert_eq!(inode.deny_write_access(), Err(Errno::ETXTBSY));
    drop(file);
    assert!(inode.deny_write_access().is_ok());
}

#[test]
fn a_tree_deeper_than_the_stack_is_dropped() {
    let world = World::new();
    let caller = Caller::new(Credentials::ROOT, crate::testing::clock);
    let mut at = world.root.clone();
    for _ in 0..50_000 {
        let walk = world.walk(&caller);
        at = walk.make(&at, b"d", Make::Directory, 0o755).unwrap();
    }
    drop(world);
    drop(at);
}
