//! The pages of regular files of the host.

use crate::{
    Caller, Errno, Inode, Others, PageCache, PageStore, Result,
    hostfs::{self, HostNode},
    pages::PAGE,
};
use alloc::{
    collections::{BTreeSet, VecDeque},
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
    writable: bool,
    /// Pages that were changed since they were written to the host.
    dirty: Mutex<BTreeSet<u64>>,
    /// Why writing back failed last; the next sync tells it.
    error: Mutex<Option<Errno>>,
    /// The file, set as soon as it is made.
    pub(super) inode: Once<Weak<Inode>>,
}

impl HostStore {
    pub(super) fn new(node: Arc<dyn HostNode>, writable: bool) -> Self {
        let (dirty, error) = (Mutex::new(BTreeSet::new()), Mutex::new(None));
        Self { node, writable, dirty, error, inode: Once::new() }
    }

    /// Writes changed pages to the host. Those that are mapped may change again without a word, so
    /// they stay on the list.
    pub(super) fn flush(&self, pages: &PageCache) {
        let dirty = core::mem::take(&mut *self.dirty.lock());
        if dirty.is_empty() {
            return;
        }
        let mut buffer = vec![0; PAGE_SIZE];
        for index in dirty {
            let start = index * PAGE;
            let length = pages.size().saturating_sub(start).min(PAGE);
            let Ok(length @ 1..) = usize::try_from(length) else { continue };
            let (mut there, mut mapped) = (false, false);
            pages.for_each_cached(index..index + 1, &mut |_, frame| {
                frame.read(0, &mut buffer);
                (there, mapped) = (true, frame.references() > 1);
            });
            if mapped {
                self.dirty.lock().insert(index);
            }
            if there && let Err(error) = self.node.write_at(start, &buffer[..length]) {
                *self.error.lock() = Some(error);
            }
        }
    }

    pub(super) fn take_error(&self) -> Result<()> {
        self.error.lock().take().map_or(Ok(()), Err)
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
            if let Some(store) = hostfs::store(&file) {
                store.flush(pages);
            }
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

    fn dirtied(&self, index: u64) {
        if self.writable {
            self.dirty.lock().insert(index);
        }
    }

    fn resized(&self, size: u64) {
        if let Err(error) = self.node.set_size(size) {
            *self.error.lock() = Some(error);
        }
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}
