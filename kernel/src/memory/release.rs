//! Giving much memory back in pieces, so that others can run in between.

use super::Memory;
use core::ops::Range;
use framework::{PAGE_SIZE, VirtAddr};

/// Bytes that are given back at a time. Where nothing is present the piece doubles: a program may
/// have set terabytes aside.
const PIECE: usize = 8 << 20;

/// As many pages can be given back at once.
const AT_ONCE: usize = 4 * PIECE / PAGE_SIZE;

impl Memory {
    /// Whether to give `bytes` of it back at once would keep the CPU for long.
    pub fn is_large(&self, bytes: usize) -> bool {
        bytes / PAGE_SIZE > AT_ONCE && self.resident() > AT_ONCE
    }

    /// Gives back the pages of private anonymous memory in `range`, but for a last part that is not
    /// worth waiting for. The mappings stay: who touches them meanwhile finds zeros.
    ///
    /// # Cancel safety
    /// What is given back by then is gone.
    pub async fn release_slowly(&self, range: Range<VirtAddr>) {
        let (mut at, mut piece) = (range.start, PIECE);
        while at < range.end && self.resident() > AT_ONCE {
            let before = self.resident();
            let Some(next) = self.release_piece(at..range.end, piece) else { break };
            piece = if self.resident() == before { piece.saturating_mul(2) } else { PIECE };
            at = next;
            if executor::preempt(None) {
                executor::yield_now().await;
            }
        }
    }

    /// Gives back at most `len` bytes of the first private anonymous mapping in `range`; where to go
    /// on.
    fn release_piece(&self, range: Range<VirtAddr>, len: usize) -> Option<VirtAddr> {
        let state = self.state.lock();
        let mappings = state.map.overlapping(&range);
        let vma = mappings.iter().find(|vma| vma.object.is_none())?;
        let start = vma.start.max(range.start);
        let end = vma.end.min(range.end);
        let end = if end - start > len { start + len } else { end };
        self.note_peak();
        self.space.lock().unmap(start..end);
        Some(end)
    }
}
