//! Devices: who stands behind their numbers, and the nodes of `/dev`.
//!
//! What a driver looks like is up to the crate above, so the registry is generic in it:
//! [`Walk::open`](crate::Walk::open) answers a device number, the registry the handler behind it.

use crate::{Caller, DeviceNumber, Errno, Kind, Make, Path, Result, SetAttributes, Walk};
use alloc::{collections::BTreeMap, sync::Arc, vec::Vec};
use core::{fmt, ops::RangeInclusive};
use spin::RwLock;

/// Handlers of devices, by kind and number.
pub struct Registry<H: ?Sized> {
    /// By the first number of a range.
    ranges: RwLock<BTreeMap<(bool, DeviceNumber), Range<H>>>,
}

struct Range<H: ?Sized> {
    last_minor: u32,
    name: &'static str,
    handler: Arc<H>,
}

impl<H: ?Sized> Registry<H> {
    /// A registry without devices.
    pub const fn new() -> Self {
        Self { ranges: RwLock::new(BTreeMap::new()) }
    }

    /// Puts a handler behind some minor numbers of a major one; `name` is that in `/proc/devices`.
    ///
    /// # Errors
    /// - `EBUSY`: somebody else has one of them.
    /// - `EINVAL`: no kind of device.
    pub fn register(
        &self,
        kind: Kind,
        major: u32,
        minors: RangeInclusive<u32>,
        name: &'static str,
        handler: Arc<H>,
    ) -> Result<()> {
        let block = is_block(kind)?;
        let key = |minor| (block, DeviceNumber::new(major, minor));
        let mut ranges = self.ranges.write();
        let below = ranges.range(..=key(*minors.end())).next_back();
        let taken = below.is_some_and(|((other, number), range)| {
            *other == block && number.major == major && range.last_minor >= *minors.start()
        });
        if taken {
            return Err(Errno::EBUSY);
        }
        let range = Range { last_minor: *minors.end(), name, handler };
        ranges.insert(key(*minors.start()), range);
        Ok(())
    }

    /// Takes away the handler whose range starts at a number.
    pub fn remove(&self, kind: Kind, first: DeviceNumber) -> Option<Arc<H>> {
        let block = is_block(kind).ok()?;
        self.ranges.write().remove(&(block, first)).map(|range| range.handler)
    }

    /// The handler behind a number.
    ///
    /// # Errors
    /// - `ENXIO`: nobody.
    pub fn find(&self, kind: Kind, number: DeviceNumber) -> Result<Arc<H>> {
        let block = is_block(kind).map_err(|_| Errno::ENXIO)?;
        let ranges = self.ranges.read();
        let ((other, first), range) =
            ranges.range(..=(block, number)).next_back().ok_or(Errno::ENXIO)?;
        let inside = *other == block && first.major == number.major;
        if inside && number.minor <= range.last_minor {
            Ok(Arc::clone(&range.handler))
        } else {
            Err(Errno::ENXIO)
        }
    }

    /// Writes `/proc/devices`.
    pub fn write_list(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        let ranges = self.ranges.read();
        for (block, title) in [(false, "Character devices:\n"), (true, "\nBlock devices:\n")] {
            out.write_str(title)?;
            let mut lines: Vec<_> = ranges
                .iter()
                .filter(|((other, _), _)| *other == block)
                .map(|((_, number), range)| (number.major, range.name))
                .collect();
            lines.dedup();
            lines.iter().try_for_each(|(major, name)| writeln!(out, "{major:3} {name}"))?;
        }
        Ok(())
    }
}

impl<H: ?Sized> Default for Registry<H> {
    fn default() -> Self {
        Self::new()
    }
}

impl<H: ?Sized> fmt::Debug for Registry<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Registry({} ranges)", self.ranges.read().len())
    }
}

fn is_block(kind: Kind) -> Result<bool> {
    match kind {
        Kind::Character => Ok(false),
        Kind::Block => Ok(true),
        _ => Err(Errno::EINVAL),
    }
}

/// A node of `/dev`.
#[derive(Clone, Copy, Debug)]
pub struct Node<'a> {
    /// Its path below the directory.
    pub name: &'a str,
    /// Permission bits.
    pub mode: u32,
    /// What it is.
    pub what: Make<'a>,
}

