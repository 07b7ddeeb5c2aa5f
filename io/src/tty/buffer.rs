//! The bytes typed and not yet read, with the ends of their lines.
//!
//! ```text
//!     tail           canon_head        head           (positions count on; the index wraps)
//!      ▼                 ▼               ▼
//!   ───┬─────────────┬───┬───────────────┬───
//!      │ a line  \n* │EOF*│ being edited │            * = marked as a line's end
//!   ───┴─────────────┴───┴───────────────┴───
//! ```
//! In raw mode everything up to `head` can be read; in canonical mode only what lies before
//! `canon_head`.

use abi::{Errno, Result};
use alloc::vec::Vec;
use framework::Sink;

/// Bytes a terminal keeps for its reader.
pub(super) const SIZE: usize = 4096;
const WORDS: usize = SIZE / 64;

/// A byte that switches a control character off, and that stands for an end of file when marked.
pub(super) const DISABLED: u8 = 0;

#[derive(Debug)]
pub(super) struct ReadBuffer {
    /// [`SIZE`] bytes.
    bytes: Vec<u8>,
    /// A bit for each byte: a line ends with it. [`WORDS`] words.
    marks: Vec<u64>,
    head: usize,
    canon_head: usize,
    tail: usize,
    /// The last byte was marked by a change to canonical mode, so it is no end of file.
    pushed: bool,
}

impl ReadBuffer {
    /// An empty buffer.
    ///
    /// # Errors
    /// `ENOMEM`: no memory for it.
    pub(super) fn new() -> Result<Self> {
        let (mut bytes, mut marks) = (Vec::new(), Vec::new());
        bytes.try_reserve_exact(SIZE).map_err(|_| Errno::ENOMEM)?;
        marks.try_reserve_exact(WORDS).map_err(|_| Errno::ENOMEM)?;
        bytes.resize(SIZE, 0);
        marks.resize(WORDS, 0);
        Ok(Self { bytes, marks, head: 0, canon_head: 0, tail: 0, pushed: false })
    }

    /// Bytes between reader and writer, those being edited included.
    pub(super) fn len(&self) -> usize {
        self.head.wrapping_sub(self.tail)
    }

    /// Whether a whole line waits.
    pub(super) fn has_line(&self) -> bool {
        self.canon_head != self.tail
    }

    /// Whether the line being edited has no bytes.
    pub(super) fn line_is_empty(&self) -> bool {
        self.head == self.canon_head
    }

    /// The position after the last byte.
    pub(super) fn head(&self) -> usize {
        self.head
    }

    /// Where the line being edited begins.
    pub(super) fn line_start(&self) -> usize {
        self.canon_head
    }

    /// The byte at `position`.
    pub(super) fn at(&self, position: usize) -> u8 {
        self.bytes[position & (SIZE - 1)]
    }

    /// Appends a byte. When the buffer is full it takes the last one's place.
    #[inline]
    pub(super) fn push(&mut self, byte: u8) {
        self.make_place();
        self.bytes[self.head & (SIZE - 1)] = byte;
        self.head = self.head.wrapping_add(1);
    }

    /// Appends a byte that ends a line: the line can be read now.
    pub(super) fn push_line_end(&mut self, byte: u8) {
        self.make_place();
        self.mark(self.head);
        self.push(byte);
        self.canon_head = self.head;
    }

    fn make_place(&mut self) {
        if self.len() == SIZE {
            self.head = self.head.wrapping_sub(1);
        }
    }

    /// Forgets what was typed from `position` on.
    pub(super) fn cut(&mut self, position: usize) {
        self.head = position;
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.marks.fill(0);
        (self.head, self.canon_head, self.tail, self.pushed) = (0, 0, 0, false);
    }

    /// Canonical mode was switched on or off: what is there becomes one line, or plain bytes.
    pub(super) fn change_mode(&mut self, canonical: bool) {
        self.marks.fill(0);
        self.canon_head = self.tail;
        self.pushed = canonical && self.len() > 0;
        if self.pushed {
            self.mark(self.head.wrapping_sub(1));
            self.canon_head = self.head;
        }
    }

    /// Bytes a reader in canonical mode could get, ends of file left out (`FIONREAD`).
    pub(super) fn line_bytes(&self) -> usize {
        let lines = self.canon_head.wrapping_sub(self.tail);
        let is_byte = |offset: &usize| !self.is_eof(self.tail.wrapping_add(*offset));
        (0..lines).filter(is_byte).count()
    }

    /// Moves plain bytes to `sink`, as many as there are and fit.
    ///
    /// # Errors
    /// `EFAULT`: the sink stopped; what it took is gone from here.
    pub(super) fn read_raw(&mut self, sink: &mut Sink<'_>) -> Result<()> {
        let count = self.len().min(sink.remaining());
        self.copy_out(sink, count)
    }

    /// Moves at most one line to `sink`; the rest of a line that does not fit stays.
    ///
    /// # Errors
    /// `EFAULT`: the sink stopped; what it took is gone from here.
    pub(super) fn read_line(&mut self, sink: &mut Sink<'_>) -> Result<()> {
        let limit = self.canon_head.wrapping_sub(self.tail);
        let line = self.find_mark(limit);
        let (count, ends) = match line {
            Some(before) if self.is_eof(self.tail.wrapping_add(before)) => (before, true),
            Some(before) => (before + 1, false),
            None => (limit, false),
        };
        if count > sink.remaining() {
            let count = sink.remaining();
            return self.copy_out(sink, count);
        }
        self.copy_out(sink, count)?;
        if ends {
            self.unmark(self.tail);
            self.tail = self.tail.wrapping_add(1);
        } else if line.is_some() {
            self.unmark(self.tail.wrapping_sub(1));
        }
        self.pushed &= line.is_none();
        Ok(())
    }

    /// Whether the byte at `position` is a line's end without a byte: an end of file.
    fn is_eof(&self, position: usize) -> bool {
        self.is_marked(position) && self.at(position) == DISABLED
    }

    /// The offset from the tail of the first line end within `limit` bytes.
    fn find_mark(&self, limit: usize) -> Option<usize> {
        let mut offset = 0;
        while offset < limit {
            let index = self.tail.wrapping_add(offset) & (SIZE - 1);
            let word = self.marks[index / 64] >> (index % 64);
            if word != 0 {
                offset += word.trailing_zeros() as usize;
                return (offset < limit).then_some(offset);
            }
            offset += 64 - index % 64;
        }
        None
    }

    fn copy_out(&mut self, sink: &mut Sink<'_>, count: usize) -> Result<()> {
        let mut left = count;
        while left > 0 {
            let start = self.tail & (SIZE - 1);
            let run = left.min(SIZE - start);
            let before = sink.done();
            let result = sink.write(&self.bytes[start..start + run]);
            let moved = sink.done() - before;
            self.tail = self.tail.wrapping_add(moved);
            left -= moved;
            if result? < run {
                return Err(Errno::EFAULT);
            }
        }
        Ok(())
    }

    fn is_marked(&self, position: usize) -> bool {
        let index = position & (SIZE - 1);
        self.marks[index / 64] >> (index % 64) & 1 != 0
    }

    fn mark(&mut self, position: usize) {
        let index = position & (SIZE - 1);
        self.marks[index / 64] |= 1 << (index % 64);
    }

    fn unmark(&mut self, position: usize) {
        let index = position & (SIZE - 1);
        self.marks[index / 64] &= !(1 << (index % 64));
    }
}
