//! What the tests share: a world with a tmpfs as its root, and who acts in it.

use crate::{
    Caller, Credentials, Errno, LookupFlags, Make, MountFlags, MountTable, OpenFile, OpenFlags,
    OpenHow, Opened, Path, Result, Sink, Source, Timespec, Walk,
    ramfs::{self, Flavour, Options},
};
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

static SECONDS: AtomicI64 = AtomicI64::new(1_000_000);

/// A clock on which every look is a second later.
pub(crate) fn clock() -> Timespec {
    Timespec::new(SECONDS.fetch_add(1, Relaxed), 0)
}

pub(crate) fn root_caller() -> Caller<'static> {
    Caller::new(Credentials::ROOT, clock)
}

/// User 1000 of group 1000, without privilege.
pub(crate) fn user_caller() -> Caller<'static> {
    let credentials = Credentials {
        uid: 1000,
        gid: 1000,
        groups: &[100],
        capabilities: crate::Capabilities::empty(),
    };
    Caller::new(credentials, clock)
}

pub(crate) struct World {
    pub(crate) table: MountTable,
    pub(crate) root: Path,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(Options { mode: Some(0o755), ..Options::default() })
    }

    pub(crate) fn with(options: Options) -> Self {
        let flags = MountFlags::RELATIVE_ACCESS_TIME;
        let mount = ramfs::mount(Flavour::Tmpfs, options, b"none", flags, &root_caller()).unwrap();
        let table = MountTable::new(mount);
        let root = table.root();
        Self { table, root }
    }

    pub(crate) fn walk<'a>(&'a self, caller: &'a Caller<'a>) -> Walk<'a> {
        Walk { caller, root: &self.root, umask: 0o022 }
    }

    pub(crate) fn mkdir(&self, path: &str) {
        let caller = root_caller();
        self.walk(&caller).make(&self.root, path.as_bytes(), Make::Directory, 0o777).unwrap();
    }

    pub(crate) fn symlink(&self, text: &str, path: &str) {
        let caller = root_caller();
        let what = Make::Symlink(text.as_bytes());
        self.walk(&caller).make(&self.root, path.as_bytes(), what, 0).unwrap();
    }

    pub(crate) fn lookup(&self, path: &str) -> Result<Path> {
        let caller = root_caller();
        self.walk(&caller).resolve(&self.root, path.as_bytes(), LookupFlags::FOLLOW)
    }

    pub(crate) fn number(&self, path: &str) -> u64 {
        self.lookup(path).unwrap().inode().unwrap().number()
    }

    pub(crate) fn open(&self, path: &str, flags: OpenFlags) -> Result<OpenFile> {
        self.open_as(&root_caller(), path, flags)
    }

    pub(crate) fn open_as(
        &self,
        caller: &Caller<'_>,
        path: &str,
        flags: OpenFlags,
    ) -> Result<OpenFile> {
        let how = OpenHow { flags, mode: 0o666, ..OpenHow::default() };
        match self.walk(caller).open(&self.root, path.as_bytes(), &how)? {
            Opened::File(file) => Ok(file),
            _ => Err(Errno::ENXIO),
        }
    }

    /// Makes a file with these bytes.
    pub(crate) fn write(&self, path: &str, bytes: &[u8]) {
        let flags = OpenFlags::CREATE | OpenFlags::WRITE_ONLY | OpenFlags::TRUNCATE;
        put(&self.open(path, flags).unwrap(), bytes).unwrap();
    }

    pub(crate) fn read(&self, path: &str) -> Vec<u8> {
        let file = self.open(path, OpenFlags::empty()).unwrap();
        get(&file, 1 << 20).unwrap()
    }

    pub(crate) fn names(&self, path: &str) -> Vec<String> {
        let file = self.open(path, OpenFlags::DIRECTORY).unwrap();
        let mut names = Vec::new();
        file.read_dir(&root_caller(), &mut |entry| {
            names.push(String::from_utf8(entry.name.to_vec()).unwrap());
            true
        })
        .unwrap();
        names
    }
}

pub(crate) fn get(file: &OpenFile, len: usize) -> Result<Vec<u8>> {
    let mut buffer = vec![0; len];
    let count = file.read(&mut Sink::kernel(&mut buffer), &root_caller())?;
    buffer.truncate(count);
    Ok(buffer)
}

pub(crate) fn put(file: &OpenFile, bytes: &[u8]) -> Result<usize> {
    file.write(&mut Source::kernel(bytes), &root_caller())
}
