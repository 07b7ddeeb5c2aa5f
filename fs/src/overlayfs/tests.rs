use crate::{
    Caller, Errno, Kind, LookupFlags, Make, MountFlags, OpenFlags, RenameFlags, Result,
    SetAttributes, SetXattr, Unmount,
    overlayfs::mount,
    testing::{World, get, put, root_caller},
};
use proptest::prelude::{Just, Strategy, prop_oneof, proptest};

const READ_WRITE: OpenFlags = OpenFlags::READ_WRITE;

/// A tmpfs with the layers `/l1`, `/l2`, `/u`, the work directory `/w`, and `/m` for the overlay.
fn world(fill: impl FnOnce(&World)) -> World {
    let world = World::new();
    for directory in ["/l1", "/l2", "/u", "/w", "/m", "/l1/d", "/l2/d"] {
        world.mkdir(directory);
    }
    fill(&world);
    lay(&world, "lowerdir=/l1:/l2,upperdir=/u,workdir=/w").unwrap();
    world
}

fn lay(world: &World, options: &str) -> Result<()> {
    let caller = root_caller();
    let walk = world.walk(&caller);
    let flags = MountFlags::RELATIVE_ACCESS_TIME;
    let made = mount(options.as_bytes(), b"overlay", flags, &walk, &world.root)?;
    world.table.mount(&world.lookup("/m")?, made)
}

fn end(world: &World) {
    world.table.unmount(world.lookup("/m").unwrap(), Unmount::IfUnused).unwrap();
}

