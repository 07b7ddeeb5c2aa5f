//! Directories of the host.

use crate::{
    Caller, Directory, Emit, Entry, Inode, Result,
    hostfs::{self, HostNode, backing},
};
use alloc::sync::Arc;
use core::any::Any;

/// The cookies of `.` and `..`, which the host's places follow.
const FIRST_COOKIE: u64 = 3;

pub(super) struct HostDirectory {
    node: Arc<dyn HostNode>,
}

impl HostDirectory {
    pub(super) const fn new(node: Arc<dyn HostNode>) -> Self {
        Self { node }
    }
}

impl Directory for HostDirectory {
    fn lookup(&self, dir: &Arc<Inode>, name: &[u8], _caller: &Caller<'_>) -> Result<Arc<Inode>> {
        let found = self.node.lookup(name)?;
        hostfs::of(dir.super_block())?.inode(dir.super_block(), found)
    }

    fn read_dir(
        &self,
        dir: &Inode,
        cookie: u64,
        _caller: &Caller<'_>,
        emit: &mut Emit<'_>,
    ) -> Result<()> {
        let file_system = hostfs::of(dir.super_block())?;
        let device = backing(dir).map_or(0, |backing| backing.identity.0);
        self.node.entries(cookie.saturating_sub(FIRST_COOKIE), &mut |entry| {
            emit(Entry {
                name: entry.name,
                number: file_system.number(device, entry.number),
                kind: entry.kind,
                next: entry.next.saturating_add(FIRST_COOKIE),
            })
        })
    }

    fn size(&self) -> u64 {
        self.node.metadata().map_or(0, |metadata| metadata.size)
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}
