//! Directories of the host.

use crate::{
    Caller, Directory, Emit, Entry, Errno, Inode, Make, MakeAttributes, Place, Result, Swap,
    hostfs::{self, HostNode, HostPlace, backing},
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

/// The host's side of an inode of the same file system.
fn node(inode: &Inode) -> Result<&dyn HostNode> {
    backing(inode).map(|backing| &*backing.node).ok_or(Errno::EXDEV)
}

fn place<'a>(place: &Place<'a>) -> Result<HostPlace<'a>> {
    let inode = place.inode.map(|inode| node(inode)).transpose()?;
    Ok(HostPlace { directory: node(place.directory)?, name: place.name, node: inode })
}

/// Takes over what the host says after a change.
fn update(inode: &Inode) {
    if let Some(backing) = backing(inode)
        && let Ok(now) = backing.node.metadata()
    {
        hostfs::refresh(inode, &now);
    }
}

/// A name of the inode is gone, and with the last one all the host knows of it.
fn removed(inode: &Inode) {
    inode.set_links(if inode.is_directory() { 0 } else { inode.links().saturating_sub(1) });
    update(inode);
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

    fn make(
        &self,
        dir: &Arc<Inode>,
        name: &[u8],
        what: Make<'_>,
        attributes: MakeAttributes,
        _caller: &Caller<'_>,
    ) -> Result<Arc<Inode>> {
        let found = self.node.make(name, what, attributes)?;
        update(dir);
        hostfs::of(dir.super_block())?.inode(dir.super_block(), found)
    }

    fn link(
        &self,
        dir: &Arc<Inode>,
        name: &[u8],
        target: &Arc<Inode>,
        _caller: &Caller<'_>,
    ) -> Result<()> {
        self.node.link(name, node(target)?)?;
        update(target);
        update(dir);
        Ok(())
    }

    fn unlink(
        &self,
        dir: &Arc<Inode>,
        name: &[u8],
        target: &Arc<Inode>,
        _caller: &Caller<'_>,
    ) -> Result<()> {
        self.node.remove(name, node(target)?)?;
        removed(target);
        update(dir);
        Ok(())
    }

    fn remove_dir(
        &self,
        dir: &Arc<Inode>,
        name: &[u8],
        target: &Arc<Inode>,
        caller: &Caller<'_>,
    ) -> Result<()> {
        self.unlink(dir, name, target, caller)
    }

    fn rename(
        &self,
        from: Place<'_>,
        to: Place<'_>,
        swap: Swap,
        _caller: &Caller<'_>,
    ) -> Result<()> {
        self.node.rename(place(&from)?, place(&to)?, swap)?;
        from.inode.into_iter().for_each(|inode| update(inode));
        match (swap, to.inode) {
            (Swap::Replace, Some(replaced)) => removed(replaced),
            (Swap::Exchange, Some(other)) => update(other),
            (_, None) => {}
        }
        update(from.directory);
        update(to.directory);
        Ok(())
    }

    fn size(&self) -> u64 {
        self.node.metadata().map_or(0, |metadata| metadata.size)
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}
