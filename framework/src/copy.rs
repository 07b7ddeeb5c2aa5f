//! User memory: checked copies, and the [`Sink`] and [`Source`] that carry a call's buffers.
//!
//! No function here sleeps or handles a fault: it copies what is mapped and says where it stopped.
//! The caller makes the page present and goes on from there.

use crate::{Frame, VirtAddr, VmSpace};

/// A user page was not there, or not with the needed right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The first address that could not be copied.
    pub at: VirtAddr,
    /// Bytes copied before it.
    pub done: usize,
    /// Whether the access was a store.
    pub write: bool,
}

impl VmSpace {
    /// Copies from user memory. Addresses outside the user half are a fault.
    pub fn read(&self, _from: VirtAddr, _to: &mut [u8]) -> Result<(), Fault> {
        unimplemented!()
    }

    /// Copies into user memory.
    pub fn write(&self, _to: VirtAddr, _from: &[u8]) -> Result<(), Fault> {
        unimplemented!()
    }

    /// Sets `len` bytes of user memory to zero.
    pub fn zero(&self, _to: VirtAddr, _len: usize) -> Result<(), Fault> {
        unimplemented!()
    }

    /// Copies a string up to and without its NUL into `to`; `Ok(None)` when `to` is full first.
    pub fn read_cstr(&self, _from: VirtAddr, _to: &mut [u8]) -> Result<Option<usize>, Fault> {
        unimplemented!()
    }

    /// Loads an aligned 32-bit word atomically (a misaligned address is a fault).
    pub fn load_u32(&self, _at: VirtAddr) -> Result<u32, Fault> {
        unimplemented!()
    }

    /// Compares and swaps an aligned 32-bit word atomically; returns the value found.
    pub fn compare_exchange_u32(&self, _at: VirtAddr, _old: u32, _new: u32) -> Result<u32, Fault> {
        unimplemented!()
    }
}

/// A part of user memory: start and length in bytes.
pub type Segment = (VirtAddr, usize);

/// Where bytes go: segments of user memory, or a kernel buffer. Remembers how far it got.
#[derive(Debug)]
pub struct Sink<'a> {
    target: SinkTarget<'a>,
    done: usize,
    len: usize,
    fault: Option<Fault>,
}

#[derive(Debug)]
enum SinkTarget<'a> {
    User(&'a VmSpace, &'a [Segment]),
    Kernel(&'a mut [u8]),
}

impl<'a> Sink<'a> {
    /// Bytes go to `segments`, one after the other.
    pub fn user(space: &'a VmSpace, segments: &'a [Segment]) -> Self {
        let len = segments.iter().map(|segment| segment.1).sum();
        Self { target: SinkTarget::User(space, segments), done: 0, len, fault: None }
    }

    /// Bytes go to `buffer`.
    pub fn kernel(buffer: &'a mut [u8]) -> Self {
        let len = buffer.len();
        Self { target: SinkTarget::Kernel(buffer), done: 0, len, fault: None }
    }

    /// Bytes that still fit.
    pub fn remaining(&self) -> usize {
        self.len - self.done
    }

    /// Bytes written so far, those before a fault included.
    pub fn done(&self) -> usize {
        self.done
    }

    /// Writes at most [`remaining`](Self::remaining) bytes of `from`; returns how many.
    ///
    /// # Errors
    /// The fault, which [`take_fault`](Self::take_fault) also keeps; `done` has moved up to it.
    pub fn write(&mut self, _from: &[u8]) -> Result<usize, Fault> {
        unimplemented!()
    }

    /// Like [`write`](Self::write), from `len` bytes at `offset` of a frame.
    pub fn write_frame(
        &mut self,
        _frame: &Frame,
        _offset: usize,
        _len: usize,
    ) -> Result<usize, Fault> {
        unimplemented!()
    }

    /// Like [`write`](Self::write), `len` zeros.
    pub fn write_zeros(&mut self, _len: usize) -> Result<usize, Fault> {
        unimplemented!()
    }

    /// The fault that stopped the last write, once.
    pub fn take_fault(&mut self) -> Option<Fault> {
        self.fault.take()
    }
}

/// Where bytes come from: segments of user memory, or a kernel buffer. Remembers how far it got.
#[derive(Debug)]
pub struct Source<'a> {
    origin: SourceOrigin<'a>,
    done: usize,
    len: usize,
    fault: Option<Fault>,
}

#[derive(Debug)]
enum SourceOrigin<'a> {
    User(&'a VmSpace, &'a [Segment]),
    Kernel(&'a [u8]),
}

impl<'a> Source<'a> {
    /// Bytes come from `segments`, one after the other.
    pub fn user(space: &'a VmSpace, segments: &'a [Segment]) -> Self {
        let len = segments.iter().map(|segment| segment.1).sum();
        Self { origin: SourceOrigin::User(space, segments), done: 0, len, fault: None }
    }

    /// Bytes come from `buffer`.
    pub fn kernel(buffer: &'a [u8]) -> Self {
        Self { origin: SourceOrigin::Kernel(buffer), done: 0, len: buffer.len(), fault: None }
    }

    /// Bytes still to be taken.
    pub fn remaining(&self) -> usize {
        self.len - self.done
    }

    /// Bytes taken so far, those before a fault included.
    pub fn done(&self) -> usize {
        self.done
    }

    /// Takes at most `to.len()` bytes; returns how many (fewer only at the end).
    ///
    /// # Errors
    /// The fault, which [`take_fault`](Self::take_fault) also keeps; `done` has moved up to it.
    pub fn read(&mut self, _to: &mut [u8]) -> Result<usize, Fault> {
        unimplemented!()
    }

    /// Like [`read`](Self::read), into `len` bytes at `offset` of a frame.
    pub fn read_frame(
        &mut self,
        _frame: &Frame,
        _offset: usize,
        _len: usize,
    ) -> Result<usize, Fault> {
        unimplemented!()
    }

    /// Counts `len` bytes as taken without copying them (`/dev/null`).
    pub fn skip(&mut self, len: usize) -> usize {
        let len = len.min(self.remaining());
        self.done += len;
        len
    }

    /// Goes back to where `done` bytes were taken: what was taken after that is taken again.
    pub fn rewind(&mut self, done: usize) {
        self.done = self.done.min(done);
    }

    /// The fault that stopped the last read, once.
    pub fn take_fault(&mut self) -> Option<Fault> {
        self.fault.take()
    }
}
