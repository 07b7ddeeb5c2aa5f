//! Which physical memory is free at boot: the firmware's map, put in order.

/// How many separate ranges of memory are kept; what is beyond is not used.
const MAX_RANGES: usize = 128;

const PAGE: u64 = 4096;

/// `start..end`, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) start: u64,
    pub(crate) end: u64,
}

/// Ranges of usable memory: sorted, disjoint, on page boundaries.
#[derive(Debug)]
pub(crate) struct MemoryMap {
    ranges: [Range; MAX_RANGES],
    len: usize,
}

impl MemoryMap {
    pub(crate) const fn new() -> Self {
        Self { ranges: [Range { start: 0, end: 0 }; MAX_RANGES], len: 0 }
    }

    /// The ranges.
    pub(crate) fn ranges(&self) -> &[Range] {
        &self.ranges[..self.len]
    }

    /// One past the highest usable address.
    pub(crate) fn end(&self) -> u64 {
        self.ranges().last().map_or(0, |range| range.end)
    }

    /// Whether all pages of a range are usable.
    pub(crate) fn contains(&self, start: u64, len: u64) -> bool {
        let end = start.checked_add(len).and_then(|end| end.checked_next_multiple_of(PAGE));
        let inside = |range: &Range, end| range.start <= start & !(PAGE - 1) && end <= range.end;
        end.is_some_and(|end| self.ranges().iter().any(|range| inside(range, end)))
    }

    /// Adds memory, rounded inwards to pages; may overlap what is there.
    pub(crate) fn add(&mut self, start: u64, len: u64) {
        let end = start.saturating_add(len) & !(PAGE - 1);
        let Some(start) = start.checked_next_multiple_of(PAGE).filter(|start| *start < end) else {
            return;
        };
        // All ranges that touch the new one are merged with it.
        let first = self.ranges().partition_point(|range| range.end < start);
        let last = self.ranges().partition_point(|range| range.start <= end);
        if first == last {
            self.insert(first, Range { start, end });
            return;
        }
        let merged = Range {
            start: start.min(self.ranges[first].start),
            end: end.max(self.ranges[last - 1].end),
        };
        self.ranges[first] = merged;
        self.ranges.copy_within(last..self.len, first + 1);
        self.len -= last - first - 1;
    }

    /// Takes memory away, rounded outwards to pages.
    pub(crate) fn reserve(&mut self, start: u64, len: u64) {
        let from = start & !(PAGE - 1);
        let Some(to) = start.checked_add(len).and_then(|end| end.checked_next_multiple_of(PAGE))
        else {
            // The range wraps: all that is above its start is taken.
            return self.reserve(from, !(PAGE - 1) - from);
        };
        let mut index = 0;
        while index < self.len {
            let Range { start, end } = self.ranges[index];
            if end <= from || to <= start || from == to {
                index += 1;
                continue;
            }
            let below = Range { start, end: from.clamp(start, end) };
            let above = Range { start: to.clamp(start, end), end };
            self.remove(index);
            for part in [below, above] {
                if part.start < part.end {
                    self.insert(index, part);
                    index += 1;
                }
            }
        }
    }

    /// Takes `len` bytes below `limit` away for good; their address.
    pub(crate) fn take(&mut self, len: u64, limit: u64) -> Option<u64> {
        let len = len.checked_next_multiple_of(PAGE)?;
        let end_of = |range: &Range| range.end.min(limit & !(PAGE - 1));
        let fits = |range: &&Range| end_of(range).saturating_sub(range.start) >= len;
        let start = self.ranges().iter().rev().find(fits).map(|range| end_of(range) - len)?;
        self.reserve(start, len);
        Some(start)
    }

    fn insert(&mut self, at: usize, range: Range) {
        if self.len == MAX_RANGES {
            return;
        }
        self.ranges.copy_within(at..self.len, at + 1);
        self.ranges[at] = range;
        self.len += 1;
    }

    fn remove(&mut self, at: usize) {
        self.ranges.copy_within(at + 1..self.len, at);
        self.len -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, proptest};

    fn ranges(map: &MemoryMap) -> Vec<(u64, u64)> {
        map.ranges().iter().map(|range| (range.start, range.end)).collect()
    }

    #[test]
    fn unsorted_overlapping_entries_are_put_in_order() {
        let mut map = MemoryMap::new();
        map.add(0x10_0000, 0x10_0000);
        map.add(0, 0x9fc00);
        map.add(0x18_0000, 0x10_0800);
        map.add(0x5000, 0);
        map.add(0x30_0001, 0x1ffe);
        assert_eq!(ranges(&map), [(0, 0x9f000), (0x10_0000, 0x28_0000)]);
        map.add(0x9f000, 0x6_1000);
        assert_eq!(ranges(&map), [(0, 0x28_0000)]);
    }

    #[test]
    fn reserved_ranges_are_cut_out() {
        let mut map = MemoryMap::new();
        map.add(0, 0x10_0000);
        assert!(map.contains(0xf_f001, 0xfff) && !map.contains(0xf_f001, 0x1000));
        assert!(!map.contains(0, u64::MAX));
        map.reserve(0x4800, 0x1000);
        map.reserve(0, 1);
        map.reserve(0xf_f000, u64::MAX);
        assert_eq!(ranges(&map), [(0x1000, 0x4000), (0x6000, 0xf_f000)]);
        assert_eq!(map.take(0x2001, 0x20_0000), Some(0xf_c000));
        assert_eq!(map.take(0x3000, 0x4000), Some(0x1000));
        assert_eq!(map.take(0x100_0000, u64::MAX), None);
        assert_eq!(ranges(&map), [(0x6000, 0xf_c000)]);
    }

    proptest! {
        #[test]
        fn any_entries_give_a_map_in_order(
            entries in proptest::collection::vec((any::<bool>(), any::<u64>(), any::<u64>(), 0..40u32), 0..200),
        ) {
            let mut map = MemoryMap::new();
            for (add, start, len, shift) in entries {
                let (start, len) = (start >> shift, len >> shift);
                if add { map.add(start, len) } else { map.reserve(start, len) }
                let mut end = None;
                for range in map.ranges() {
                    assert!(range.start < range.end && range.start % PAGE == 0 && range.end % PAGE == 0);
                    assert!(end.is_none_or(|end| end < range.start));
                    end = Some(range.end);
                }
            }
        }

        #[test]
        fn pages_are_what_was_added_and_not_reserved(
            entries in proptest::collection::vec((any::<bool>(), 0..64u64, 0..16u64), 0..50),
        ) {
            let mut map = MemoryMap::new();
            let mut model = [false; 100];
            for (add, start, len) in entries {
                if add { map.add(start * PAGE, len * PAGE) } else { map.reserve(start * PAGE, len * PAGE) }
                for page in start..start + len {
                    model[usize::try_from(page).unwrap()] = add;
                }
            }
            for (page, usable) in (0..).zip(model) {
                let at = page * PAGE;
                assert_eq!(map.ranges().iter().any(|range| range.start <= at && at < range.end), usable);
            }
        }
    }
}
