//! Tests with a small `/proc`.

use super::{Body, Content, Identity, Listed, Listing, Node, Tree, Written, mount};
use crate::{
    Caller, Errno, Kind, LookupFlags, MagicLink, Make, Mount, MountFlags, OpenFlags, Path, Result,
    Whence,
    testing::{World, clock, get, put, root_caller},
};
use core::fmt;
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU32, Ordering::Relaxed},
};

/// Directories of processes: those whose numbers are in the list.
struct Processes(Arc<Mutex<Vec<u64>>>, Path);

struct Jump(Path);

impl MagicLink for Jump {
    fn text(&self, _caller: &Caller<'_>) -> Result<Vec<u8>> {
        Ok(b"anywhere".to_vec())
    }

    fn jump(&self, _caller: &Caller<'_>) -> Option<Result<Path>> {
        Some(Ok(self.0.clone()))
    }
}

impl Listing for Processes {
    fn find(&self, name: &[u8], _caller: &Caller<'_>) -> Result<Node> {
        let number = std::str::from_utf8(name).ok().and_then(|name| name.parse::<u64>().ok());
        let number = number.filter(|number| self.0.lock().unwrap().contains(number));
        let number = number.ok_or(Errno::ENOENT)?;
        let tree = Tree::new();
        tree.file(b"stat", move |out: &mut dyn fmt::Write| writeln!(out, "{number} (sh) S"));
        tree.add(b"exe", Node::new(Body::MagicLink(Arc::new(Jump(self.1.clone())))));
        Ok(Node::new(Body::Directory(tree)).owner(1000, 1000).number(number << 16))
    }

    fn next(&self, position: u64, _caller: &Caller<'_>) -> Result<Option<Listed>> {
        let list = self.0.lock().unwrap();
        let next = list.iter().copied().filter(|number| *number >= position).min();
        Ok(next.map(|number| Listed {
            name: number.to_string().into_bytes(),
            kind: Kind::Directory,
            number: number << 16,
            position: number,
        }))
    }
}

/// A number that can be set.
struct Setting(AtomicU32);

impl Content for Setting {
    fn show(&self, out: &mut dyn fmt::Write, _caller: &Caller<'_>) -> Result<()> {
        writeln!(out, "{}", self.0.load(Relaxed)).map_err(|_| Errno::ENOMEM)
    }

    fn store(&self, bytes: &[u8], _caller: &Caller<'_>) -> Result<Written> {
        let text = std::str::from_utf8(bytes).map_err(|_| Errno::EINVAL)?;
        self.0.store(text.trim().parse().map_err(|_| Errno::EINVAL)?, Relaxed);
        Ok(Written::All)
    }
}

fn world() -> (World, Arc<Mutex<Vec<u64>>>) {
    let world = World::new();
    world.mkdir("/proc");
    world.write("/program", b"elf");
    let processes = Arc::new(Mutex::new(vec![1, 7, 30]));
    let program = world.lookup("/program").unwrap();
    let root = Tree::listing(Processes(Arc::clone(&processes), program));
    root.file(b"version", |out: &mut dyn fmt::Write| out.write_str("Jinux\n"));
    root.symlink(b"self", b"7");
    let settings = root.directory(b"sys");
    let setting = Node::new(Body::File(Arc::new(Setting(AtomicU32::new(5))))).mode(0o644);
    settings.add(b"limit", setting);
    let mounted = mount(Identity::PROC, &root, b"proc", MountFlags::empty(), clock).unwrap();
    let _: &Mount = &mounted;
    world.table.mount(&world.lookup("/proc").unwrap(), mounted).unwrap();
    (world, processes)
}

#[test]
fn entries_are_fixed_or_found() {
    let (world, processes) = world();
    assert_eq!(world.names("/proc"), [".", "..", "version", "self", "sys", "1", "7", "30"]);
    assert_eq!(world.read("/proc/version"), b"Jinux\n");
    assert_eq!(world.read("/proc/self/stat"), b"7 (sh) S\n");
    let metadata = world.lookup("/proc/7").unwrap().metadata().unwrap();
    assert_eq!((metadata.uid, metadata.number, metadata.mode), (1000, 7 << 16, 0o555));
    processes.lock().unwrap().retain(|number| *number != 7);
    assert_eq!(world.lookup("/proc/7").unwrap_err(), Errno::ENOENT);
    processes.lock().unwrap().push(7);
    assert!(world.lookup("/proc/self/").is_ok());
}

#[test]
fn a_magic_link_jumps() {
    let (world, _) = world();
    assert_eq!(world.read("/proc/7/exe"), b"elf");
    assert_eq!(world.number("/proc/self/exe"), world.number("/program"));
    assert_eq!(world.lookup("/proc/7/exe/x").unwrap_err(), Errno::ENOTDIR);
    assert_eq!(world.lookup("/proc/7/exe/").unwrap_err(), Errno::ENOTDIR);
    let caller = root_caller();
    let walk = world.walk(&caller);
    assert_eq!(walk.read_link(&world.root, b"/proc/7/exe").unwrap(), b"anywhere");
    let flags = LookupFlags::FOLLOW | LookupFlags::NO_MAGIC_LINKS;
    assert_eq!(walk.resolve(&world.root, b"/proc/7/exe", flags).unwrap_err(), Errno::ELOOP);
}

#[test]
fn files_are_shown_and_stored() {
    let (world, _) = world();
    let file = world.open("/proc/sys/limit", OpenFlags::READ_WRITE).unwrap();
    assert_eq!(get(&file, 1).unwrap(), b"5");
    assert_eq!(put(&file, b"12\n").unwrap(), 3);
    file.seek(1, Whence::Set).unwrap();
    assert_eq!(get(&file, 10).unwrap(), b"\n", "what was shown goes on");
    file.seek(0, Whence::Set).unwrap();
    assert_eq!(get(&file, 10).unwrap(), b"12\n");
    assert_eq!(get(&file, 10).unwrap(), b"");
    assert_eq!(put(&file, b"junk"), Err(Errno::EINVAL));
    assert_eq!(file.truncate(0, &root_caller()), Err(Errno::EINVAL));
    let truncating = OpenFlags::WRITE_ONLY | OpenFlags::TRUNCATE;
    assert!(world.open("/proc/sys/limit", truncating).is_ok(), "echo 1 > file");
}

#[test]
fn nothing_can_be_made_in_proc() {
    let (world, _) = world();
    let caller = root_caller();
    let walk = world.walk(&caller);
    let made = walk.make(&world.root, b"/proc/x", Make::Directory, 0o755);
    assert_eq!(made.unwrap_err(), Errno::ENOENT);
    assert_eq!(world.open("/proc/x", OpenFlags::CREATE).unwrap_err(), Errno::ENOENT);
    assert_eq!(walk.unlink(&world.root, b"/proc/version"), Err(Errno::EPERM));
}
