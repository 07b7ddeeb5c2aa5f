//! The echo of input, kept while output is stopped or full.
//!
//! Echo is not plain bytes: how far a tab is erased depends on where the cursor is when the echo
//! is *shown*, so the queue also carries operations. They are bytes after an escape, and the queue
//! is bounded: under lasting back-pressure the oldest echo is dropped.

use alloc::vec::Vec;

use super::{
    ctype,
    flags::{LocalFlags, OutputFlags},
    output::{Cursor, TAB},
    ring::Ring,
    termios::Termios,
};

const SIZE: usize = 4096;
/// Echo is shown in blocks of this size while input keeps coming.
const BLOCK: usize = 256;
/// At this fill the oldest echo is dropped.
const DISCARD: usize = SIZE - (BLOCK + 32);

/// The escape; doubled it stands for itself.
const ESCAPE: u8 = 0xff;
const MOVE_BACK: u8 = 0x80;
const SET_LINE_COLUMN: u8 = 0x81;
/// Followed by a count of columns modulo 8, with [`AFTER_TAB`].
const ERASE_TAB: u8 = 0x82;
const AFTER_TAB: u8 = 0x80;

#[derive(Debug, Default)]
pub(super) struct Echo {
    /// [`SIZE`] bytes once something was echoed, or empty.
    bytes: Vec<u8>,
    head: usize,
    /// Up to here echo may be shown.
    commit: usize,
    /// Up to here echo belongs to characters that are complete.
    mark: usize,
    tail: usize,
}

impl Echo {
    /// Echoes `byte` as it is.
    pub(super) fn raw(&mut self, byte: u8) {
        if byte == ESCAPE {
            self.push(ESCAPE);
        }
        self.push(byte);
    }

    /// Echoes `byte`, a control character as `^X` under `ECHOCTL`.
    pub(super) fn char(&mut self, byte: u8, termios: &Termios) {
        let as_pair =
            termios.has_local(LocalFlags::ECHOCTL) && ctype::is_control(byte) && byte != b'\t';
        if as_pair || byte == ESCAPE {
            self.push(ESCAPE);
        }
        self.push(byte);
    }

    /// The next byte shown moves the cursor no further.
    pub(super) fn move_back(&mut self) {
        self.push(ESCAPE);
        self.push(MOVE_BACK);
    }

    /// The line being edited begins where the cursor is.
    pub(super) fn set_line_column(&mut self) {
        self.push(ESCAPE);
        self.push(SET_LINE_COLUMN);
    }

    /// Goes back over a tab that has `columns` columns between it and the tab before it, or the
    /// start of the line.
    pub(super) fn erase_tab(&mut self, columns: usize, after_tab: bool) {
        self.push(ESCAPE);
        self.push(ERASE_TAB);
        let columns = u8::try_from(columns % TAB).unwrap_or(0);
        self.push(if after_tab { columns | AFTER_TAB } else { columns });
    }

    /// A character's echo is complete; `true` if enough has gathered to [`show`](Self::show) it.
    pub(super) fn commit(&mut self) -> bool {
        let head = self.head;
        self.mark = head;
        let old = self.commit.wrapping_sub(self.tail);
        let gathered = head.wrapping_sub(self.tail);
        if gathered < BLOCK || gathered % BLOCK > old % BLOCK {
            return false;
        }
        self.commit = head;
        true
    }

    /// Lets all complete characters be shown; `true` if there are any.
    pub(super) fn commit_marked(&mut self) -> bool {
        if self.mark == self.tail {
            return false;
        }
        self.commit = self.mark;
        true
    }

    /// Lets everything be shown; `true` if there is something new.
    pub(super) fn commit_all(&mut self) -> bool {
        if self.commit == self.head {
            return false;
        }
        self.commit = self.head;
        true
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        (self.head, self.commit, self.mark, self.tail) = (0, 0, 0, 0);
    }

    /// Moves committed echo to `out` while it fits into `room` bytes.
    pub(super) fn show(
        &mut self,
        termios: &Termios,
        cursor: &mut Cursor,
        out: &mut Ring,
        mut room: usize,
    ) {
        let room = &mut room;
        // Compared modulo the size: a line that is killed may echo more than fits, and the excess
        // has overwritten what came first.
        while !self.commit.wrapping_sub(self.tail).is_multiple_of(SIZE) {
            let byte = self.at(self.tail);
            let shown = if byte == ESCAPE {
                self.show_operation(cursor, out, room)
            } else if termios.has_output(OutputFlags::OPOST) {
                cursor.put(byte, termios, out, room).then_some(1)
            } else {
                put_bytes(out, room, &[byte]).then_some(1)
            };
            let Some(length) = shown else { break };
            self.tail = self.tail.wrapping_add(length);
        }
        while self.commit.wrapping_sub(self.tail) >= DISCARD {
            self.tail = self.tail.wrapping_add(self.length_at_tail());
        }
    }

    /// Shows the operation at the tail; its length, or `None` if it does not fit.
    fn show_operation(
        &self,
        cursor: &mut Cursor,
        out: &mut Ring,
        room: &mut usize,
    ) -> Option<usize> {
        match self.at(self.tail.wrapping_add(1)) {
            ERASE_TAB => {
                let coded = self.at(self.tail.wrapping_add(2));
                let mut columns = usize::from(coded & !AFTER_TAB);
                if coded & AFTER_TAB == 0 {
                    columns = columns.wrapping_add(cursor.line_column);
                }
                let back = TAB - columns % TAB;
                if !put_bytes(out, room, &[b'\x08'; TAB][..back]) {
                    return None;
                }
                cursor.column = cursor.column.saturating_sub(back);
            }
            SET_LINE_COLUMN => cursor.line_column = cursor.column,
            MOVE_BACK => cursor.back(),
            ESCAPE => {
                if !put_bytes(out, room, &[ESCAPE]) {
                    return None;
                }
                cursor.column = cursor.column.wrapping_add(1);
            }
            control => {
                if !put_bytes(out, room, &[b'^', control ^ 0o100]) {
                    return None;
                }
                cursor.column = cursor.column.wrapping_add(2);
            }
        }
        Some(self.length_at_tail())
    }

    fn length_at_tail(&self) -> usize {
        match (self.at(self.tail), self.at(self.tail.wrapping_add(1))) {
            (ESCAPE, ERASE_TAB) => 3,
            (ESCAPE, _) => 2,
            _ => 1,
        }
    }

    fn at(&self, position: usize) -> u8 {
        self.bytes.get(position % SIZE).copied().unwrap_or(0)
    }

    fn push(&mut self, byte: u8) {
        if self.bytes.is_empty() {
            if self.bytes.try_reserve_exact(SIZE).is_err() {
                return; // Echo is a courtesy; without memory there is none.
            }
            self.bytes.resize(SIZE, 0);
        }
        self.bytes[self.head % SIZE] = byte;
        self.head = self.head.wrapping_add(1);
    }
}

/// Puts all of `bytes`, or nothing.
fn put_bytes(out: &mut Ring, room: &mut usize, bytes: &[u8]) -> bool {
    if *room < bytes.len() {
        return false;
    }
    *room -= bytes.len();
    out.put(bytes) == bytes.len()
}
