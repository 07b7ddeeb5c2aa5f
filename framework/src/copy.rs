//! User memory: checked copies, and the [`Sink`] and [`Source`] that carry a call's buffers.
//!
//! No function here sleeps or handles a fault: it copies what is mapped and says where it stopped.
//! The caller makes the page present and goes on from there.

mod sink;
mod source;
pub(crate) mod walk;

pub use sink::Sink;
pub use source::Source;

use crate::{Frame, PAGE_SIZE, USER_END, VirtAddr, VmSpace, machine::copy};

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

/// A part of user memory: start and length in bytes.
pub type Segment = (VirtAddr, usize);

/// Bytes of a string that are looked at in one step; a divisor of the page size.
const STRING_STEP: usize = 64;

/// How much of `at..at + len` is not in the user half.
#[inline]
fn beyond(at: VirtAddr, len: usize) -> usize {
    len - len.min(USER_END.get().saturating_sub(at.get()))
}

/// The result of a copy of `len` bytes at `at` that left some.
#[inline]
fn outcome(at: VirtAddr, len: usize, left: usize, write: bool) -> Result<(), Fault> {
    if left == 0 { Ok(()) } else { Err(stopped(at, len - left, write)) }
}

#[cold]
fn stopped(at: VirtAddr, done: usize, write: bool) -> Fault {
    Fault { at: VirtAddr::new(at.get().wrapping_add(done)), done, write }
}

impl VmSpace {
    /// Copies from user memory. Addresses outside the user half are a fault.
    #[inline]
    pub fn read(&self, from: VirtAddr, to: &mut [u8]) -> Result<(), Fault> {
        // SAFETY: the destination is a slice.
        let left = unsafe { self.read_raw(from, to.as_mut_ptr(), to.len()) };
        outcome(from, to.len(), left, false)
    }

    /// Copies into user memory.
    #[inline]
    pub fn write(&self, to: VirtAddr, from: &[u8]) -> Result<(), Fault> {
        // SAFETY: the source is a slice.
        let left = unsafe { self.write_raw(to, from.as_ptr(), from.len()) };
        outcome(to, from.len(), left, true)
    }

    /// Copies `len` bytes at `offset` of a frame into user memory. Panics when the range leaves the
    /// frame.
    #[inline]
    pub fn write_frame(
        &self,
        to: VirtAddr,
        frame: &Frame,
        offset: usize,
        len: usize,
    ) -> Result<(), Fault> {
        let from = frame.range(offset, len);
        // SAFETY: `range` has checked that it lies in the frame.
        let left = unsafe { self.write_raw(to, from, len) };
        outcome(to, len, left, true)
    }

    /// Copies user memory into `len` bytes at `offset` of a frame. Panics when the range leaves the
    /// frame.
    #[inline]
    pub fn read_frame(
        &self,
        from: VirtAddr,
        frame: &Frame,
        offset: usize,
        len: usize,
    ) -> Result<(), Fault> {
        let to = frame.range(offset, len);
        // SAFETY: `range` has checked that it lies in the frame.
        let left = unsafe { self.read_raw(from, to, len) };
        outcome(from, len, left, false)
    }

    /// Sets `len` bytes of user memory to zero.
    #[inline]
    pub fn zero(&self, to: VirtAddr, len: usize) -> Result<(), Fault> {
        outcome(to, len, self.zero_raw(to, len), true)
    }

    /// Copies from user memory; returns how many bytes are left after a fault.
    ///
    /// # Safety
    /// `to` is valid for `len` bytes.
    #[inline]
    unsafe fn read_raw(&self, from: VirtAddr, to: *mut u8, len: usize) -> usize {
        let beyond = beyond(from, len);
        // SAFETY: as the caller promised; the rest is in the user half.
        beyond + unsafe { copy::read(self, from, to, len - beyond) }
    }

    /// Copies into user memory; returns how many bytes are left after a fault.
    ///
    /// # Safety
    /// `from` is valid for `len` bytes.
    #[inline]
    unsafe fn write_raw(&self, to: VirtAddr, from: *const u8, len: usize) -> usize {
        let beyond = beyond(to, len);
        // SAFETY: as the caller promised; the rest is in the user half.
        beyond + unsafe { copy::write(self, to, from, len - beyond) }
    }

