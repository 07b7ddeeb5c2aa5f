//! What lies behind a mapping that is not private anonymous memory.

use super::Memory;
use abi::{Errno, Result};
use alloc::{collections::BTreeMap, string::String, sync::Arc, vec::Vec};
use core::ops::Range;
use framework::Frame;
use spin::Mutex;

/// Pages that several mappings show.
#[derive(Debug)]
pub struct Object {
    name: String,
    pages: Pages,
}

#[derive(Debug)]
enum Pages {
    /// These, which the kernel made.
    Fixed(Vec<Frame>),
    /// Zero until written.
    Anonymous { pages: Mutex<BTreeMap<u64, Frame>>, len: u64 },
}

impl Object {
    /// Shared anonymous memory of `len` pages, all zero.
    pub fn anonymous(len: u64) -> Arc<Self> {
        let name = String::from("/dev/zero (deleted)");
        Arc::new(Self { name, pages: Pages::Anonymous { pages: Mutex::default(), len } })
    }

    /// Pages the kernel made.
    pub fn fixed(name: &str, frames: Vec<Frame>) -> Arc<Self> {
        Arc::new(Self { name: String::from(name), pages: Pages::Fixed(frames) })
    }

    /// Has pages that are cut off the object removed from `memory` too.
    pub(super) fn attach(&self, _memory: &Memory) {}

    /// The name in `/proc/PID/maps`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The page at `index`, which is brought in or made.
    ///
    /// # Errors
    /// - `ENXIO`: past the end.
    /// - `ENOMEM`: no frame.
    pub fn page(&self, index: u64) -> Result<Frame> {
        match &self.pages {
            Pages::Fixed(_) => self.present(index).ok_or(Errno::ENXIO),
            Pages::Anonymous { len, .. } if index >= *len => Err(Errno::ENXIO),
            Pages::Anonymous { pages, .. } => {
                let mut pages = pages.lock();
                if let Some(frame) = pages.get(&index) {
                    return Ok(frame.clone());
                }
                let frame = Frame::zeroed()?;
                pages.insert(index, frame.clone());
                Ok(frame)
            }
        }
    }

    /// Drops pages for everybody.
    ///
    /// # Errors
    /// - `EOPNOTSUPP`: the object cannot have holes.
    pub fn punch(&self, _pages: Range<u64>) -> Result<()> {
        Err(Errno::EOPNOTSUPP)
    }

    /// The page at `index` if it is there.
    pub fn present(&self, index: u64) -> Option<Frame> {
        match &self.pages {
            Pages::Fixed(frames) => frames.get(usize::try_from(index).ok()?).cloned(),
            Pages::Anonymous { pages, .. } => pages.lock().get(&index).cloned(),
        }
    }
}
