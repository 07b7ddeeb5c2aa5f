//! Input processing: signals, flow control, translation, lines, echo.

use abi::Events;

use super::{
    buffer, ctype,
    flags::{InputFlags, LocalFlags},
    line::{Line, LineError, Signals, Wire},
    termios::Control,
};

/// Bytes processed between two looks at the room for them.
const CHUNK: usize = 256;
/// Room below which a serial sender is asked to stop, and backlog at which it may go on.
const THROTTLE: usize = 128;
/// Three bytes may come of one under `PARMRK`.
const MARKED: usize = 3;

impl Line {
    /// Moves pending input into the read buffer while there is room.
    pub(super) fn pump(&mut self) {
        let mut chunk = [0; CHUNK];
        while !self.pending.is_empty() {
            let room = self.input_room().min(CHUNK);
            if room == 0 {
                break;
            }
            let count = self.pending.take(&mut chunk[..room]);
            self.process(&chunk[..count]);
            if self.input.len() == buffer::SIZE && self.line_overflows() {
                self.input.cut(self.input.head().wrapping_sub(1));
            }
            self.effects.wire |= Events::OUT;
        }
        self.throttle_if_full();
    }

    /// Takes a break or a garbled byte.
    pub(super) fn receive_error(&mut self, error: LineError) {
        self.pump();
        if self.input_room() < MARKED {
            return;
        }
        let modes = |flags| self.termios.has_input(flags);
        self.literal_next = false;
        match error {
            LineError::Break if modes(InputFlags::IGNBRK) => return,
            LineError::Break if modes(InputFlags::BRKINT) => self.signal(Signals::INTERRUPT),
            LineError::Break if modes(InputFlags::PARMRK) => self.keep(&[0xff, 0, 0]),
            LineError::Break => self.keep(&[0]),
            LineError::Garbled(byte) if !modes(InputFlags::INPCK) => self.keep(&[byte]),
            LineError::Garbled(_) if modes(InputFlags::IGNPAR) => return,
            LineError::Garbled(byte) if modes(InputFlags::PARMRK) => self.keep(&[0xff, 0, byte]),
            LineError::Garbled(_) => self.keep(&[0]),
        }
        self.announce_raw();
    }

    /// Obeys flow control characters that arrived while there is no room to process them.
    pub(super) fn look_ahead(&mut self) {
        let len = self.pending.len();
        if !self.termios.has_input(InputFlags::IXON) {
            self.looked_ahead = len;
        }
        while self.looked_ahead < len {
            let (first, second) = self.pending.slices();
            let byte = match first.get(self.looked_ahead) {
                Some(byte) => *byte,
                None => second[self.looked_ahead - first.len()],
            };
            self.looked_ahead += 1;
            self.obey_flow_control(byte);
        }
    }

    /// Bytes that may be processed now. To a line that outgrows the buffer one byte at a time is
    /// added and dropped again, so that it can still be edited and ended.
    fn input_room(&self) -> usize {
        let mut free = buffer::SIZE - self.input.len();
        if self.termios.has_input(InputFlags::PARMRK) {
            free = free.div_ceil(MARKED);
        }
        if free > 1 {
            return free - 1;
        }
        usize::from(self.line_overflows())
    }

    fn line_overflows(&self) -> bool {
        self.termios.has_local(LocalFlags::ICANON) && !self.input.has_line()
    }

    fn process(&mut self, bytes: &[u8]) {
        let seen = self.looked_ahead.min(bytes.len());
        for (index, byte) in bytes.iter().enumerate() {
            self.process_byte(*byte, index < seen);
        }
        self.looked_ahead = self.looked_ahead.saturating_sub(seen);
        let echoes = LocalFlags::ECHO | LocalFlags::ECHONL;
        if self.termios.local.intersects(echoes) && self.echo.commit_all() {
            self.show_echo();
        }
        self.announce_raw();
    }

    fn announce_raw(&mut self) {
        if !self.is_canonical() && self.input.len() > 0 {
            self.effects.terminal |= Events::IN;
        }
    }

