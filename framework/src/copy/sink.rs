//! Where the bytes of a read go.

use super::{Fault, Segment, stopped};
use crate::{Frame, VirtAddr, VmSpace};

/// Where bytes go: segments of user memory, or a kernel buffer. Remembers how far it got.
#[derive(Debug)]
pub struct Sink<'a> {
    target: Target<'a>,
    done: usize,
    len: usize,
    fault: Option<Fault>,
}

#[derive(Debug)]
enum Target<'a> {
    /// The segments that are not full yet, and how many bytes of the first are.
    User(&'a VmSpace, &'a [Segment], usize),
    Kernel(&'a mut [u8]),
}

/// The length of all segments together.
pub(super) fn total(segments: &[Segment]) -> usize {
    segments.iter().fold(0, |total: usize, segment| total.saturating_add(segment.1))
}

/// Goes through `len` bytes of the segments: calls `copy` with an address, how many bytes came
/// before it, and how many it is for; `copy` returns how many are left. Moves the segments and the
/// offset in the first of them on.
///
/// # Errors
/// Where `copy` left some, and the bytes before it.
#[inline]
pub(super) fn advance(
    segments: &mut &[Segment],
    offset: &mut usize,
    len: usize,
    mut copy: impl FnMut(VirtAddr, usize, usize) -> usize,
) -> Result<(), (VirtAddr, usize)> {
    let mut done = 0;
    while done < len {
        let Some(((start, size), rest)) = segments.split_first() else { break };
        let part = (size - *offset).min(len - done);
        let at = VirtAddr::new(start.get().wrapping_add(*offset));
        let left = if part == 0 { 0 } else { copy(at, done, part) };
        *offset += part - left;
        done += part - left;
        if left != 0 {
            return Err((VirtAddr::new(start.get().wrapping_add(*offset)), done));
        }
        if *offset == *size {
            *segments = rest;
            *offset = 0;
        }
    }
    Ok(())
}

impl<'a> Sink<'a> {
    /// Bytes go to `segments`, one after the other.
    #[inline]
    pub fn user(space: &'a VmSpace, segments: &'a [Segment]) -> Self {
        let target = Target::User(space, segments, 0);
        Self { target, done: 0, len: total(segments), fault: None }
    }

    /// Bytes go to `buffer`.
    pub fn kernel(buffer: &'a mut [u8]) -> Self {
        let len = buffer.len();
        Self { target: Target::Kernel(buffer), done: 0, len, fault: None }
    }

    /// Bytes that still fit.
    #[inline]
    pub fn remaining(&self) -> usize {
        self.len - self.done
    }

    /// Bytes written so far, those before a fault included.
    #[inline]
    pub fn done(&self) -> usize {
        self.done
    }

    /// Writes at most [`remaining`](Self::remaining) bytes of `from`; returns how many.
    ///
    /// # Errors
    /// The fault, which [`take_fault`](Self::take_fault) also keeps; `done` has moved up to it.
    #[inline]
    pub fn write(&mut self, from: &[u8]) -> Result<usize, Fault> {
        let len = from.len().min(self.remaining());
        self.put(
            len,
            |space, at, before, part| {
                let from = from[before..before + part].as_ptr();
                // SAFETY: the slice is as long as the part.
                unsafe { space.write_raw(at, from, part) }
            },
            |to| to.copy_from_slice(&from[..len]),
        )
    }

    /// Like [`write`](Self::write), from `len` bytes at `offset` of a frame.
    #[inline]
    pub fn write_frame(
        &mut self,
        frame: &Frame,
        offset: usize,
        len: usize,
    ) -> Result<usize, Fault> {
        let len = len.min(self.remaining());
        let from = frame.range(offset, len);
        self.put(
            len,
            |space, at, before, part| {
                // SAFETY: `range` has checked that it lies in the frame.
                unsafe { space.write_raw(at, from.wrapping_add(before), part) }
            },
            |to| frame.read(offset, to),
        )
    }

    /// Like [`write`](Self::write), `len` zeros.
    pub fn write_zeros(&mut self, len: usize) -> Result<usize, Fault> {
        let len = len.min(self.remaining());
        self.put(len, |space, at, _, part| space.zero_raw(at, part), |to| to.fill(0))
    }

    /// Moves on by `len` bytes with the copy that fits the target.
    #[inline]
    fn put(
        &mut self,
        len: usize,
        mut user: impl FnMut(&VmSpace, VirtAddr, usize, usize) -> usize,
        kernel: impl FnOnce(&mut [u8]),
    ) -> Result<usize, Fault> {
        match &mut self.target {
            Target::Kernel(buffer) => kernel(&mut buffer[self.done..self.done + len]),
            Target::User(space, segments, offset) => {
                let copy = |at, before, part| user(space, at, before, part);
                if let Err((at, done)) = advance(segments, offset, len, copy) {
                    self.done += done;
                    let fault = Fault { at, ..stopped(at, done, true) };
                    self.fault = Some(fault);
                    return Err(fault);
                }
            }
        }
        self.done += len;
        Ok(len)
    }

