//! Where the bytes of a write come from.

use super::{
    Fault, Segment,
    sink::{advance, total},
};
use crate::{Frame, VirtAddr, VmSpace};

/// Where bytes come from: segments of user memory, or a kernel buffer. Remembers how far it got.
#[derive(Debug)]
pub struct Source<'a> {
    origin: Origin<'a>,
    /// All segments, also those that are used up.
    segments: &'a [Segment],
    done: usize,
    len: usize,
    fault: Option<Fault>,
}

#[derive(Debug)]
enum Origin<'a> {
    /// The segments that are not used up, and how many bytes of the first are.
    User(&'a VmSpace, &'a [Segment], usize),
    Kernel(&'a [u8]),
}

impl<'a> Source<'a> {
    /// Bytes come from `segments`, one after the other.
    #[inline]
    pub fn user(space: &'a VmSpace, segments: &'a [Segment]) -> Self {
        let origin = Origin::User(space, segments, 0);
        Self { origin, segments, done: 0, len: total(segments), fault: None }
    }

    /// Bytes come from `buffer`.
    pub fn kernel(buffer: &'a [u8]) -> Self {
        let origin = Origin::Kernel(buffer);
        Self { origin, segments: &[], done: 0, len: buffer.len(), fault: None }
    }

    /// Bytes still to be taken.
    #[inline]
    pub fn remaining(&self) -> usize {
        self.len - self.done
    }

    /// Bytes taken so far, those before a fault included.
    #[inline]
    pub fn done(&self) -> usize {
        self.done
    }

    /// Takes at most `to.len()` bytes; returns how many (fewer only at the end).
    ///
    /// # Errors
    /// The fault, which [`take_fault`](Self::take_fault) also keeps; `done` has moved up to it.
    #[inline]
    pub fn read(&mut self, to: &mut [u8]) -> Result<usize, Fault> {
        let len = to.len().min(self.remaining());
        let start = to.as_mut_ptr();
        self.get(len, |space, at, before, part| {
            // SAFETY: `before + part` is at most `len`, which is at most the slice's length.
            unsafe { space.read_raw(at, start.wrapping_add(before), part) }
        })
        .map(|from| {
            if let Some(from) = from {
                to[..len].copy_from_slice(from);
            }
            len
        })
    }

    /// Like [`read`](Self::read), into `len` bytes at `offset` of a frame.
    #[inline]
    pub fn read_frame(&mut self, frame: &Frame, offset: usize, len: usize) -> Result<usize, Fault> {
        let len = len.min(self.remaining());
        let to = frame.range(offset, len);
        self.get(len, |space, at, before, part| {
            // SAFETY: `range` has checked that it lies in the frame.
            unsafe { space.read_raw(at, to.wrapping_add(before), part) }
        })
        .map(|from| {
            if let Some(from) = from {
                frame.write(offset, from);
            }
            len
        })
    }

    /// Moves on by `len` bytes: copies them from user memory, or returns the kernel's.
    #[inline]
    fn get(
        &mut self,
        len: usize,
        mut user: impl FnMut(&VmSpace, VirtAddr, usize, usize) -> usize,
    ) -> Result<Option<&'a [u8]>, Fault> {
        let bytes = match &mut self.origin {
            Origin::Kernel(buffer) => Some(&buffer[self.done..self.done + len]),
            Origin::User(space, segments, offset) => {
                let copy = |at, before, part| user(space, at, before, part);
                if let Err((at, done)) = advance(segments, offset, len, copy) {
                    self.done += done;
                    let fault = Fault { at, done, write: false };
                    self.fault = Some(fault);
                    return Err(fault);
                }
                None
            }
        };
        self.done += len;
        Ok(bytes)
    }

    /// Counts `len` bytes as taken without copying them (`/dev/null`).
    pub fn skip(&mut self, len: usize) -> usize {
        let len = len.min(self.remaining());
        if let Origin::User(_, segments, offset) = &mut self.origin {
            let skipped = advance(segments, offset, len, |_, _, _| 0);
            debug_assert_eq!(skipped, Ok(()), "nothing was left");
        }
        self.done += len;
        len
    }

    /// Goes back to where `done` bytes were taken: what was taken after that is taken again.
    pub fn rewind(&mut self, done: usize) {
        let done = done.min(self.done);
        if let Origin::User(_, segments, offset) = &mut self.origin {
            (*segments, *offset) = (self.segments, 0);
        }
        self.done = 0;
        self.skip(done);
    }

    /// The fault that stopped the last read, once.
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
    fn segments_are_read_one_after_the_other() {
        let space = space();
        space.write(VirtAddr::new(BASE), b"abcdefghij").unwrap();
        let segments = [(VirtAddr::new(BASE + 5), 5), (VirtAddr::new(BASE), 5)];
        let mut source = Source::user(&space, &segments);
        let mut to = [0; 3];
        assert_eq!(source.read(&mut to), Ok(3));
        assert_eq!(&to, b"fgh");
        assert_eq!(source.skip(4), 4);
        let frame = Frame::zeroed().unwrap();
        assert_eq!(source.read_frame(&frame, 8, 100), Ok(3));
        frame.read(8, &mut to);
        assert_eq!((&to, source.done(), source.remaining()), (b"cde", 10, 0));
        assert_eq!(source.read(&mut to), Ok(0));
        source.rewind(4);
        assert_eq!(source.read(&mut to), Ok(3));
        assert_eq!((&to, source.done()), (b"jab", 7));
        source.rewind(8);
        assert_eq!(source.done(), 7);
    }

    #[test]
    fn a_fault_keeps_what_came_before() {
        let space = space();
        let end = VirtAddr::new(BASE + 2 * PAGE_SIZE);
        space.write(end - 2, b"yz").unwrap();
        let segments = [(end - 2, 4)];
        let mut source = Source::user(&space, &segments);
        let mut to = [0; 4];
        let fault = source.read(&mut to).unwrap_err();
        assert_eq!(fault, Fault { at: end, done: 2, write: false });
        assert_eq!((&to[..2], source.done(), source.take_fault()), (&b"yz"[..], 2, Some(fault)));
    }

    #[test]
    fn kernel_bytes_are_read() {
        let mut source = Source::kernel(b"hello");
        let mut to = [0; 2];
        assert_eq!(source.read(&mut to), Ok(2));
        assert_eq!(&to, b"he");
        assert_eq!(source.skip(1), 1);
        let frame = Frame::zeroed().unwrap();
        assert_eq!(source.read_frame(&frame, 4094, 2), Ok(2));
        frame.read(4094, &mut to);
        assert_eq!(&to, b"lo");
    }
}
