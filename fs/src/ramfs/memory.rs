//! Files without a name in memory: memfd_create(2) and shared anonymous mappings.

use crate::{
    Caller, Dentry, Make, MakeAttributes, Mount, MountFlags, OpenFile, OpenFlags, Path, Result,
    Seals,
    ramfs::{Flavour, Maker, Options},
};
use alloc::sync::Arc;
use core::fmt;

/// A file system of files without names.
pub struct Memory {
    mount: Arc<Mount>,
    maker: Maker,
}

/// Whether seals may be added (`MFD_ALLOW_SEALING`, `MFD_NOEXEC_SEAL`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllowSealing {
    /// They may.
    Yes,
    /// They may not.
    No,
    /// They may, and execution is sealed off from the start.
    NoExecute,
}

impl Memory {
    /// Makes one, without limits.
    ///
    /// # Errors
    /// None in fact.
    pub fn new(caller: &Caller<'_>) -> Result<Self> {
        let flags = MountFlags::NO_ACCESS_TIME;
        let options = Options::default();
        let (mount, maker) = super::build(Flavour::Tmpfs, options, b"tmpfs", flags, caller)?;
        Ok(Self { mount, maker })
    }

    /// Makes an empty file open for reading and writing. `name` is what readlink of
    /// `/proc/PID/fd/N` shows, without its ` (deleted)`: `/memfd:NAME`.
    ///
    /// Source: memfd_create(2)
    pub fn create(
        &self,
        name: &[u8],
        sealing: AllowSealing,
        caller: &Caller<'_>,
    ) -> Result<OpenFile> {
        let mode = if sealing == AllowSealing::NoExecute { 0o666 } else { 0o777 };
        let (uid, gid) = (caller.credentials.uid, caller.credentials.gid);
        let attributes = MakeAttributes { mode, uid, gid, now: caller.now() };
        let inode = self.maker.make(self.mount.super_block(), Make::Regular, attributes)?;
        inode.set_links(0);
        if let Some(pages) = inode.pages() {
            pages.make_sealable(match sealing {
                AllowSealing::Yes => Seals::empty(),
                AllowSealing::No => Seals::SEAL,
                AllowSealing::NoExecute => Seals::EXECUTE,
            });
        }
        let path = Path::new(Arc::clone(&self.mount), Dentry::nameless(name, Arc::clone(&inode)));
        let flags = OpenFlags::READ_WRITE | OpenFlags::LARGE_FILE;
        OpenFile::open(path, inode, flags, caller)
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Memory({:?})", self.mount)
    }
}
