//! The bytes in a pipe: a ring of frames, and where packets end.

use crate::{Errno, Result, Sink, Source, pipe::DEFAULT_SIZE};
use alloc::collections::VecDeque;
use framework::{Frame, PAGE_SIZE, VirtAddr, VmSpace};
use smallvec::SmallVec;

/// Bytes in a ring of frames that are taken when first needed.
pub(super) struct Ring {
    frames: SmallVec<[Option<Frame>; DEFAULT_SIZE / PAGE_SIZE]>,
    /// Offset of the first byte.
    head: usize,
    len: usize,
    /// What the bytes are, from the first on; empty as long as no packet was written.
    runs: VecDeque<Run>,
}

/// Bytes of one packet, or of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    len: usize,
    packet: bool,
}

impl Ring {
    pub(super) fn new() -> Self {
        let mut ring = Self { frames: SmallVec::new(), head: 0, len: 0, runs: VecDeque::new() };
        ring.frames.resize_with(DEFAULT_SIZE / PAGE_SIZE, || None);
        ring
    }

    pub(super) fn capacity(&self) -> usize {
        self.frames.len() * PAGE_SIZE
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn room(&self) -> usize {
        // Packets are as many as there are frames at most, as on Linux.
        if self.runs.len() >= self.frames.len() { 0 } else { self.capacity() - self.len }
    }

    /// The frame of the byte at `offset`, its place there, and the bytes up to the frame's end.
    fn stretch(&self, offset: usize) -> (usize, usize, usize) {
        // The capacity is a power of two.
        let at = offset & (self.capacity() - 1);
        (at / PAGE_SIZE, at % PAGE_SIZE, PAGE_SIZE - at % PAGE_SIZE)
    }

    /// Appends at most `limit` bytes; how many is known by what `from` has given.
    pub(super) fn push(&mut self, from: &mut Source<'_>, limit: usize, packet: bool) -> Result<()> {
        let before = self.len;
        let result = self.copy_in(from, limit.min(self.capacity() - self.len));
        let added = self.len - before;
        if added != 0 && (packet || !self.runs.is_empty()) {
            self.note(before, added, packet);
        }
        result
    }

    fn copy_in(&mut self, from: &mut Source<'_>, limit: usize) -> Result<()> {
        let mut left = limit.min(from.remaining());
        while left != 0 {
            let (index, inside, room) = self.stretch(self.head + self.len);
            let slot = &mut self.frames[index];
            let frame = match slot {
                Some(frame) => frame,
                None => slot.insert(Frame::zeroed()?),
            };
            let before = from.done();
            let result = from.read_frame(frame, inside, room.min(left));
            let copied = from.done() - before;
            self.len += copied;
            left -= copied;
            result?;
        }
        Ok(())
    }

    /// Forgets the last bytes, which a write that failed half-way had added.
    pub(super) fn unpush(&mut self, len: usize) {
        self.len -= len;
        if let Some(run) = self.runs.back_mut() {
            run.len -= len;
            if run.len == 0 {
                self.runs.pop_back();
            }
        }
    }

    fn note(&mut self, before: usize, added: usize, packet: bool) {
        if self.runs.is_empty() && before != 0 {
            self.runs.push_back(Run { len: before, packet: false });
        }
        match self.runs.back_mut() {
            Some(run) if !packet && !run.packet => run.len += added,
            _ => self.runs.push_back(Run { len: added, packet }),
        }
    }

    /// Moves bytes to `to`: as many as fit, or one packet, of which the rest is lost.
    pub(super) fn pull(&mut self, to: &mut Sink<'_>) -> Result<()> {
        let run = self.runs.front().copied();
        let limit = run.map_or(self.len, |run| run.len).min(to.remaining());
        let before = self.len;
        let result = self.copy_out(to, limit);
        if let Some(run) = run {
            let copied = before - self.len;
            if run.packet && result.is_ok() {
                self.skip(run.len - copied);
            }
            self.runs.pop_front();
            let left = run.len - (before - self.len);
            if left != 0 {
                self.runs.push_front(Run { len: left, ..run });
            }
        }
        if self.len == 0 {
            self.head = 0;
        }
        result
    }

    fn copy_out(&mut self, to: &mut Sink<'_>, limit: usize) -> Result<()> {
        let mut left = limit;
        while left != 0 {
            let (index, inside, room) = self.stretch(self.head);
            let frame = self.frames[index].as_ref().ok_or(Errno::EIO)?;
            let before = to.done();
            let result = to.write_frame(frame, inside, room.min(left));
            let copied = to.done() - before;
            self.skip(copied);
            left -= copied;
            result?;
        }
        Ok(())
    }

    /// Copies bytes to `to` and leaves them where they are.
    pub(super) fn copy_to(&self, to: &mut Sink<'_>) -> Result<()> {
        let mut at = self.head;
        let mut left = self.len.min(to.remaining());
        while left != 0 {
            let (index, inside, room) = self.stretch(at);
            let frame = self.frames[index].as_ref().ok_or(Errno::EIO)?;
            let piece = room.min(left);
            to.write_frame(frame, inside, piece)?;
            at += piece;
            left -= piece;
        }
        Ok(())
    }

    /// Moves up to `len` bytes to user memory, if they are there in one piece: how many.
    #[inline]
    pub(super) fn pull_piece(
        &mut self,
        space: &VmSpace,
        to: VirtAddr,
        len: usize,
    ) -> Option<usize> {
        let (index, inside, room) = self.stretch(self.head);
        let len = len.min(self.len);
        if len > room || !self.runs.is_empty() {
            return None;
        }
        space.write_frame(to, self.frames.get(index)?.as_ref()?, inside, len).ok()?;
        self.skip(len);
        if self.len == 0 {
            self.head = 0;
        }
        Some(len)
    }

    /// Appends `len` bytes of user memory, if there is room for them in one piece.
    #[inline]
    pub(super) fn push_piece(&mut self, space: &VmSpace, from: VirtAddr, len: usize) -> Option<()> {
        let (index, inside, room) = self.stretch(self.head + self.len);
        if len > room || len > self.capacity() - self.len || !self.runs.is_empty() {
            return None;
        }
        space.read_frame(from, self.frames.get(index)?.as_ref()?, inside, len).ok()?;
        self.len += len;
        Some(())
    }

    fn skip(&mut self, len: usize) {
        self.head = (self.head + len) & (self.capacity() - 1);
        self.len -= len;
    }

    /// Changes the capacity, a power of two of pages.
    pub(super) fn resize(&mut self, capacity: usize) -> Result<()> {
        if capacity == self.capacity() {
            return Ok(());
        }
        let pages = capacity / PAGE_SIZE;
        if self.len > capacity || self.runs.len() > pages {
            return Err(Errno::EBUSY);
        }
        let mut frames: SmallVec<[Option<Frame>; DEFAULT_SIZE / PAGE_SIZE]> = SmallVec::new();
        frames.try_reserve_exact(pages).map_err(|_| Errno::ENOMEM)?;
        let mut buffer = [0; 512];
        for at in (0..self.len).step_by(buffer.len()) {
            let len = buffer.len().min(self.len - at);
            self.peek(at, &mut buffer[..len])?;
            if at % PAGE_SIZE == 0 {
                frames.push(Some(Frame::zeroed()?));
            }
            if let Some(Some(frame)) = frames.last() {
                frame.write(at % PAGE_SIZE, &buffer[..len]);
            }
        }
        frames.resize_with(pages, || None);
        (self.frames, self.head) = (frames, 0);
        Ok(())
    }

    /// Copies bytes from `at` after the first on.
    fn peek(&self, at: usize, to: &mut [u8]) -> Result<()> {
        let mut done = 0;
        while done < to.len() {
            let (index, inside, room) = self.stretch(self.head + at + done);
            let len = room.min(to.len() - done);
            let frame = self.frames[index].as_ref().ok_or(Errno::EIO)?;
            frame.read(inside, &mut to[done..done + len]);
            done += len;
        }
        Ok(())
    }
}