/// The nodes that every system has, whatever its devices.
pub const STANDARD: &[Node<'static>] = &[
    character("null", 0o666, 1, 3),
    character("zero", 0o666, 1, 5),
    character("full", 0o666, 1, 7),
    character("random", 0o666, 1, 8),
    character("urandom", 0o666, 1, 9),
    character("kmsg", 0o644, 1, 11),
    character("tty", 0o666, 5, 0),
    character("console", 0o600, 5, 1),
    character("ptmx", 0o666, 5, 2),
    Node { name: "pts", mode: 0o755, what: Make::Directory },
    Node { name: "shm", mode: 0o1777, what: Make::Directory },
    Node { name: "fd", mode: 0o777, what: Make::Symlink(b"/proc/self/fd") },
    Node { name: "stdin", mode: 0o777, what: Make::Symlink(b"/proc/self/fd/0") },
    Node { name: "stdout", mode: 0o777, what: Make::Symlink(b"/proc/self/fd/1") },
    Node { name: "stderr", mode: 0o777, what: Make::Symlink(b"/proc/self/fd/2") },
];

const fn character(name: &'static str, mode: u32, major: u32, minor: u32) -> Node<'static> {
    Node { name, mode, what: Make::Character(DeviceNumber::new(major, minor)) }
}

/// Makes nodes below a directory; those that are there stay as they are.
///
/// # Errors
/// - those of [`Walk::make`], but for `EEXIST`.
pub fn populate(directory: &Path, nodes: &[Node<'_>], caller: &Caller<'_>) -> Result<()> {
    let walk = Walk { caller, root: directory, umask: 0 };
    for node in nodes {
        match walk.make(directory, node.name.as_bytes(), node.what, node.mode) {
            Ok(_) | Err(Errno::EEXIST) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A `/dev/pts`: the slave sides of pseudo terminals, which come and go.
pub struct Pts {
    root: Path,
    gid: Option<u32>,
    mode: u32,
}

/// The major number of the slave sides.
pub const PTS_MAJOR: u32 = 136;

impl Pts {
    /// Makes an empty one, with a `ptmx` in it. Options: `gid=`, `mode=`, `ptmxmode=`, `max=`,
    /// `newinstance`.
    ///
    /// # Errors
    /// - `EINVAL`: an option or a value that does not exist.
    pub fn new(options: &[u8], caller: &Caller<'_>) -> Result<Self> {
        let (mut gid, mut mode, mut ptmx) = (None, 0o600, 0);
        let text = str::from_utf8(options).map_err(|_| Errno::EINVAL)?;
        for option in text.split(',').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            let number = |radix| u32::from_str_radix(value, radix).map_err(|_| Errno::EINVAL);
            match name {
                "gid" => gid = Some(number(10)?),
                "mode" => mode = number(8)? & 0o777,
                "ptmxmode" => ptmx = number(8)? & 0o777,
                "max" => drop(number(10)?),
                "newinstance" => {}
                _ => return Err(Errno::EINVAL),
            }
        }
        let root = crate::ramfs::devpts(caller)?;
        let node = Node { mode: ptmx, ..character("ptmx", 0, 5, 2) };
        populate(&root, &[node], caller)?;
        Ok(Self { root, gid, mode })
    }

    /// Its root, for a mount of it.
    pub const fn root(&self) -> &Path {
        &self.root
    }

    /// A new pseudo terminal of the caller; returns the path of its slave side.
    ///
    /// # Errors
    /// - `EEXIST`: there is one with this number.
    pub fn add(&self, index: u32, caller: &Caller<'_>) -> Result<Path> {
        let kernel = Caller::new(crate::Credentials::ROOT, caller.clock());
        let walk = Walk { caller: &kernel, root: &self.root, umask: 0 };
        let name = alloc::format!("{index}");
        let what = Make::Character(DeviceNumber::new(PTS_MAJOR, index));
        let path = walk.make(&self.root, name.as_bytes(), what, self.mode)?;
        let owner = SetAttributes {
            uid: Some(caller.credentials.uid),
            gid: Some(self.gid.unwrap_or(caller.credentials.gid)),
            ..SetAttributes::default()
        };
        path.set_attributes(&owner, &kernel)?;
        Ok(path)
    }

    /// A pseudo terminal is gone.
    pub fn remove(&self, index: u32, caller: &Caller<'_>) -> Result<()> {
        let kernel = Caller::new(crate::Credentials::ROOT, caller.clock());
        let walk = Walk { caller: &kernel, root: &self.root, umask: 0 };
        walk.unlink(&self.root, alloc::format!("{index}").as_bytes())
    }
}

impl fmt::Debug for Pts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pts({:?})", self.root)
    }
}

#[cfg(test)]
mod tests {
    use super::{Pts, Registry, STANDARD, populate};
    use crate::{
        DeviceNumber, Errno, Kind, Make, Mount, MountFlags, Opened,
        testing::{World, root_caller, user_caller},
    };
    use std::sync::Arc;

    #[test]
    fn numbers_lead_to_handlers() {
        let registry: Registry<str> = Registry::new();
        let add =
            |kind, major, minors, name| registry.register(kind, major, minors, name, name.into());
        add(Kind::Character, 1, 3..=3, "null").unwrap();
        add(Kind::Character, 136, 0..=1023, "pts").unwrap();
        add(Kind::Block, 1, 0..=9, "ram").unwrap();
        assert_eq!(add(Kind::Character, 136, 1000..=2000, "other"), Err(Errno::EBUSY));
        assert_eq!(add(Kind::Character, 1, 0..=3, "mem"), Err(Errno::EBUSY));
        add(Kind::Character, 1, 4..=4, "mem").unwrap();
        let find = |kind, major, minor| registry.find(kind, DeviceNumber::new(major, minor));
        assert_eq!(find(Kind::Character, 1, 3).as_deref(), Ok("null"));
        assert_eq!(find(Kind::Block, 1, 3).as_deref(), Ok("ram"));
        assert_eq!(find(Kind::Character, 136, 1024), Err(Errno::ENXIO));
        assert_eq!(find(Kind::Character, 2, 0), Err(Errno::ENXIO));
        let mut text = String::new();
        registry.write_list(&mut text).unwrap();
        let expected =
            "Character devices:\n  1 null\n  1 mem\n136 pts\n\nBlock devices:\n  1 ram\n";
        assert_eq!(text, expected);
        assert!(registry.remove(Kind::Block, DeviceNumber::new(1, 0)).is_some());
        assert_eq!(find(Kind::Block, 1, 3), Err(Errno::ENXIO));
    }

    #[test]
    fn dev_has_what_programs_expect() {
        let world = World::new();
        let caller = root_caller();
        populate(&world.root, STANDARD, &caller).unwrap();
        populate(&world.root, STANDARD, &caller).unwrap();
        let opened = world
            .walk(&caller)
            .open_path(world.lookup("/null").unwrap(), crate::OpenFlags::READ_WRITE);
        let Ok(Opened::Device(device)) = opened else { panic!("{opened:?}") };
        assert_eq!((device.kind, device.number), (Kind::Character, DeviceNumber::new(1, 3)));
        assert_eq!(world.lookup("/shm").unwrap().metadata().unwrap().mode, 0o1777);
        let fd = world.walk(&caller).read_link(&world.root, b"/fd").unwrap();
        assert_eq!(fd, b"/proc/self/fd");
    }

    #[test]
    fn terminals_come_and_go() {
        let world = World::new();
        let (root, user) = (root_caller(), user_caller());
        world.mkdir("/pts");
        let pts = Pts::new(b"gid=5,mode=620,ptmxmode=666", &root).unwrap();
        let mount = Mount::new(Arc::clone(pts.root().dentry()), b"devpts", MountFlags::NO_SUID);
        world.table.mount(&world.lookup("/pts").unwrap(), mount.unwrap()).unwrap();
        assert_eq!(world.lookup("/pts/3").unwrap_err(), Errno::ENOENT);
        pts.add(3, &user).unwrap();
        let metadata = world.lookup("/pts/3").unwrap().metadata().unwrap();
        assert_eq!((metadata.uid, metadata.gid, metadata.mode), (1000, 5, 0o620));
        assert_eq!(metadata.special, DeviceNumber::new(136, 3));
        let made = world.walk(&root).make(&world.root, b"/pts/dir", Make::Directory, 0o755);
        assert_eq!(made.unwrap_err(), Errno::EPERM);
        pts.remove(3, &user).unwrap();
        assert_eq!(world.lookup("/pts/3").unwrap_err(), Errno::ENOENT);
        assert_eq!(Pts::new(b"color=red", &root).unwrap_err(), Errno::EINVAL);
    }
}
