//! The pages of regular files of the host.

use crate::{Caller, Errno, Others, PageStore, Result, hostfs::HostNode, pages::PAGE};
use alloc::{sync::Arc, vec};
use core::ops::Range;
use framework::{Frame, PAGE_SIZE};

/// Pages read from the host at a time, aligned: as many as a page fault maps together.
const CLUSTER: usize = 16;

pub(super) struct HostStore {
    node: Arc<dyn HostNode>,
}

impl HostStore {
    pub(super) const fn new(node: Arc<dyn HostNode>) -> Self {
        Self { node }
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
        Ok(wanted)
    }

    fn reserve(&self, _index: u64, _caller: &Caller<'_>) -> Result<()> {
        // A private or shared mapping for reading asks for the frame of a hole.
        Ok(())
    }

    fn release(&self, _pages: Range<u64>, _count: u64) {}
}
