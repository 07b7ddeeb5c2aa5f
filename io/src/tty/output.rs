//! Output processing (`OPOST`) and the column the cursor is in.

use super::{
    ctype,
    flags::{InputFlags, OutputFlags},
    ring::Ring,
    termios::Termios,
};

/// Spaces between tab stops.
pub(super) const TAB: usize = 8;

/// The most bytes that one byte of a program becomes: a tab of spaces.
pub(super) const EXPANSION: usize = TAB;

/// Where the cursor is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cursor {
    /// Its column.
    pub(super) column: usize,
    /// The column at which the line being edited began.
    pub(super) line_column: usize,
}

impl Cursor {
    /// The cursor went one column back.
    pub(super) fn back(&mut self) {
        self.column = self.column.saturating_sub(1);
    }

    /// Puts `byte` into `out` as the modes say; `false`, and nothing done, if it does not fit into
    /// `room` bytes.
    pub(super) fn put(
        &mut self,
        byte: u8,
        termios: &Termios,
        out: &mut Ring,
        room: &mut usize,
    ) -> bool {
        let modes = |flags| termios.has_output(flags);
        let mut byte = byte;
        let needed = match byte {
            b'\n' if modes(OutputFlags::ONLCR) => 2,
            b'\t' if modes(OutputFlags::TAB3) => TAB - self.column % TAB,
            _ => 1,
        };
        if *room < needed {
            return false;
        }
        match byte {
            b'\n' => {
                if modes(OutputFlags::ONLRET) || modes(OutputFlags::ONLCR) {
                    self.column = 0;
                }
                self.line_column = self.column;
                if needed == 2 {
                    out.push(b'\r');
                }
            }
            b'\r' => {
                if modes(OutputFlags::ONOCR) && self.column == 0 {
                    return true;
                }
                if modes(OutputFlags::OCRNL) {
                    byte = b'\n';
                }
                if !modes(OutputFlags::OCRNL) || modes(OutputFlags::ONLRET) {
                    (self.column, self.line_column) = (0, 0);
                }
            }
            b'\t' => {
                let spaces = TAB - self.column % TAB;
                self.column += spaces;
                if modes(OutputFlags::TAB3) {
                    *room -= spaces;
                    return out.put(&[b' '; TAB][..spaces]) == spaces;
                }
            }
            b'\x08' => self.back(),
            _ if !ctype::is_control(byte) => {
                if modes(OutputFlags::OLCUC) {
                    byte = ctype::to_upper(byte);
                }
                if !(termios.has_input(InputFlags::IUTF8) && ctype::is_continuation(byte)) {
                    self.column = self.column.wrapping_add(1);
                }
            }
            _ => {}
        }
        *room -= needed;
        out.push(byte)
    }
}
