//! A bounded byte queue that takes memory only as it fills.

use alloc::vec::Vec;

/// The first allocation, in bytes.
const SMALLEST: usize = 256;

/// Bytes in order of arrival, at most `limit`; memory grows by doubling and is kept.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    /// A power of two long, or empty.
    bytes: Vec<u8>,
    /// Where the next byte is taken; counts on without wrapping at the buffer's end.
    tail: usize,
    /// Where the next byte is put.
    head: usize,
    limit: usize,
}

impl Ring {
    /// An empty ring for at most `limit` bytes, a power of two.
    pub(crate) const fn new(limit: usize) -> Self {
        assert!(limit.is_power_of_two() && limit >= SMALLEST);
        Self { bytes: Vec::new(), tail: 0, head: 0, limit }
    }

    pub(crate) fn len(&self) -> usize {
        self.head.wrapping_sub(self.tail)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.head == self.tail
    }

    pub(crate) fn free(&self) -> usize {
        self.limit - self.len()
    }

    /// Makes memory for `extra` more bytes, at most the limit; returns how many fit now.
    pub(crate) fn reserve(&mut self, extra: usize) -> usize {
        let wanted = self.len() + extra.min(self.free());
        if wanted > self.bytes.len() {
            self.grow(wanted.next_power_of_two().max(SMALLEST));
        }
        self.bytes.len() - self.len()
    }

    /// Moves to a buffer of `size` bytes; stays as it is if there is no memory.
    fn grow(&mut self, size: usize) {
        let mut bytes = Vec::new();
        if bytes.try_reserve_exact(size).is_err() {
            return;
        }
        let (first, second) = self.slices();
        bytes.extend_from_slice(first);
        bytes.extend_from_slice(second);
        let len = bytes.len();
        bytes.resize(size, 0);
        (self.bytes, self.tail, self.head) = (bytes, 0, len);
    }

    /// Appends as many of `from` as fit; returns how many.
    pub(crate) fn put(&mut self, from: &[u8]) -> usize {
        let count = from.len().min(self.reserve(from.len())).min(self.free());
        let (from, start) = (&from[..count], self.index(self.head));
        let first = count.min(self.bytes.len() - start);
        self.bytes[start..start + first].copy_from_slice(&from[..first]);
        self.bytes[..count - first].copy_from_slice(&from[first..]);
        self.head = self.head.wrapping_add(count);
        count
    }

    /// Appends one byte; `false` if it does not fit.
    #[inline]
    pub(crate) fn push(&mut self, byte: u8) -> bool {
        if self.len() == self.bytes.len() {
            return self.put(&[byte]) == 1;
        }
        let index = self.index(self.head);
        self.bytes[index] = byte;
        self.head = self.head.wrapping_add(1);
        true
    }

    /// All bytes, as the two parts they lie in.
    pub(crate) fn slices(&self) -> (&[u8], &[u8]) {
        if self.is_empty() {
            return (&[], &[]);
        }
        let (start, len) = (self.index(self.tail), self.len());
        let first = len.min(self.bytes.len() - start);
        (&self.bytes[start..start + first], &self.bytes[..len - first])
    }

    /// Removes `count` bytes from the front.
    pub(crate) fn consume(&mut self, count: usize) {
        self.tail = self.tail.wrapping_add(count.min(self.len()));
    }

    /// Takes bytes from the front into `to`; returns how many.
    pub(crate) fn take(&mut self, to: &mut [u8]) -> usize {
        let (first, second) = self.slices();
        let from_first = first.len().min(to.len());
        to[..from_first].copy_from_slice(&first[..from_first]);
        let from_second = second.len().min(to.len() - from_first);
        to[from_first..from_first + from_second].copy_from_slice(&second[..from_second]);
        self.consume(from_first + from_second);
        from_first + from_second
    }

    /// Forgets all bytes but the first `len`.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.head = self.tail.wrapping_add(len.min(self.len()));
    }

    fn index(&self, position: usize) -> usize {
        position & self.bytes.len().wrapping_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::Ring;
    use alloc::vec::Vec;

    #[test]
    fn keeps_order_across_growth_and_wrap() {
        let mut ring = Ring::new(1024);
        let mut next_in = 0u8;
        let mut next_out = 0u8;
        for round in 0..2000usize {
            let chunk: Vec<u8> = (0..round % 97)
                .map(|_| {
                    next_in = next_in.wrapping_add(1);
                    next_in
                })
                .collect();
            let put = ring.put(&chunk);
            assert_eq!(put, chunk.len(), "there is room");
            let mut out = [0; 101];
            let len = ring.take(&mut out);
            for byte in &out[..len] {
                next_out = next_out.wrapping_add(1);
                assert_eq!(*byte, next_out);
            }
        }
        assert!(ring.is_empty());
    }

    #[test]
    fn stops_at_its_limit() {
        let mut ring = Ring::new(256);
        assert_eq!(ring.put(&[7; 300]), 256);
        assert_eq!((ring.len(), ring.free()), (256, 0));
        assert!(!ring.push(8));
        ring.truncate(3);
        assert_eq!(ring.slices().0, [7, 7, 7]);
        assert!(ring.push(8));
        let mut out = [0; 9];
        assert_eq!(ring.take(&mut out), 4);
        assert_eq!(out[..4], [7, 7, 7, 8]);
    }
}