fn with<T>(world: &World, operation: impl FnOnce(&crate::Walk<'_>) -> T) -> T {
    let caller = root_caller();
    operation(&world.walk(&caller))
}

fn unlink(world: &World, path: &str) -> Result<()> {
    with(world, |walk| walk.unlink(&world.root, path.as_bytes()))
}

fn rmdir(world: &World, path: &str) -> Result<()> {
    with(world, |walk| walk.remove_dir(&world.root, path.as_bytes()))
}

fn make(world: &World, path: &str, what: Make<'_>) -> Result<()> {
    with(world, |walk| walk.make(&world.root, path.as_bytes(), what, 0o755).map(drop))
}

fn rename(world: &World, from: &str, to: &str, flags: RenameFlags) -> Result<()> {
    let (from, to) = ((&world.root, from.as_bytes()), (&world.root, to.as_bytes()));
    with(world, |walk| walk.rename(from, to, flags))
}

fn names(world: &World, path: &str) -> Vec<String> {
    let mut names = world.names(path);
    names.sort();
    names
}

fn is_whiteout(world: &World, path: &str) -> bool {
    let path = world.lookup(path).unwrap();
    super::layer::is_whiteout(path.inode().unwrap())
}

#[test]
fn layers_are_merged() {
    let world = world(|world| {
        world.write("/l2/d/low", b"2");
        world.write("/l1/d/mid", b"1");
        world.write("/l2/d/mid", b"hidden");
        world.mkdir("/u/d");
        world.write("/u/d/top", b"u");
        world.write("/l2/file", b"hidden by a directory");
        world.mkdir("/l1/file");
    });
    assert_eq!(names(&world, "/m/d"), [".", "..", "low", "mid", "top"]);
    assert_eq!(world.read("/m/d/mid"), b"1");
    assert_eq!((world.read("/m/d/low"), world.read("/m/d/top")), (b"2".into(), b"u".into()));
    assert_eq!(names(&world, "/m/file"), [".", ".."]);
    let caller = root_caller();
    let listing = world.open("/m/d", OpenFlags::DIRECTORY).unwrap();
    listing
        .read_dir(&caller, &mut |entry| {
            let path = format!("/m/d/{}", String::from_utf8(entry.name.to_vec()).unwrap());
            let special = matches!(entry.name, b"." | b"..");
            assert!(special || world.number(&path) == entry.number);
            true
        })
        .unwrap();
    assert_eq!(world.lookup("/m/d").unwrap().metadata().unwrap().links, 1);
}

#[test]
fn writing_copies_up_and_reading_does_not() {
    let world = world(|world| {
        world.mkdir("/l1/d/sub");
        world.write("/l1/d/sub/f", b"below");
    });
    let number = world.number("/m/d/sub/f");
    let before = world.open("/m/d/sub/f", OpenFlags::empty()).unwrap();
    assert_eq!(get(&before, 2).unwrap(), b"be");
    let mapped = std::sync::Arc::clone(before.inode().real());
    assert!(world.lookup("/u/d").is_err());
    let file = world.open("/m/d/sub/f", READ_WRITE | OpenFlags::APPEND).unwrap();
    put(&file, b" above").unwrap();
    assert_eq!(world.read("/u/d/sub/f"), b"below above");
    assert_eq!(world.read("/l1/d/sub/f"), b"below");
    assert_eq!(get(&before, 100).unwrap(), b"low above", "as on Linux since 4.19");
    assert_eq!(mapped.pages().unwrap().size(), 5, "a mapping stays with the file below");
    assert_eq!(world.number("/m/d/sub/f"), number);
    let metadata = world.lookup("/m/d/sub/f").unwrap().metadata().unwrap();
    assert_eq!((metadata.number, metadata.size, metadata.links), (number, 11, 1));
    drop((file, before, mapped));
    end(&world);
    lay(&world, "lowerdir=/l1:/l2,upperdir=/u,workdir=/w").unwrap();
    assert_eq!(world.number("/m/d/sub/f"), number, "also when it is mounted again");
    assert_eq!(names(&world, "/w/work"), [".", ".."]);
}

#[test]
fn attributes_are_changed_above_only() {
    let world = world(|world| world.write("/l1/f", b"x"));
    let caller = root_caller();
    let path = world.lookup("/m/f").unwrap();
    let set = SetAttributes { mode: Some(0o600), uid: Some(7), ..SetAttributes::default() };
    path.set_attributes(&set, &caller).unwrap();
    let shown = |path: &str| {
        let metadata = world.lookup(path).unwrap().metadata().unwrap();
        (metadata.mode, metadata.uid, metadata.size)
    };
    assert_eq!([shown("/m/f"), shown("/u/f")], [(0o600, 7, 1); 2]);
    assert_eq!(shown("/l1/f"), (0o644, 0, 1));
    assert_eq!(world.read("/u/f"), b"x");
    path.set_xattr(b"user.a", b"1", SetXattr::Any, &caller).unwrap();
    path.set_xattr(b"trusted.overlay.own", b"2", SetXattr::Any, &caller).unwrap();
    assert_eq!(path.xattr(b"trusted.overlay.own", &caller).unwrap(), b"2");
    assert_eq!(path.xattr(b"trusted.overlay.origin", &caller), Err(Errno::ENODATA));
    assert_eq!(path.xattr_names(&caller).unwrap(), b"trusted.overlay.own\0user.a\0");
    let above = world.lookup("/u/f").unwrap();
    assert_eq!(above.xattr(b"trusted.overlay.overlay.own", &caller).unwrap(), b"2");
    path.remove_xattr(b"user.a", &caller).unwrap();
    assert_eq!(above.xattr(b"user.a", &caller), Err(Errno::ENODATA));
}

#[test]
fn removing_leaves_whiteouts_and_making_hides_what_was_below() {
    let world = world(|world| {
        world.write("/l1/d/f", b"f");
        world.write("/l2/g", b"g");
        world.write("/u/own", b"own");
    });
    assert_eq!(rmdir(&world, "/m/d"), Err(Errno::ENOTEMPTY));
    unlink(&world, "/m/d/f").unwrap();
    assert!(is_whiteout(&world, "/u/d/f"));
    assert_eq!(names(&world, "/m/d"), [".", ".."]);
    rmdir(&world, "/m/d").unwrap();
    assert!(is_whiteout(&world, "/u/d"));
    make(&world, "/m/d", Make::Directory).unwrap();
    assert_eq!(names(&world, "/m/d"), [".", ".."]);
    let opaque = world.lookup("/u/d").unwrap().xattr(b"trusted.overlay.opaque", &root_caller());
    assert_eq!(opaque.unwrap(), b"y");
    unlink(&world, "/m/own").unwrap();
    assert!(world.lookup("/u/own").is_err(), "nothing is below it");
    unlink(&world, "/m/g").unwrap();
    world.write("/m/g", b"new");
    assert_eq!((world.read("/m/g"), world.read("/u/g")), (b"new".into(), b"new".into()));
    assert_eq!(make(&world, "/m/w", Make::Character(Default::default())), Err(Errno::EPERM));
    let caller = root_caller();
    let target = world.lookup("/m/g").unwrap();
    unlink(&world, "/m/d").unwrap_err();
    rmdir(&world, "/m/d").unwrap();
    with(&world, |walk| walk.link(&target, &world.root, b"/m/d")).unwrap();
    assert_eq!(world.read("/m/d"), b"new");
    assert_eq!(target.metadata().unwrap().links, 2);
    assert!(target.set_attributes(&SetAttributes::default(), &caller).is_ok());
    assert_eq!(names(&world, "/w/work"), [".", ".."]);
}

#[test]
fn renames_move_what_can_be_moved() {
    let world = world(|world| {
        world.write("/l1/f", b"f");
        world.write("/l1/d/g", b"g");
        world.mkdir("/l2/empty");
    });
    let none = RenameFlags::empty();
    assert_eq!(rename(&world, "/m/d", "/m/e", none), Err(Errno::EXDEV));
    rename(&world, "/m/f", "/m/d/moved", none).unwrap();
    assert!(is_whiteout(&world, "/u/f") && world.lookup("/m/f").is_err());
    assert_eq!(world.read("/u/d/moved"), b"f");
    rename(&world, "/m/d/moved", "/m/d/g", none).unwrap();
    assert_eq!(names(&world, "/m/d"), [".", "..", "g"]);
    make(&world, "/m/new", Make::Directory).unwrap();
    world.write("/m/new/x", b"x");
    rename(&world, "/m/new", "/m/empty", none).unwrap();
    assert_eq!(names(&world, "/m/empty"), [".", "..", "x"]);
    make(&world, "/m/f", Make::Directory).unwrap();
    rename(&world, "/m/f", "/m/d/g", RenameFlags::EXCHANGE).unwrap();
    assert_eq!(
        (world.read("/m/f"), names(&world, "/m/d/g")),
        (b"f".into(), vec![".".into(), "..".into()])
    );
    assert_eq!(rename(&world, "/m/empty", "/m/d", none), Err(Errno::ENOTEMPTY));
}

#[test]
fn links_of_one_file_below_become_two_above() {
    let world = world(|world| {
        world.write("/l1/a", b"one");
        let file = world.lookup("/l1/a").unwrap();
        with(world, |walk| walk.link(&file, &world.root, b"/l1/b")).unwrap();
    });
    assert_eq!(world.number("/m/a"), world.number("/m/b"));
    put(&world.open("/m/a", READ_WRITE).unwrap(), b"two").unwrap();
    assert_eq!((world.read("/m/a"), world.read("/m/b")), (b"two".into(), b"one".into()));
    let metadata = |path| world.lookup(path).unwrap().metadata().unwrap();
    assert_ne!(metadata("/m/a").number, metadata("/m/b").number);
    let file = world.lookup("/m/a").unwrap();
    with(&world, |walk| walk.link(&file, &world.root, b"/m/c")).unwrap();
    assert_eq!(metadata("/m/c").number, metadata("/m/a").number);
    unlink(&world, "/m/a").unwrap();
    assert_eq!((world.read("/m/c"), metadata("/m/c").links), (b"two".into(), 1));
}

#[test]
fn without_an_upper_layer_nothing_changes() {
    let world = World::new();
    for directory in ["/l1", "/l2", "/m"] {
        world.mkdir(directory);
    }
    world.write("/l2/f", b"x");
    lay(&world, "lowerdir=/l1:/l2").unwrap();
    assert_eq!(world.read("/m/f"), b"x");
    assert_eq!(world.open("/m/f", READ_WRITE).unwrap_err(), Errno::EROFS);
    assert_eq!(make(&world, "/m/d", Make::Directory), Err(Errno::EROFS));
    assert_eq!(unlink(&world, "/m/f"), Err(Errno::EROFS));
}

#[test]
fn mounting_refuses_as_linux_does() {
    let world = World::new();
    for directory in ["/l", "/u", "/w", "/m", "/l/in"] {
        world.mkdir(directory);
    }
    world.write("/f", b"");
    for (options, errno) in [
        ("lowerdir=/none,upperdir=/u,workdir=/w", Errno::ENOENT),
        ("lowerdir=/f,upperdir=/u,workdir=/w", Errno::EINVAL),
        ("lowerdir=/l,upperdir=/u,workdir=/u", Errno::EINVAL),
        ("lowerdir=/l,upperdir=/u,workdir=/", Errno::EINVAL),
        ("lowerdir=/l,upperdir=/l,workdir=/w", Errno::ELOOP),
        ("lowerdir=/l:/l/in,upperdir=/u,workdir=/w", Errno::ELOOP),
    ] {
        assert_eq!(lay(&world, options), Err(errno), "{options}");
    }
}

#[test]
fn listing_goes_on_where_it_stopped() {
    let world = world(|world| {
        for index in 0..20 {
            world.write(&format!("/l{}/d/{index:02}", 1 + index % 2), b"");
        }
    });
    let listing = world.open("/m/d", OpenFlags::DIRECTORY).unwrap();
    let caller = root_caller();
    let mut seen: Vec<String> = Vec::new();
    let some = |most: usize, seen: &mut Vec<String>| {
        let mut count = 0;
        listing
            .read_dir(&caller, &mut |entry| {
                count += 1;
                if count <= most {
                    seen.push(String::from_utf8(entry.name.to_vec()).unwrap());
                }
                count <= most
            })
            .unwrap();
    };
    some(7, &mut seen);
    for name in seen.iter().filter(|name| !name.starts_with('.')) {
        unlink(&world, &format!("/m/d/{name}")).unwrap();
    }
    world.write("/m/d/late", b"");
    for _ in 0..20 {
        some(3, &mut seen);
    }
    seen.sort();
    let mut expected: Vec<_> = (0..20).map(|index| format!("{index:02}")).collect();
    expected.extend([".".into(), "..".into(), "late".into()]);
    expected.sort();
    assert_eq!(seen, expected);
}

#[test]
fn a_large_file_is_copied_in_pieces() {
    let world = world(|world| {
        let file = world.open("/l1/large", READ_WRITE | OpenFlags::CREATE).unwrap();
        for index in 0..1500_u64 {
            let page = [u8::try_from(index % 251).unwrap(); 4096];
            file.write_at(index * 4096, &mut crate::Source::kernel(&page), &root_caller()).unwrap();
        }
    });
    let caller = root_caller();
    let path = world.lookup("/m/large").unwrap();
    let set = SetAttributes { mode: Some(0o600), ..SetAttributes::default() };
    assert_eq!(path.set_attributes(&set, &caller), Err(Errno::MISS));
    assert!(caller.take_miss().is_some());
    assert!(world.lookup("/u/large").is_err(), "it comes when it is whole");
    assert_eq!(path.set_attributes(&set, &caller), Ok(()));
    assert_eq!(world.lookup("/u/large").unwrap().metadata().unwrap().size, 1500 * 4096);
    assert_eq!(world.read("/u/large")[..100 * 4096], world.read("/l1/large")[..100 * 4096]);
    let path = world.lookup("/l1/large").unwrap();
    assert_eq!(path.metadata().unwrap().mode, 0o644);
}

/// A step that both the overlay and an ordinary directory with the same files go through.
#[derive(Clone, Debug)]
enum Step {
    Write(usize, u8),
    Truncate(usize),
    MakeDirectory(usize),
    MakeSymlink(usize),
    Unlink(usize),
    RemoveDirectory(usize),
    Rename(usize, usize),
    Exchange(usize, usize),
    Link(usize, usize),
    Chmod(usize, u32),
}

const PATHS: &[&str] = &[
    "a", "b", "d", "d/a", "d/b", "d/e", "d/e/a", "d/e/f", "e", "e/a", "e/d", "low", "low/x",
    "low/y",
];

fn step() -> impl Strategy<Value = Step> {
    let path = || 0..PATHS.len();
    prop_oneof![
        (path(), 0..255_u8).prop_map(|(path, byte)| Step::Write(path, byte)),
        path().prop_map(Step::Truncate),
        path().prop_map(Step::MakeDirectory),
        path().prop_map(Step::MakeSymlink),
        path().prop_map(Step::Unlink),
        path().prop_map(Step::RemoveDirectory),
        (path(), path()).prop_map(|(from, to)| Step::Rename(from, to)),
        (path(), path()).prop_map(|(from, to)| Step::Exchange(from, to)),
        (path(), path()).prop_map(|(from, to)| Step::Link(from, to)),
        (path(), prop_oneof![Just(0o700), Just(0o640)])
            .prop_map(|(path, mode)| Step::Chmod(path, mode)),
    ]
}

/// Carries a step out below `top`.
fn carry_out(world: &World, top: &str, step: &Step) -> Result<()> {
    let at = |path: &usize| format!("{top}/{}", PATHS[*path]);
    let caller: Caller<'_> = root_caller();
    let walk = world.walk(&caller);
    let find = |path: &usize| walk.resolve(&world.root, at(path).as_bytes(), LookupFlags::empty());
    match step {
        Step::Write(path, byte) => {
            let flags = OpenFlags::CREATE | OpenFlags::WRITE_ONLY | OpenFlags::APPEND;
            put(&world.open(&at(path), flags | OpenFlags::NO_FOLLOW)?, &[*byte]).map(drop)
        }
        Step::Truncate(path) => {
            world.open(&at(path), OpenFlags::TRUNCATE | OpenFlags::NO_FOLLOW | READ_WRITE).map(drop)
        }
        Step::MakeDirectory(path) => make(world, &at(path), Make::Directory),
        Step::MakeSymlink(path) => make(world, &at(path), Make::Symlink(b"a")),
        Step::Unlink(path) => unlink(world, &at(path)),
        Step::RemoveDirectory(path) => rmdir(world, &at(path)),
        Step::Rename(from, to) => rename(world, &at(from), &at(to), RenameFlags::empty()),
        Step::Exchange(from, to) => rename(world, &at(from), &at(to), RenameFlags::EXCHANGE),
        Step::Link(from, to) => walk.link(&find(from)?, &world.root, at(to).as_bytes()),
        Step::Chmod(path, mode) => {
            let set = SetAttributes { mode: Some(*mode), ..SetAttributes::default() };
            find(path)?.set_attributes(&set, &caller)
        }
    }
}

/// Everything below a directory that has to be the same: names, kinds, modes, links, contents.
fn describe(world: &World, top: &str) -> Vec<String> {
    let caller = root_caller();
    let walk = world.walk(&caller);
    let mut lines = Vec::new();
    let mut stack = vec![String::new()];
    while let Some(directory) = stack.pop() {
        for name in names(world, &format!("{top}{directory}")) {
            if name == "." || name == ".." {
                continue;
            }
            let path = format!("{directory}/{name}");
            let full = format!("{top}{path}");
            let found = walk.resolve(&world.root, full.as_bytes(), LookupFlags::empty()).unwrap();
            let metadata = found.metadata().unwrap();
            let rest = match metadata.kind {
                Kind::Directory => {
                    stack.push(path.clone());
                    String::new()
                }
                Kind::Regular => format!("{} {:?}", metadata.links, world.read(&full)),
                _ => String::new(),
            };
            lines.push(format!("{path} {:o} {rest}", metadata.st_mode()));
        }
    }
    lines.sort();
    lines
}

fn fill(world: &World, layers: [&str; 3]) {
    for layer in layers {
        for directory in ["d", "d/e", "low"] {
            let _ = make(world, &format!("{layer}/{directory}"), Make::Directory);
        }
    }
    let [top, middle, bottom] = layers;
    world.write(&format!("{bottom}/a"), b"below");
    world.write(&format!("{middle}/b"), b"middle");
    world.write(&format!("{bottom}/d/a"), b"d");
    world.write(&format!("{middle}/d/e/a"), b"e");
    world.write(&format!("{top}/d/b"), b"top");
    world.write(&format!("{bottom}/low/x"), b"x");
}

proptest! {
    #[test]
    fn an_overlay_is_a_directory_like_any_other(
        steps in proptest::collection::vec(step(), 1..60)
    ) {
        let world = world(|world| {
            world.mkdir("/plain");
            fill(world, ["/u", "/l1", "/l2"]);
            fill(world, ["/plain"; 3]);
        });
        for step in &steps {
            let above = carry_out(&world, "/m", step);
            if above == Err(Errno::EXDEV) {
                // Only directories with a lower part cannot be moved.
                continue;
            }
            let plain = carry_out(&world, "/plain", step);
            proptest::prop_assert_eq!(above, plain, "{:?} of {:?}", step, steps);
        }
        proptest::prop_assert_eq!(describe(&world, "/m"), describe(&world, "/plain"));
        // What was written is all there is when it is mounted again.
        end(&world);
        lay(&world, "lowerdir=/l1:/l2,upperdir=/u,workdir=/w").unwrap();
        proptest::prop_assert_eq!(describe(&world, "/m"), describe(&world, "/plain"));
        proptest::prop_assert_eq!(names(&world, "/w/work"), [".", ".."]);
    }
}