    #[inline]
    fn process_byte(&mut self, byte: u8, flow_obeyed: bool) {
        let literal = core::mem::take(&mut self.literal_next);
        let byte = self.strip(byte);
        if !literal && self.termios.has_local(LocalFlags::EXTPROC) {
            self.input.push(byte);
        } else if !literal && self.special.contains(byte) {
            self.process_special(byte, flow_obeyed);
        } else {
            self.start_on_any();
            if self.termios.has_local(LocalFlags::ECHO) {
                self.echo_first(byte);
            }
            self.keep_doubled(byte);
        }
    }

    fn strip(&self, byte: u8) -> u8 {
        let byte = if self.termios.has_input(InputFlags::ISTRIP) { byte & 0x7f } else { byte };
        if self.termios.has_input(InputFlags::IUCLC) && self.termios.has_local(LocalFlags::IEXTEN) {
            return ctype::to_lower(byte);
        }
        byte
    }

    fn process_special(&mut self, byte: u8, flow_obeyed: bool) {
        if self.termios.has_input(InputFlags::IXON) {
            let is_flow = self.is_flow_control(byte);
            if is_flow && !flow_obeyed {
                self.obey_flow_control(byte);
            }
            if is_flow {
                return;
            }
        }
        if self.termios.has_local(LocalFlags::ISIG)
            && let Some(signal) = self.signal_of(byte)
        {
            return self.process_signal(signal, byte);
        }
        self.start_on_any();
        let byte = match byte {
            b'\r' if self.termios.has_input(InputFlags::IGNCR) => return,
            b'\r' if self.termios.has_input(InputFlags::ICRNL) => b'\n',
            b'\n' if self.termios.has_input(InputFlags::INLCR) => b'\r',
            _ => byte,
        };
        if self.termios.has_local(LocalFlags::ICANON) && self.process_canonical(byte) {
            return;
        }
        if self.termios.has_local(LocalFlags::ECHO) {
            if byte == b'\n' {
                self.finish_erasing();
                self.echo.raw(b'\n');
                self.commit_echo();
            } else {
                self.echo_first(byte);
            }
        }
        self.keep_doubled(byte);
    }

    /// Editing and line ends; `false` if `byte` is none of them.
    fn process_canonical(&mut self, byte: u8) -> bool {
        let extended = self.termios.has_local(LocalFlags::IEXTEN);
        let echo = self.termios.has_local(LocalFlags::ECHO);
        let is = |place| byte == self.termios.get(place);
        if is(Control::Erase) || is(Control::Kill) || (is(Control::Werase) && extended) {
            self.erase(byte);
            self.commit_echo();
        } else if is(Control::Lnext) && extended {
            self.begin_literal();
        } else if is(Control::Reprint) && echo && extended {
            self.reprint(byte);
        } else if byte == b'\n' {
            if echo || self.termios.has_local(LocalFlags::ECHONL) {
                self.echo.raw(b'\n');
                self.commit_echo();
            }
            self.end_line(byte);
        } else if is(Control::Eof) {
            self.end_line(buffer::DISABLED);
        } else if is(Control::Eol) || (is(Control::Eol2) && extended) {
            if echo {
                self.note_line_column();
                self.echo.char(byte, &self.termios);
                self.commit_echo();
            }
            if byte == 0xff && self.termios.has_input(InputFlags::PARMRK) {
                self.input.push(byte);
            }
            self.end_line(byte);
        } else {
            return false;
        }
        true
    }

    fn begin_literal(&mut self) {
        self.literal_next = true;
        if self.termios.has_local(LocalFlags::ECHO) {
            self.finish_erasing();
            if self.termios.has_local(LocalFlags::ECHOCTL) {
                self.echo.raw(b'^');
                self.echo.raw(b'\x08');
                self.commit_echo();
            }
        }
    }

    fn reprint(&mut self, byte: u8) {
        self.finish_erasing();
        self.echo.char(byte, &self.termios);
        self.echo.raw(b'\n');
        let mut position = self.input.line_start();
        while position != self.input.head() {
            self.echo.char(self.input.at(position), &self.termios);
            position = position.wrapping_add(1);
        }
        self.commit_echo();
    }