    #[inline]
    fn zero_raw(&self, to: VirtAddr, len: usize) -> usize {
        let beyond = beyond(to, len);
        beyond + copy::zero(self, to, len - beyond)
    }

    /// Copies a string up to and without its NUL into `to`; `Ok(None)` when `to` is full first.
    pub fn read_cstr(&self, from: VirtAddr, to: &mut [u8]) -> Result<Option<usize>, Fault> {
        let mut done = 0;
        while done < to.len() {
            let at = VirtAddr::new(from.get().wrapping_add(done));
            // No step crosses a page, so none faults behind the string's end.
            let step = STRING_STEP - at.get() % STRING_STEP;
            let end = to.len().min(done + step);
            let part = &mut to[done..end];
            self.read(at, part).map_err(|fault| Fault { done: done + fault.done, ..fault })?;
            if let Some(len) = part.iter().position(|byte| *byte == 0) {
                return Ok(Some(done + len));
            }
            done = end;
        }
        Ok(None)
    }

    /// Loads an aligned 32-bit word atomically (a misaligned address is a fault).
    #[inline]
    pub fn load_u32(&self, at: VirtAddr) -> Result<u32, Fault> {
        let usable = at.get().is_multiple_of(4) && at < USER_END;
        let value = if usable { copy::load_u32(self, at) } else { None };
        value.ok_or_else(|| stopped(at, 0, false))
    }

    /// Compares and swaps an aligned 32-bit word atomically; returns the value found.
    #[inline]
    pub fn compare_exchange_u32(&self, at: VirtAddr, old: u32, new: u32) -> Result<u32, Fault> {
        let usable = at.get().is_multiple_of(4) && at < USER_END;
        let found = if usable { copy::compare_exchange_u32(self, at, old, new) } else { None };
        found.ok_or_else(|| stopped(at, 0, true))
    }

    /// Copies out of this space without making it active: for another process's memory. Reads every
    /// page that is mapped, whatever its protection.
    pub fn peek(&self, from: VirtAddr, to: &mut [u8]) -> Result<(), Fault> {
        let mut done = 0;
        while done < to.len() {
            let at = VirtAddr::new(from.get().wrapping_add(done));
            let Some(page) = self.lock().query(at) else { return Err(stopped(from, done, false)) };
            let len = (to.len() - done).min(PAGE_SIZE - at.page_offset());
            page.frame.read(at.page_offset(), &mut to[done..done + len]);
            done += len;
        }
        Ok(())
    }

