//! Blocks of 2^order frames. A freed block joins its buddy, so contiguous runs come back.
//!
//! The lists of free blocks run through the frames' records: nothing is written into free memory.

use super::meta::Meta;
use core::sync::atomic::Ordering;

/// Orders are `0..ORDERS`: the largest block has 2^(ORDERS-1) frames, 64 MiB.
pub(crate) const ORDERS: usize = 15;

#[derive(Debug)]
pub(crate) struct Buddy {
    records: &'static [Meta],
    /// The first free block of each order; 0 for none (frame 0 is never managed).
    heads: [u32; ORDERS],
    /// Blocks join to orders below this.
    orders: usize,
    free: usize,
}

impl Buddy {
    pub(crate) const fn empty() -> Self {
        Self { records: &[], heads: [0; ORDERS], orders: ORDERS, free: 0 }
    }

    pub(crate) const fn new(records: &'static [Meta]) -> Self {
        Self { records, heads: [0; ORDERS], orders: ORDERS, free: 0 }
    }

    /// One for a block of `order` frames that another allocator gave up. Its free blocks stay
    /// smaller than that, so that they never look like the buddy of one of the other's.
    pub(crate) const fn of_block(records: &'static [Meta], order: usize) -> Self {
        Self { records, heads: [0; ORDERS], orders: order, free: 0 }
    }

    /// Frames that are free.
    pub(crate) fn free(&self) -> usize {
        self.free
    }

    /// Takes a block; its first frame.
    pub(crate) fn allocate(&mut self, order: usize) -> Option<u32> {
        let found = (order..ORDERS).find(|order| self.heads[*order] != 0)?;
        let frame = self.heads[found];
        self.unlink(frame, found);
        for half in (order..found).rev() {
            self.link(frame + (1 << half), half);
        }
        self.free -= 1 << order;
        Some(frame)
    }

    /// Gives a block back.
    pub(crate) fn release(&mut self, mut frame: u32, mut order: usize) {
        self.free += 1 << order;
        while order + 1 < self.orders {
            let buddy = frame ^ (1 << order);
            match self.records.get(buddy as usize) {
                Some(record) if record.is_free(order) => self.unlink(buddy, order),
                _ => break,
            }
            frame &= buddy;
            order += 1;
        }
        self.link(frame, order);
    }

    /// Gives frames `start..end` back, in the largest blocks that fit.
    pub(crate) fn release_range(&mut self, mut start: u32, end: u32) {
        while start < end {
            let aligned = start.trailing_zeros() as usize;
            let fitting = (end - start).ilog2() as usize;
            let order = aligned.min(fitting).min(self.orders - 1);
            self.release(start, order);
            start += 1 << order;
        }
    }

    fn link(&mut self, frame: u32, order: usize) {
        let old = self.heads[order];
        let record = &self.records[frame as usize];
        record.set_free(order);
        record.prev.store(0, Ordering::Relaxed);
        record.next.store(old, Ordering::Relaxed);
        if old != 0 {
            self.records[old as usize].prev.store(frame, Ordering::Relaxed);
        }
        self.heads[order] = frame;
    }

    fn unlink(&mut self, frame: u32, order: usize) {
        let record = &self.records[frame as usize];
        record.set_held();
        let next = record.next.load(Ordering::Relaxed);
        let prev = record.prev.load(Ordering::Relaxed);
        if next != 0 {
            self.records[next as usize].prev.store(prev, Ordering::Relaxed);
        }
        if prev == 0 {
            self.heads[order] = next;
        } else {
            self.records[prev as usize].next.store(next, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{Just, Strategy, prop_oneof, proptest};

    fn records(count: usize) -> &'static [Meta] {
        let records: Vec<Meta> = (0..count).map(|_| Meta::new()).collect();
        records.leak()
    }

    #[test]
    fn everything_joins_again() {
        let mut buddy = Buddy::new(records(1 << 12));
        buddy.release_range(1, 1 << 12);
        let total = buddy.free();
        assert_eq!(total, (1 << 12) - 1);
        let mut frames: Vec<u32> = core::iter::from_fn(|| buddy.allocate(0)).collect();
        assert_eq!(frames.len(), total);
        assert_eq!(buddy.free(), 0);
        frames.sort_unstable();
        frames.dedup();
        assert_eq!(frames.len(), total, "a frame was handed out twice");
        for frame in frames.into_iter().rev() {
            buddy.release(frame, 0);
        }
        assert_eq!(buddy.allocate(11), Some(1 << 11));
    }

    #[test]
    fn a_block_that_was_given_up_stays_apart() {
        let records = records(64);
        let mut all = Buddy::new(records);
        all.release_range(32, 64);
        let start = all.allocate(4).expect("half of it");
        let mut block = Buddy::of_block(records, 4);
        block.release_range(start, start + 16);
        let other = all.allocate(4).expect("the other half");
        all.release(other, 4);
        assert_eq!((all.free(), block.free()), (16, 16));
        assert_eq!(all.allocate(5), None);
        assert_eq!(block.allocate(4), None);
        assert_eq!(block.allocate(3), Some(start + 8));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Allocate(usize),
        Release(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (0..6usize).prop_map(Step::Allocate),
            (0..64usize).prop_map(Step::Release),
            Just(Step::Allocate(0)),
        ];
        proptest::collection::vec(step, 0..300)
    }

    proptest! {
        #[test]
        fn blocks_never_overlap(steps in steps()) {
            let mut buddy = Buddy::new(records(512));
            buddy.release_range(3, 500);
            let mut held: Vec<(u32, usize)> = Vec::new();
            for step in steps {
                match step {
                    Step::Allocate(order) => {
                        if let Some(frame) = buddy.allocate(order) {
                            let end = frame + (1 << order);
                            assert!(frame >= 3 && end <= 500);
                            assert_eq!(frame % (1 << order), 0);
                            assert!(held.iter().all(|(f, o)| end <= *f || *f + (1 << o) <= frame));
                            held.push((frame, order));
                        }
                    }
                    Step::Release(index) if !held.is_empty() => {
                        let (frame, order) = held.swap_remove(index % held.len());
                        buddy.release(frame, order);
                    }
                    Step::Release(_) => {}
                }
                let used: usize = held.iter().map(|(_, order)| 1 << order).sum();
                assert_eq!(buddy.free() + used, 497);
            }
            for (frame, order) in held {
                buddy.release(frame, order);
            }
            assert_eq!(buddy.free(), 497);
            assert!(buddy.allocate(7).is_some(), "the blocks have joined again");
        }
    }
}
