//! Copies between a page cache and a call's buffers.

use crate::{
    Caller, Errno, Result, Sink, Source,
    pages::{PAGE, PageCache, SIZE_MAX, Seals},
};
use framework::PAGE_SIZE;

/// A count that is at most a page.
pub(super) fn within(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(PAGE_SIZE)
}

/// Where a write starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// At this offset.
    At(u64),
    /// At the end of the file (`O_APPEND`).
    End,
}

impl PageCache {
    /// Copies from `offset` on, as far as the file goes; returns the offset after the last byte.
    ///
    /// A hole is read as zeros and stays one. On a fault, `to` knows how far it got.
    ///
    /// # Errors
    /// - `EFAULT`: `to` is not mapped.
    /// - `MISS`: a page has to be read from a disk.
    pub(crate) fn read_at(
        &self,
        offset: u64,
        to: &mut Sink<'_>,
        caller: &Caller<'_>,
    ) -> Result<u64> {
        let size = self.size();
        let mut at = offset;
        while at < size && to.remaining() != 0 {
            let inside = at % PAGE;
            let length = within((PAGE - inside).min(size - at)).min(to.remaining());
            let copied = match self.get(at / PAGE, caller)? {
                Some(frame) => to.write_frame(&frame, within(inside), length)?,
                None => to.write_zeros(length)?,
            };
            at += copied as u64;
        }
        Ok(at)
    }

    /// Copies all of `from` to the file; returns the offset after the last byte.
    ///
    /// # Errors
    /// Those of one that failed at the first byte; else the write is only shorter, but for:
    /// - `EFAULT`: `from` is not mapped; it knows how far it got, and so does the size.
    /// - `MISS`: a page has to be read from a disk; `from` knows how far it got.
    /// - `EFBIG`: the offset is beyond every limit.
    /// - `EPERM`: a seal forbids it.
    /// - `ENOSPC`, `ENOMEM`: there is no room.
    pub(crate) fn write_from(
        &self,
        start: Start,
        from: &mut Source<'_>,
        caller: &Caller<'_>,
    ) -> Result<u64> {
        let _writing = self.lock_writing();
        let mut at = match start {
            Start::At(offset) => offset,
            Start::End => self.size(),
        };
        let begin = at;
        if from.remaining() == 0 {
            return Ok(at);
        }
        let limit = caller.size_limit.min(SIZE_MAX);
        if at >= limit {
            return Err(Errno::EFBIG);
        }
        self.check_seals(Seals::WRITE | Seals::FUTURE_WRITE, true)?;
        let end = at.saturating_add(from.remaining() as u64).min(limit);
        self.check_seals(Seals::GROW, end > self.size())?;
        while at < end {
            match self.write_part(at, end, from, caller) {
                Ok(after) => at = after,
                Err(error @ (Errno::EFAULT | Errno::MISS)) => return Err(error),
                Err(_) if at > begin => break,
                Err(error) => return Err(error),
            }
        }
        Ok(at)
    }

    /// Writes up to the end of a page.
    fn write_part(
        &self,
        at: u64,
        end: u64,
        from: &mut Source<'_>,
        caller: &Caller<'_>,
    ) -> Result<u64> {
        let inside = at % PAGE;
        let length = within((PAGE - inside).min(end - at));
        let frame = self.obtain(at / PAGE, caller, |_| true)?;
        let before = from.done();
        let result = from.read_frame(&frame, within(inside), length);
        let after = at + (from.done() - before) as u64;
        if after > self.size() {
            self.set_size(after);
        }
        self.store.dirtied(at / PAGE);
        result?;
        Ok(after)
    }
}
