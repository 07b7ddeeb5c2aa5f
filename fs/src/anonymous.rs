//! File systems without a tree: pipes, sockets and other objects that have an inode but no name.

use crate::{
    Caller, Dentry, FileSystem, Inode, Kind, Mount, MountFlags, NewInode, Path, Role, Statfs,
    SuperBlock, Times,
};
use alloc::{boxed::Box, format, sync::Arc};
use core::{
    fmt,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

/// A file system whose files are in no directory.
pub struct AnonymousFs {
    mount: Arc<Mount>,
    prefix: &'static str,
    next: AtomicU64,
}

struct Nameless {
    name: &'static str,
    magic: u64,
}

impl FileSystem for Nameless {
    fn name(&self) -> &'static str {
        self.name
    }

    fn statfs(&self) -> Statfs {
        Statfs { magic: self.magic, block_size: 4096, ..Statfs::default() }
    }
}

impl AnonymousFs {
    /// Makes one: its name, its magic number, and what stands before `:[NUMBER]` in the name that
    /// readlink of `/proc/PID/fd/N` shows.
    pub fn new(name: &'static str, magic: u64, prefix: &'static str) -> Self {
        let super_block = SuperBlock::new(Box::new(Nameless { name, magic }));
        let new = NewInode {
            number: 1,
            kind: Kind::Directory,
            mode: 0o500,
            uid: 0,
            gid: 0,
            links: 1,
            times: Times::default(),
        };
        let root = Inode::new(super_block, new, Role::Object);
        let mount = Mount::new(Dentry::root(root), name.as_bytes(), MountFlags::empty());
        let mount = mount.expect("the root was made above, so it is not negative");
        Self { mount, prefix, next: AtomicU64::new(2) }
    }

    /// pipefs, for [`Pipe::pair`](crate::pipe::Pipe::pair).
    pub fn pipes() -> Self {
        Self::new("pipefs", 0x5049_5045, "pipe")
    }

    /// sockfs.
    pub fn sockets() -> Self {
        Self::new("sockfs", 0x534f_434b, "socket")
    }

    /// Makes a file called after its number (`pipe:[12]`), owned by the caller.
    pub fn make(&self, kind: Kind, mode: u32, role: Role, caller: &Caller<'_>) -> Path {
        let inode = self.inode(kind, mode, role, caller);
        let name = format!("{}:[{}]", self.prefix, inode.number());
        self.path(name.as_bytes(), inode)
    }

    /// Makes a file with a name of its own (`anon_inode:[eventpoll]`).
    pub fn make_named(
        &self,
        name: &[u8],
        (kind, mode): (Kind, u32),
        role: Role,
        caller: &Caller<'_>,
    ) -> Path {
        let inode = self.inode(kind, mode, role, caller);
        self.path(name, inode)
    }

    fn inode(&self, kind: Kind, mode: u32, role: Role, caller: &Caller<'_>) -> Arc<Inode> {
        let new = NewInode {
            number: self.next.fetch_add(1, Relaxed),
            kind,
            mode,
            uid: caller.credentials.uid,
            gid: caller.credentials.gid,
            links: 1,
            times: Times::all(caller.now()),
        };
        Inode::new(Arc::clone(self.mount.super_block()), new, role)
    }

    fn path(&self, name: &[u8], inode: Arc<Inode>) -> Path {
        Path::new(Arc::clone(&self.mount), Dentry::object(name, inode))
    }
}

impl fmt::Debug for AnonymousFs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AnonymousFs({})", self.prefix)
    }
}
