//! A radix tree from page index to frame: 64 entries a node, as high as the largest index needs.

use alloc::{boxed::Box, vec::Vec};
use core::ops::Range;
use framework::Frame;

const BITS: u32 = 6;
const FANOUT: usize = 1 << BITS;

/// Frames by page index.
#[derive(Default)]
pub(super) struct Radix {
    root: Option<Node>,
    /// Levels above the leaves.
    height: u32,
}

enum Node {
    Leaf(Box<[Option<Frame>; FANOUT]>),
    Inner(Box<[Option<Node>; FANOUT]>),
}

impl Node {
    fn empty(level: u32) -> Self {
        if level == 0 {
            Self::Leaf(Box::new([const { None }; FANOUT]))
        } else {
            Self::Inner(Box::new([const { None }; FANOUT]))
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Leaf(frames) => frames.iter().all(Option::is_none),
            Self::Inner(nodes) => nodes.iter().all(Option::is_none),
        }
    }
}

/// The entry of `index` in a node of this level.
fn slot(index: u64, level: u32) -> usize {
    usize::try_from(index >> (BITS * level) & (FANOUT as u64 - 1)).unwrap_or(0)
}

/// Pages below one entry of a node of this level.
fn span(level: u32) -> u64 {
    1 << (BITS * level)
}

impl Radix {
    fn covers(&self, index: u64) -> bool {
        index.checked_shr(BITS * (self.height + 1)).unwrap_or(0) == 0
    }

    pub(super) fn get(&self, index: u64) -> Option<&Frame> {
        if !self.covers(index) {
            return None;
        }
        let mut node = self.root.as_ref()?;
        let mut level = self.height;
        loop {
            match node {
                Node::Leaf(frames) => return frames[slot(index, 0)].as_ref(),
                Node::Inner(nodes) => node = nodes[slot(index, level)].as_ref()?,
            }
            level -= 1;
        }
    }

    /// Puts a frame at `index`, in place of the one there.
    pub(super) fn insert(&mut self, index: u64, frame: Frame) {
        while !self.covers(index) {
            self.height += 1;
            if let Some(old) = self.root.take() {
                let mut nodes = Box::new([const { None }; FANOUT]);
                nodes[0] = Some(old);
                self.root = Some(Node::Inner(nodes));
            }
        }
        let mut level = self.height;
        let mut node = self.root.get_or_insert_with(|| Node::empty(level));
        loop {
            match node {
                Node::Leaf(frames) => {
                    frames[slot(index, 0)] = Some(frame);
                    return;
                }
                Node::Inner(nodes) => {
                    let entry = &mut nodes[slot(index, level)];
                    level -= 1;
                    node = entry.get_or_insert_with(|| Node::empty(level));
                }
            }
        }
    }

    /// Takes the frames of a range out.
    pub(super) fn remove(&mut self, range: Range<u64>) -> Vec<Frame> {
        let mut removed = Vec::new();
        remove_below(&mut self.root, self.height, 0, &range, &mut removed);
        if self.root.is_none() {
            self.height = 0;
        }
        removed
    }

    /// The first index at or after `from` that has a frame.
    pub(super) fn next(&self, from: u64) -> Option<u64> {
        next_below(self.root.as_ref()?, self.height, 0, from)
    }
}

fn remove_below(
    entry: &mut Option<Node>,
    level: u32,
    start: u64,
    range: &Range<u64>,
    removed: &mut Vec<Frame>,
) {
    let Some(node) = entry else { return };
    for position in 0..FANOUT {
        let first = start + position as u64 * span(level);
        let last = first.saturating_add(span(level) - 1);
        if last < range.start || first >= range.end {
            continue;
        }
        match node {
            Node::Leaf(frames) => removed.extend(frames[position].take()),
            Node::Inner(nodes) => {
                remove_below(&mut nodes[position], level - 1, first, range, removed);
            }
        }
    }
    if node.is_empty() {
        *entry = None;
    }
}

fn next_below(node: &Node, level: u32, start: u64, from: u64) -> Option<u64> {
    (0..FANOUT).find_map(|position| {
        let first = start + position as u64 * span(level);
        if first.saturating_add(span(level) - 1) < from {
            return None;
        }
        match node {
            Node::Leaf(frames) => frames[position].as_ref().map(|_| first),
            Node::Inner(nodes) => next_below(nodes[position].as_ref()?, level - 1, first, from),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::Radix;
    use framework::Frame;

    const FAR: u64 = 1 << 50;

    #[test]
    fn indexes_near_and_far_are_found_again() {
        let mut tree = Radix::default();
        let indexes = [0, 63, 64, 4095, 4096, 1 << 30, FAR];
        for index in indexes {
            let frame = Frame::zeroed().unwrap();
            frame.write(0, &index.to_le_bytes());
            tree.insert(index, frame);
        }
        for index in indexes {
            let mut bytes = [0; 8];
            tree.get(index).unwrap().read(0, &mut bytes);
            assert_eq!(u64::from_le_bytes(bytes), index);
        }
        assert!(tree.get(1).is_none() && tree.get(u64::MAX).is_none());
        assert_eq!(tree.next(1), Some(63));
        assert_eq!(tree.next(4097), Some(1 << 30));
        assert_eq!(tree.next(FAR + 1), None);
    }

    #[test]
    fn a_range_is_removed_and_nothing_else() {
        let mut tree = Radix::default();
        for index in (0..300).chain([FAR]) {
            tree.insert(index, Frame::zeroed().unwrap());
        }
        assert_eq!(tree.remove(10..290).len(), 280);
        assert!(tree.get(9).is_some() && tree.get(10).is_none());
        assert!(tree.get(289).is_none() && tree.get(290).is_some());
        assert_eq!(tree.remove(0..u64::MAX).len(), 21);
        assert!(tree.root.is_none());
        assert_eq!(tree.height, 0);
    }
}
