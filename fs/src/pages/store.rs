//! What a page cache stands between: the store of a file's pages, and who maps them.

use crate::{Caller, Result};
use core::ops::Range;
use framework::Frame;

/// Takes pages that were brought along with another.
pub type Others<'a> = dyn FnMut(u64, Frame) + 'a;

/// Where the pages of a file come from and go to.
pub trait PageStore: Send + Sync {
    /// Brings a page that is not in memory; `None` is a hole. Pages around it that cost little to
    /// bring along may be handed to `others`.
    fn load(
        &self,
        _index: u64,
        _caller: &Caller<'_>,
        _others: &mut Others<'_>,
    ) -> Result<Option<Frame>> {
        Ok(None)
    }

    /// Reserves room for a page that is about to be made where a hole was: `ENOSPC` if there is
    /// none.
    fn reserve(&self, index: u64, caller: &Caller<'_>) -> Result<()>;

    /// Pages left the cache for good: their room is free again.
    fn release(&self, pages: Range<u64>, count: u64);

    /// A page was changed.
    fn dirtied(&self, _index: u64) {}

    /// The size changed.
    fn resized(&self, _size: u64) {}

    /// The store itself, by which a file system knows its own.
    fn as_any(&self) -> Option<&dyn core::any::Any> {
        None
    }
}

/// Somebody who maps pages of the file and must let go of those that are cut off.
pub trait Mapper: Send + Sync {
    /// The pages are no longer part of the file.
    fn unmap(&self, pages: Range<u64>);
}
