//! Erasing a character, a word or the whole line, and making it vanish from the screen.

use super::{
    ctype,
    flags::{InputFlags, LocalFlags},
    line::Line,
    termios::Control,
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    Character,
    Word,
    Line,
}

/// Goes back one column, wiping what is there.
const WIPE: [u8; 3] = [b'\x08', b' ', b'\x08'];

impl Line {
    /// Erases as `byte` (ERASE, WERASE or KILL) says.
    pub(super) fn erase(&mut self, byte: u8) {
        if self.input.line_is_empty() {
            return;
        }
        let extent = if byte == self.termios.get(Control::Erase) {
            Extent::Character
        } else if byte == self.termios.get(Control::Werase) {
            Extent::Word
        } else if self.kills_at_once() {
            return;
        } else {
            Extent::Line
        };
        let mut in_word = false;
        while !self.input.line_is_empty() {
            let Some(start) = self.last_character() else { break };
            let first = self.input.at(start);
            if extent == Extent::Word {
                if ctype::is_alphanumeric(first) || first == b'_' {
                    in_word = true;
                } else if in_word {
                    break;
                }
            }
            let end = self.input.head();
            self.input.cut(start);
            if self.termios.has_local(LocalFlags::ECHO) {
                self.show_erased(start, end, extent);
            }
            if extent == Extent::Character {
                break;
            }
        }
        if self.input.line_is_empty() && self.termios.has_local(LocalFlags::ECHO) {
            self.finish_erasing();
        }
    }

    /// Forgets the line without wiping it from the screen, if the modes say so.
    fn kills_at_once(&mut self) -> bool {
        let wipes = LocalFlags::ECHOK | LocalFlags::ECHOKE | LocalFlags::ECHOE;
        if self.termios.has_local(LocalFlags::ECHO | wipes) {
            return false;
        }
        self.input.cut(self.input.line_start());
        if self.termios.has_local(LocalFlags::ECHO) {
            self.finish_erasing();
            self.echo.char(self.termios.get(Control::Kill), &self.termios);
            if self.termios.has_local(LocalFlags::ECHOK) {
                self.echo.raw(b'\n');
            }
        }
        true
    }

    /// Where the last character of the line begins; `None` if the line is the rest of one.
    fn last_character(&self) -> Option<usize> {
        let mut position = self.input.head();
        loop {
            position = position.wrapping_sub(1);
            if !self.is_continuation(self.input.at(position)) {
                return Some(position);
            }
            if position == self.input.line_start() {
                return None;
            }
        }
    }

    fn is_continuation(&self, byte: u8) -> bool {
        self.termios.has_input(InputFlags::IUTF8) && ctype::is_continuation(byte)
    }

    /// Echoes that the character at `start..end` is gone.
    fn show_erased(&mut self, start: usize, end: usize, extent: Extent) {
        let first = self.input.at(start);
        if self.termios.has_local(LocalFlags::ECHOPRT) {
            if !self.erasing {
                self.echo.raw(b'\\');
                self.erasing = true;
            }
            self.echo.char(first, &self.termios);
            for offset in 1..end.wrapping_sub(start) {
                self.echo.raw(self.input.at(start.wrapping_add(offset)));
                self.echo.move_back();
            }
        } else if extent == Extent::Character && !self.termios.has_local(LocalFlags::ECHOE) {
            self.echo.char(self.termios.get(Control::Erase), &self.termios);
        } else if first == b'\t' {
            let (columns, after_tab) = self.columns_since_tab();
            self.echo.erase_tab(columns, after_tab);
        } else {
            let shown_as_pair = self.termios.has_local(LocalFlags::ECHOCTL);
            let wipes = match (ctype::is_control(first), shown_as_pair) {
                (true, true) => 2,
                (true, false) => 0,
                (false, _) => 1,
            };
            for byte in core::iter::repeat_n(WIPE, wipes).flatten() {
                self.echo.raw(byte);
            }
        }
    }

    /// Columns that the line's characters take since its last tab, or since its start.
    fn columns_since_tab(&self) -> (usize, bool) {
        let mut columns = 0;
        let mut position = self.input.head();
        while position != self.input.line_start() {
            position = position.wrapping_sub(1);
            let byte = self.input.at(position);
            if byte == b'\t' {
                return (columns, true);
            }
            if ctype::is_control(byte) {
                columns += if self.termios.has_local(LocalFlags::ECHOCTL) { 2 } else { 0 };
            } else if !self.is_continuation(byte) {
                columns += 1;
            }
        }
        (columns, false)
    }
}