    fn end_line(&mut self, byte: u8) {
        self.input.push_line_end(byte);
        self.effects.terminal |= Events::IN;
    }

    // --- Signals and flow ---

    fn signal_of(&self, byte: u8) -> Option<Signals> {
        let is = |place| byte == self.termios.get(place);
        if is(Control::Intr) {
            Some(Signals::INTERRUPT)
        } else if is(Control::Quit) {
            Some(Signals::QUIT)
        } else if is(Control::Susp) {
            Some(Signals::STOP)
        } else {
            None
        }
    }

    fn process_signal(&mut self, signal: Signals, byte: u8) {
        self.signal(signal);
        if self.termios.has_input(InputFlags::IXON) {
            self.start();
        }
        if self.termios.has_local(LocalFlags::ECHO) {
            self.echo.char(byte, &self.termios);
            self.commit_echo();
        } else {
            self.show_marked_echo();
        }
    }

    /// Signals the foreground group; input and output so far are void, unless `NOFLSH`.
    fn signal(&mut self, signal: Signals) {
        self.effects.signals |= signal;
        if self.termios.has_local(LocalFlags::NOFLSH) {
            return;
        }
        self.echo.clear();
        self.flush_output();
        self.reset_input();
        self.packet.note(super::packet::Packet::FLUSH_READ, &mut self.effects);
    }

    fn is_flow_control(&self, byte: u8) -> bool {
        byte == self.termios.get(Control::Start) || byte == self.termios.get(Control::Stop)
    }

    fn obey_flow_control(&mut self, byte: u8) {
        if byte == self.termios.get(Control::Start) {
            self.start();
            self.show_marked_echo();
        } else if byte == self.termios.get(Control::Stop) {
            self.stop();
        }
    }

    fn start_on_any(&mut self) {
        if self.stopped
            && !self.stopped_by_call
            && self.termios.has_input(InputFlags::IXON | InputFlags::IXANY)
        {
            self.start();
            self.show_marked_echo();
        }
    }

    /// Asks a serial sender to stop before its bytes get lost (`IXOFF`).
    fn throttle_if_full(&mut self) {
        let full = !self.pending.is_empty()
            || (buffer::SIZE - self.input.len() < THROTTLE
                && (self.input.has_line() || !self.is_canonical()));
        if full
            && !self.throttled
            && self.wire == Wire::Serial
            && self.termios.has_input(InputFlags::IXOFF)
        {
            self.throttled = true;
            self.send_urgent(self.termios.get(Control::Stop));
        }
    }

    pub(super) fn unthrottle_if_drained(&mut self) {
        if self.pending.is_empty() && self.readable_bytes() <= THROTTLE {
            self.unthrottle();
        }
    }

    pub(super) fn unthrottle(&mut self) {
        if core::mem::take(&mut self.throttled) {
            self.send_urgent(self.termios.get(Control::Start));
        }
    }

    // --- Keeping and echoing ---

    fn keep(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.input.push(*byte);
        }
    }

    /// Keeps a byte; 0xff is doubled under `PARMRK`, where a single one marks an error.
    fn keep_doubled(&mut self, byte: u8) {
        if byte == 0xff && self.termios.has_input(InputFlags::PARMRK) {
            self.input.push(byte);
        }
        self.input.push(byte);
    }

    fn echo_first(&mut self, byte: u8) {
        self.finish_erasing();
        self.note_line_column();
        self.echo.char(byte, &self.termios);
        self.commit_echo();
    }

    /// The first byte of a line tells where on the screen the line begins.
    fn note_line_column(&mut self) {
        if self.input.line_is_empty() {
            self.echo.set_line_column();
        }
    }

    pub(super) fn finish_erasing(&mut self) {
        if core::mem::take(&mut self.erasing) {
            self.echo.raw(b'/');
        }
    }

    pub(super) fn commit_echo(&mut self) {
        if self.echo.commit() {
            self.show_echo();
        }
    }
}
