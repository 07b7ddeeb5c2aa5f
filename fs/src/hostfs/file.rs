//! The pages of regular files of the host.

use crate::{
    Caller, Errno, Inode, Others, PageStore, Result,
    hostfs::{self, HostNode},
    pages::PAGE,
};
use alloc::{
    collections::VecDeque,
    sync::{Arc, Weak},
    vec,
};
use core::{any::Any, ops::Range};
use framework::{Frame, PAGE_SIZE};
use smallvec::SmallVec;
use spin::{Mutex, Once};

/// Pages read from the host at a time, aligned: as many as a page fault maps together.
const CLUSTER: usize = 16;

pub(super) struct HostStore {
    node: Arc<dyn HostNode>,
    /// The file, set as soon as it is made.
    pub(super) inode: Once<Weak<Inode>>,
}

impl HostStore {
    pub(super) const fn new(node: Arc<dyn HostNode>) -> Self {
        Self { node, inode: Once::new() }
    }
}

/// Pages that were read, oldest first: the host has them all in its own cache, so only some are
/// kept here.
#[derive(Default)]
pub(super) struct Loaded {
    clusters: Mutex<VecDeque<(Weak<Inode>, u64)>>,
}

/// Clusters looked at to make room for one.
const LOOKS: usize = 8;

impl Loaded {
    /// Counts a cluster that was read and lets go of older ones if there are too many: more than a
    /// quarter of the memory, or any while memory is short.
    fn add(&self, inode: &Weak<Inode>, first: u64) {
        let stats = framework::frame::stats();
        let short = stats.free < stats.reserve + stats.total / 16;
        let most = if short { 0 } else { stats.total / 4 / CLUSTER };
        let mut clusters = self.clusters.lock();
        clusters.push_back((inode.clone(), first));
        let surplus = clusters.len().saturating_sub(most).min(LOOKS);
        // Inodes must not be dropped under the lock: they may be the last of their file.
        let oldest: SmallVec<[_; LOOKS]> = clusters.drain(..surplus).collect();
        drop(clusters);
        for (inode, first) in oldest {
            let Some(file) = inode.upgrade() else { continue };
            let Some(pages) = file.pages() else { continue };
            if pages.evict(first..first + CLUSTER as u64) != 0 {
                self.clusters.lock().push_back((inode, first));
            }
        }
    }
}

/// A frame with these bytes; `None` if they are all zero: a hole costs no memory.
fn frame(bytes: &[u8]) -> Result<Option<Frame>> {
    if bytes.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    let frame = Frame::zeroed()?;
    frame.write(0, bytes);
    Ok(Some(frame))
}

impl PageStore for HostStore {
    fn load(
        &self,
        index: u64,
        _caller: &Caller<'_>,
        others: &mut Others<'_>,
    ) -> Result<Option<Frame>> {
        let first = index - index % CLUSTER as u64;
        let mut buffer = vec![0; CLUSTER * PAGE_SIZE];
        let length =
            self.node.read_at(first.checked_mul(PAGE).ok_or(Errno::EFBIG)?, &mut buffer)?;
        let mut wanted = None;
        for (page, bytes) in (first..).zip(buffer[..length].chunks(PAGE_SIZE)) {
            if page == index {
                wanted = frame(bytes)?;
            } else if let Ok(Some(frame)) = frame(bytes) {
                others(page, frame);
            }
        }
        if let Some(weak) = self.inode.get()
            && let Some(inode) = weak.upgrade()
        {
            hostfs::of(inode.super_block())?.loaded.add(weak, first);
        }
        Ok(wanted)
    }

    fn reserve(&self, _index: u64, _caller: &Caller<'_>) -> Result<()> {
        // A private or shared mapping for reading asks for the frame of a hole.
        Ok(())
    }

    fn release(&self, _pages: Range<u64>, _count: u64) {}

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}