    /// Writes all of `from`, a record that makes no sense in parts: after a fault nothing counts as
    /// written.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn write_whole(&mut self, from: &[u8]) -> Result<(), Fault> {
        let (done, place) = (self.done, self.place());
        self.write(from).map(drop).inspect_err(|_| self.go_back(done, place))
    }

    /// Makes sure that the next `len` bytes can be written, which zeroes them; nothing counts as
    /// written. For who takes what it writes from a queue, and cannot put it back.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn prepare(&mut self, len: usize) -> Result<(), Fault> {
        let (done, place) = (self.done, self.place());
        let result = self.write_zeros(len).map(drop);
        self.go_back(done, place);
        result
    }

    fn place(&self) -> Option<(&'a [Segment], usize)> {
        match self.target {
            Target::User(_, segments, offset) => Some((segments, offset)),
            Target::Kernel(_) => None,
        }
    }

    fn go_back(&mut self, done: usize, place: Option<(&'a [Segment], usize)>) {
        self.done = done;
        if let (Target::User(_, segments, offset), Some(place)) = (&mut self.target, place) {
            (*segments, *offset) = place;
        }
    }

    /// Counts `len` bytes as written without touching them: a call that goes on after a wait.
    pub fn skip(&mut self, len: usize) -> usize {
        let len = len.min(self.remaining());
        if let Target::User(_, segments, offset) = &mut self.target {
            let skipped = advance(segments, offset, len, |_, _, _| 0);
            debug_assert_eq!(skipped, Ok(()), "nothing was left");
        }
        self.done += len;
        len
    }

    /// The fault that stopped the last write, once.
    pub fn take_fault(&mut self) -> Option<Fault> {
        self.fault.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PAGE_SIZE, copy::tests::space};

    const BASE: usize = 0x40_0000;

    #[test]
    fn segments_are_filled_one_after_the_other() {
        let space = space();
        let segments = [
            (VirtAddr::new(BASE), 3),
            (VirtAddr::new(0), 0),
            (VirtAddr::new(BASE + PAGE_SIZE - 2), 4),
        ];
        let mut sink = Sink::user(&space, &segments);
        assert_eq!(sink.write(b"ab"), Ok(2));
        assert_eq!(sink.write(b"cdefghij"), Ok(5));
        assert_eq!((sink.done(), sink.remaining()), (7, 0));
        assert_eq!(sink.write(b"x"), Ok(0));
        let mut back = [0; 4];
        space.read(VirtAddr::new(BASE), &mut back).unwrap();
        assert_eq!(&back, b"abc\0");
        space.read(segments[2].0, &mut back).unwrap();
        assert_eq!(&back, b"defg");
    }

    #[test]
    fn a_fault_is_remembered_and_gone_on_from() {
        let space = space();
        let segments = [(VirtAddr::new(BASE), 1), (VirtAddr::new(BASE + 2 * PAGE_SIZE - 1), 5)];
        let mut sink = Sink::user(&space, &segments);
        let fault = sink.write(b"abcdef").unwrap_err();
        let hole = VirtAddr::new(BASE + 2 * PAGE_SIZE);
        assert_eq!(fault, Fault { at: hole, done: 2, write: true });
        assert_eq!((sink.done(), sink.take_fault(), sink.take_fault()), (2, Some(fault), None));
        let frame = Frame::zeroed().unwrap();
        let rights = crate::Protection::READ | crate::Protection::WRITE;
        space.lock().map(hole, frame.clone(), rights).unwrap();
        assert_eq!(sink.write(b"cdef"), Ok(4));
        let mut back = [0; 4];
        frame.read(0, &mut back);
        assert_eq!(&back, b"cdef");
    }

    #[test]
    fn a_record_is_written_as_a_whole_or_not_at_all() {
        let space = space();
        let segments = [(VirtAddr::new(BASE + PAGE_SIZE), 2), (VirtAddr::new(BASE), 4)];
        let mut sink = Sink::user(&space, &segments);
        assert_eq!(sink.prepare(6), Ok(()));
        assert_eq!((sink.done(), sink.remaining()), (0, 6));
        assert_eq!(sink.write_whole(b"abcdef"), Ok(()));
        let segments = [(VirtAddr::new(BASE + 2 * PAGE_SIZE - 3), 8)];
        let mut sink = Sink::user(&space, &segments);
        let hole = VirtAddr::new(BASE + 2 * PAGE_SIZE);
        assert_eq!(sink.prepare(8).unwrap_err().at, hole);
        assert_eq!(sink.write_whole(b"abcdefgh").unwrap_err().at, hole);
        assert_eq!((sink.done(), sink.remaining()), (0, 8));
        assert_eq!(sink.write(b"abc"), Ok(3), "the place is the first again");
    }

    #[test]
    fn frames_and_zeros_go_to_the_kernel_too() {
        let frame = Frame::zeroed().unwrap();
        frame.write(10, b"hello");
        let mut buffer = [1; 8];
        let mut sink = Sink::kernel(&mut buffer);
        assert_eq!(sink.write_frame(&frame, 10, 5), Ok(5));
        assert_eq!(sink.write_zeros(2), Ok(2));
        assert_eq!(sink.write_frame(&frame, 10, 5), Ok(1));
        assert_eq!(&buffer, b"hello\0\0h");
    }

    #[test]
    fn lengths_that_overflow_are_bounded() {
        let space = space();
        let segments = [(VirtAddr::new(usize::MAX), usize::MAX), (VirtAddr::new(8), usize::MAX)];
        let mut sink = Sink::user(&space, &segments);
        assert_eq!(sink.remaining(), usize::MAX);
        assert_eq!(sink.write(b"a").unwrap_err().at, VirtAddr::new(usize::MAX));
    }
}
