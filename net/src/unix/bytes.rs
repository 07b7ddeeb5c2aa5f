//! A queue of bytes whose memory grows with what is in it.

use abi::{Errno, Result};
use alloc::vec::Vec;
use framework::{Sink, Source};

/// The memory a queue begins with, in bytes.
const FIRST: usize = 1024;

/// Memory above this is given back when the queue is empty.
const KEEP: usize = 16 * 1024;

/// Bytes, first in, first out: a ring whose size is a power of two, or none.
#[derive(Debug, Default)]
pub(super) struct Bytes {
    ring: Vec<u8>,
    head: usize,
    len: usize,
}

impl Bytes {
    pub(super) const fn new() -> Self {
        Self { ring: Vec::new(), head: 0, len: 0 }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Appends up to `most` bytes of `from`; how many it was.
    ///
    /// # Errors
    /// - `ENOMEM`: no memory to grow.
    /// - `EFAULT`: the source says where; what came before it is in.
    pub(super) fn push(&mut self, from: &mut Source<'_>, most: usize) -> Result<usize> {
        let most = most.min(from.remaining());
        self.reserve(most)?;
        let before = self.len;
        while self.len - before < most {
            let tail = self.wrap(self.head + self.len);
            let room = (self.ring.len() - tail).min(most - (self.len - before));
            let start = from.done();
            let result = from.read(&mut self.ring[tail..tail + room]);
            self.len += from.done() - start;
            result?;
        }
        Ok(most)
    }

    /// Copies up to `most` bytes, from `skip` on, and leaves them; how many it was.
    ///
    /// # Errors
    /// - `EFAULT`: the sink says where.
    pub(super) fn copy(&self, to: &mut Sink<'_>, skip: usize, most: usize) -> Result<usize> {
        let most = most.min(self.len - skip).min(to.remaining());
        let mut copied = 0;
        while copied < most {
            let at = self.wrap(self.head + skip + copied);
            let part = (self.ring.len() - at).min(most - copied);
            to.write(&self.ring[at..at + part])?;
            copied += part;
        }
        Ok(copied)
    }

    /// Forgets the first `count` bytes.
    pub(super) fn consume(&mut self, count: usize) {
        self.len -= count;
        self.head = self.wrap(self.head + count);
        if self.len == 0 {
            self.head = 0;
            if self.ring.len() > KEEP {
                self.ring = Vec::new();
            }
        }
    }

    fn wrap(&self, at: usize) -> usize {
        at & self.ring.len().wrapping_sub(1)
    }

    /// Makes room for `more` bytes.
    fn reserve(&mut self, more: usize) -> Result<()> {
        let needed = self.len + more;
        if needed <= self.ring.len() {
            return Ok(());
        }
        let size = needed.next_power_of_two().max(FIRST);
        let mut ring = Vec::new();
        ring.try_reserve_exact(size).map_err(|_| Errno::ENOMEM)?;
        let first = (self.ring.len() - self.head).min(self.len);
        ring.extend_from_slice(&self.ring[self.head..self.head + first]);
        ring.extend_from_slice(&self.ring[..self.len - first]);
        ring.resize(size, 0);
        self.ring = ring;
        self.head = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection, prelude::any, prop_assert_eq, proptest};
    use std::collections::VecDeque;

    proptest! {
        #[test]
        fn behaves_like_a_queue(steps in collection::vec((any::<bool>(), 0_usize..3000), 1..60)) {
            let mut queue = Bytes::default();
            let mut model = VecDeque::new();
            let mut next = 0_u8;
            for (push, count) in steps {
                if push {
                    let data: Vec<u8> = (0..count).map(|_| { next = next.wrapping_add(1); next }).collect();
                    prop_assert_eq!(queue.push(&mut Source::kernel(&data), usize::MAX), Ok(count));
                    model.extend(data);
                } else {
                    let mut buffer = vec![0; count];
                    let got = queue.copy(&mut Sink::kernel(&mut buffer), 0, usize::MAX).unwrap();
                    queue.consume(got);
                    let expected: Vec<u8> = model.drain(..count.min(model.len())).collect();
                    prop_assert_eq!(&buffer[..got], &expected[..]);
                }
                prop_assert_eq!(queue.len(), model.len());
            }
        }
    }
}