    /// Copies into this space without making it active: for another process's memory. The pages
    /// must be writable.
    pub fn poke(&self, to: VirtAddr, from: &[u8]) -> Result<(), Fault> {
        let beyond = beyond(to, from.len());
        // SAFETY: the source is a slice, and the target in the user half.
        let left = unsafe { walk::write(self, to, from.as_ptr(), from.len() - beyond) };
        outcome(to, from.len(), left + beyond, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Protection;
    use alloc::sync::Arc;

    const BASE: usize = 0x40_0000;

    /// Two pages, a hole, and a page that is only readable.
    pub(super) fn space() -> Arc<VmSpace> {
        let space = VmSpace::new().unwrap();
        let both = Protection::READ | Protection::WRITE;
        for (page, protection) in [(0, both), (1, both), (3, Protection::READ)] {
            let at = VirtAddr::new(BASE + page * PAGE_SIZE);
            space.lock().map(at, Frame::zeroed().unwrap(), protection).unwrap();
        }
        space
    }

    fn at(offset: usize) -> VirtAddr {
        VirtAddr::new(BASE + offset)
    }

    #[test]
    fn copies_cross_pages_and_stop_at_holes() {
        let space = space();
        let bytes: Vec<u8> = (0..100).collect();
        space.write(at(PAGE_SIZE - 50), &bytes).unwrap();
        let mut back = [0; 100];
        space.read(at(PAGE_SIZE - 50), &mut back).unwrap();
        assert_eq!(&back[..], bytes);
        let fault = space.write(at(2 * PAGE_SIZE - 10), &bytes).unwrap_err();
        assert_eq!(fault, Fault { at: at(2 * PAGE_SIZE), done: 10, write: true });
        let fault = space.read(at(2 * PAGE_SIZE), &mut back).unwrap_err();
        assert_eq!(fault, Fault { at: at(2 * PAGE_SIZE), done: 0, write: false });
        let fault = space.zero(at(3 * PAGE_SIZE), 8).unwrap_err();
        assert_eq!(fault, Fault { at: at(3 * PAGE_SIZE), done: 0, write: true });
        let frame = Frame::zeroed().unwrap();
        space.read_frame(at(PAGE_SIZE - 50), &frame, PAGE_SIZE - 100, 100).unwrap();
        frame.read(PAGE_SIZE - 100, &mut back);
        assert_eq!(&back[..], bytes);
        let fault = space.write_frame(at(2 * PAGE_SIZE - 1), &frame, 0, 2).unwrap_err();
        assert_eq!(fault, Fault { at: at(2 * PAGE_SIZE), done: 1, write: true });
        space.zero(at(PAGE_SIZE - 10), 20).unwrap();
        space.read(at(PAGE_SIZE - 20), &mut back[..40]).unwrap();
        assert_eq!(back[10..30], [0; 20]);
        assert_eq!((back[9], back[30]), (39, 60));
    }

    #[test]
    fn the_kernel_half_is_a_fault() {
        let space = space();
        let mut byte = [0];
        for bad in [USER_END.get(), 1 << 47, 0xffff_8000_0000_0000, usize::MAX] {
            let bad = VirtAddr::new(bad);
            assert_eq!(space.read(bad, &mut byte), Err(Fault { at: bad, done: 0, write: false }));
            assert_eq!(space.poke(bad, &byte).unwrap_err().at, bad);
            assert!(space.load_u32(VirtAddr::new(bad.get() & !3)).is_err());
        }
        let end = USER_END - PAGE_SIZE;
        let all = Protection::READ | Protection::WRITE;
        space.lock().map(end, Frame::zeroed().unwrap(), all).unwrap();
        let fault = space.write(end, &[1; PAGE_SIZE + 1]).unwrap_err();
        assert_eq!((fault.at, fault.done), (USER_END, PAGE_SIZE));
        assert!(space.read(VirtAddr::new(usize::MAX), &mut [0; 2]).is_err());
    }

    #[test]
    fn strings_end_at_their_nul() {
        let space = space();
        let end = 2 * PAGE_SIZE;
        space.write(at(end - 6), b"hello\0").unwrap();
        let mut to = [0; 4096];
        assert_eq!(space.read_cstr(at(end - 6), &mut to), Ok(Some(5)));
        assert_eq!(&to[..5], b"hello");
        assert_eq!(space.read_cstr(at(end - 1), &mut to), Ok(Some(0)));
        assert_eq!(space.read_cstr(at(end - 6), &mut to[..5]), Ok(None));
        space.write(at(end - 1), b"!").unwrap();
        let fault = space.read_cstr(at(end - 6), &mut to).unwrap_err();
        assert_eq!((fault.at, fault.done), (at(end), 6));
    }

    #[test]
    fn words_are_swapped() {
        let space = space();
        assert_eq!(space.compare_exchange_u32(at(8), 0, 7), Ok(0));
        assert_eq!(space.compare_exchange_u32(at(8), 0, 9), Ok(7));
        assert_eq!(space.load_u32(at(8)), Ok(7));
        assert!(space.load_u32(at(9)).is_err());
        assert!(space.compare_exchange_u32(at(3 * PAGE_SIZE), 0, 1).unwrap_err().write);
        assert_eq!(space.load_u32(at(3 * PAGE_SIZE)), Ok(0));
    }

    #[test]
    fn another_space_is_read_and_written() {
        let space = space();
        space.poke(at(PAGE_SIZE - 2), b"abcd").unwrap();
        let mut back = [0; 4];
        space.peek(at(PAGE_SIZE - 2), &mut back).unwrap();
        assert_eq!(&back, b"abcd");
        assert!(space.peek(at(2 * PAGE_SIZE), &mut back).is_err());
        assert!(space.poke(at(3 * PAGE_SIZE), &back).is_err());
        space.peek(at(3 * PAGE_SIZE), &mut back).unwrap();
    }

    #[test]
    fn stores_mark_pages_dirty() {
        let space = space();
        space.read(at(0), &mut [0]).unwrap();
        let page = space.lock().query(at(0)).unwrap();
        assert!(page.accessed && !page.dirty);
        space.write(at(0), &[0]).unwrap();
        assert!(space.lock().query(at(0)).unwrap().dirty);
    }
}
