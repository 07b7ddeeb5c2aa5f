//! The line discipline `N_TTY` as a state machine: bytes in, bytes out, and what should happen.
//!
//! ```text
//!   wire ──receive──▶ pending ──pump──▶ ReadBuffer ──read──▶ program
//!                                │ echo
//!   wire ◀─transmit── output ◀───┴──────── OPOST ◀──write── program
//! ```
//! The wire is a serial line, or the master of a pseudo-terminal. Nothing here waits, locks or
//! knows of processes: every step leaves its [`Effects`], which the owner carries out.

use abi::{Errno, Events, Result};
use bitflags::bitflags;
use framework::{Sink, Source};

use super::{
    buffer::{self, ReadBuffer},
    echo::Echo,
    flags::{InputFlags, LocalFlags, OutputFlags},
    output::{self, Cursor},
    packet::Packet,
    ring::Ring,
    termios::{Control, Termios, WindowSize},
};

/// Bytes of output kept for the wire.
const OUTPUT_LIMIT: usize = 16384;
/// Bytes a program's write takes at once; the output ring has spare room for their expansion.
const CHUNK: usize = 256;
/// Output beyond this makes a writer wait.
const OUTPUT_FULL: usize = OUTPUT_LIMIT - CHUNK * output::EXPANSION;
/// What the reader behind a pseudo-terminal's master has already got hold of: a flush of the
/// output no longer reaches these bytes.
const WIRE_READER: usize = buffer::SIZE - 1;
/// Waiting writers are woken when output has drained to this.
const MASTER_WAKE: usize = OUTPUT_FULL / 2;
/// The same on a serial line, where poll(2) follows it too.
const SERIAL_WAKE: usize = 255;

bitflags! {
    /// Signals for the foreground group, in the order they are sent.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub(super) struct Signals: u8 {
        const INTERRUPT = 1;
        const QUIT = 2;
        const STOP = 4;
    }
}

/// What a step asks of the terminal's owner.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Effects {
    /// Signals for the foreground group.
    pub(super) signals: Signals,
    /// Events for those who wait on the terminal.
    pub(super) terminal: Events,
    /// Events for the wire: `IN` output is there, `OUT` input is taken again, `PRI` packet status.
    pub(super) wire: Events,
}

/// What is at the other end, where it makes a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    /// A line that takes output in its own time: stopped output piles up.
    Serial,
    /// A program: stopped output is not even taken from the writer.
    Master,
}

/// A byte that arrived in a special way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineError {
    /// A break condition.
    Break,
    /// The byte came with a parity error or without a stop bit.
    Garbled(u8),
}

/// The state of a terminal.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) termios: Termios,
    pub(super) window: WindowSize,
    pub(super) packet: Packet,
    pub(super) effects: Effects,
    pub(super) wire: Wire,
    pub(super) input: ReadBuffer,
    pub(super) echo: Echo,
    pub(super) cursor: Cursor,
    pub(super) pending: Ring,
    /// Pending bytes in which flow control was already obeyed.
    pub(super) looked_ahead: usize,
    pub(super) output: Ring,
    pub(super) special: SpecialBytes,
    /// Output is stopped, by a STOP character or by a program.
    pub(super) stopped: bool,
    /// It was a program (`TCOOFF`): only a program starts it again.
    pub(super) stopped_by_call: bool,
    /// The sender was asked to stop (`IXOFF`).
    pub(super) throttled: bool,
    /// A flow control character to send ahead of all output.
    pub(super) urgent: Option<u8>,
    /// The next byte is taken literally.
    pub(super) literal_next: bool,
    /// The echo shows a `\` whose `/` is still to come.
    pub(super) erasing: bool,
}

impl Line {
    /// A terminal with `termios` whose line holds back at most `pending_limit` bytes.
    ///
    /// # Errors
    /// `ENOMEM`: no memory for its read buffer.
    pub(super) fn new(wire: Wire, termios: Termios, pending_limit: usize) -> Result<Self> {
        Ok(Self {
            special: SpecialBytes::new(&termios),
            termios,
            window: WindowSize::default(),
            packet: Packet::default(),
            effects: Effects::default(),
            wire,
            input: ReadBuffer::new()?,
            echo: Echo::default(),
            cursor: Cursor::default(),
            pending: Ring::new(pending_limit),
            looked_ahead: 0,
            output: Ring::new(OUTPUT_LIMIT),
            stopped: false,
            stopped_by_call: false,
            throttled: false,
            urgent: None,
            literal_next: false,
            erasing: false,
        })
    }

    /// Takes what the steps since the last call ask for.
    pub(super) fn take_effects(&mut self) -> Effects {
        core::mem::take(&mut self.effects)
    }

    // --- The program's side ---

    /// Changes the settings.
    pub(super) fn set_termios(&mut self, termios: Termios) {
        let old = core::mem::replace(&mut self.termios, termios);
        self.termios.line = old.line;
        let modes = LocalFlags::ICANON | LocalFlags::EXTPROC;
        if (old.local ^ self.termios.local).intersects(modes) {
            self.input.change_mode(self.termios.has_local(LocalFlags::ICANON));
            self.erasing = false;
            self.literal_next = false;
        }
        self.special = SpecialBytes::new(&self.termios);
        self.note_packet_settings(&old);
        if old.has_input(InputFlags::IXON)
            && !self.termios.has_input(InputFlags::IXON)
            && !self.stopped_by_call
        {
            self.start();
            self.show_marked_echo();
        }
        if old.has_input(InputFlags::IXOFF) && !self.termios.has_input(InputFlags::IXOFF) {
            self.unthrottle();
        }
        self.effects.terminal |= Events::IN | Events::OUT;
        self.pump();
    }

    /// Whether a reader finds something; `at_least` counts bytes in raw mode.
    pub(super) fn is_readable(&self, at_least: usize) -> bool {
        if self.is_canonical() { self.input.has_line() } else { self.input.len() >= at_least }
    }

    /// Moves input to `sink`: a line, or in raw mode whatever there is.
    ///
    /// # Errors
    /// `EFAULT`: the sink stopped; what it took counts as read.
    pub(super) fn read(&mut self, sink: &mut Sink<'_>) -> Result<()> {
        let result = if self.is_canonical() {
            self.input.read_line(sink)
        } else {
            self.input.read_raw(sink)
        };
        self.pump();
        self.unthrottle_if_drained();
        result
    }

    /// Bytes a reader could get now.
    pub(super) fn readable_bytes(&self) -> usize {
        if self.is_canonical() { self.input.line_bytes() } else { self.input.len() }
    }

    /// Takes bytes from `source` while there is room.
    ///
    /// # Errors
    /// - `EAGAIN`: the source has more, and there is no room.
    /// - `EFAULT`: the source stopped.
    /// - `ENOMEM`: no memory to keep a single byte.
    pub(super) fn write(&mut self, source: &mut Source<'_>) -> Result<()> {
        self.show_marked_echo();
        let mut chunk = [0; CHUNK];
        while source.remaining() > 0 {
            if self.output_room() == 0 {
                return Err(Errno::EAGAIN);
            }
            let reserved = self.output.reserve(CHUNK * output::EXPANSION);
            if reserved < output::EXPANSION {
                return Err(Errno::ENOMEM);
            }
            let fits = (reserved / output::EXPANSION).min(CHUNK);
            let before = source.done();
            let result = source.read(&mut chunk[..fits]);
            let count = source.done() - before;
            self.put_output(&chunk[..count.min(fits)]);
            result?;
        }
        Ok(())
    }

    fn put_output(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if self.termios.has_output(OutputFlags::OPOST) {
            let mut room = OUTPUT_LIMIT;
            for byte in bytes {
                self.cursor.put(*byte, &self.termios, &mut self.output, &mut room);
            }
        } else {
            self.output.put(bytes);
        }
        self.effects.wire |= Events::IN;
    }

    /// Bytes a program may write before it must wait.
    pub(super) fn output_room(&self) -> usize {
        if self.wire == Wire::Master && self.stopped {
            return 0;
        }
        OUTPUT_FULL.saturating_sub(self.output.len())
    }

    /// Forgets unread input; what the line still holds back comes in afterwards.
    pub(super) fn flush_input(&mut self) {
        self.reset_input();
        self.packet.note(Packet::FLUSH_READ, &mut self.effects);
        self.pump();
        self.unthrottle_if_drained();
    }

    /// Forgets output that is not sent.
    pub(super) fn flush_output(&mut self) {
        match self.wire {
            Wire::Serial => self.output.truncate(0),
            Wire::Master => {
                self.output.truncate(WIRE_READER);
                self.packet.note(Packet::FLUSH_WRITE, &mut self.effects);
            }
        }
        self.effects.terminal |= Events::OUT;
    }

    /// Whether all output has left for the wire. A master has it at once.
    pub(super) fn is_drained(&self) -> bool {
        self.wire == Wire::Master || (self.output.is_empty() && self.urgent.is_none())
    }

    /// Stops output on a program's behalf (`TCOOFF`).
    pub(super) fn stop_by_call(&mut self) {
        if !self.stopped_by_call {
            self.stopped_by_call = true;
            self.stop();
        }
    }

    /// Starts output that a program stopped (`TCOON`).
    pub(super) fn start_by_call(&mut self) {
        if self.stopped_by_call {
            self.stopped_by_call = false;
            self.start();
        }
    }

    /// Sends a flow control character ahead of other output (`TCIOFF`, `TCION`).
    pub(super) fn send_urgent(&mut self, byte: u8) {
        if byte == buffer::DISABLED {
            return;
        }
        match self.wire {
            Wire::Serial => self.urgent = Some(byte),
            Wire::Master => {
                self.output.push(byte);
            }
        }
        self.effects.wire |= Events::IN;
    }

    // --- The wire's side ---

    /// Takes bytes that arrived; returns how many, fewer if the reader does not keep up.
    pub(super) fn receive(&mut self, bytes: &[u8]) -> usize {
        let taken = self.pending.put(bytes);
        self.pump();
        self.look_ahead();
        taken
    }

    /// Takes output for the wire; nothing while it is stopped, except urgent bytes.
    pub(super) fn transmit(&mut self, to: &mut [u8]) -> usize {
        let mut count = 0;
        if let (Some(first), Some(byte)) = (to.first_mut(), self.urgent) {
            *first = byte;
            self.urgent = None;
            count = 1;
        }
        if !self.stopped || self.wire == Wire::Master {
            count += self.output.take(&mut to[count..]);
        }
        self.output_left();
        count
    }

    /// Output went to the wire: writers may go on, and echo that found no room. Behind a master it
    /// waits for the next input or output, as on Linux.
    pub(super) fn output_left(&mut self) {
        if self.wire == Wire::Serial {
            self.show_marked_echo();
        }
        if self.output.len() <= self.wake_level() {
            self.effects.terminal |= Events::OUT;
        }
    }

    /// Whether a program that waits to write should try.
    pub(super) fn is_writable(&self) -> bool {
        let crowded = self.wire == Wire::Serial && self.output.len() > SERIAL_WAKE;
        !crowded && self.output_room() > 0
    }

    fn wake_level(&self) -> usize {
        if self.wire == Wire::Serial { SERIAL_WAKE } else { MASTER_WAKE }
    }

    // --- Both ---

    /// Whether input is kept in lines.
    pub(super) fn is_canonical(&self) -> bool {
        self.termios.local & (LocalFlags::ICANON | LocalFlags::EXTPROC) == LocalFlags::ICANON
    }

    pub(super) fn reset_input(&mut self) {
        self.input.clear();
        self.erasing = false;
    }

    pub(super) fn show_marked_echo(&mut self) {
        if self.echo.commit_marked() {
            self.show_echo();
        }
    }

    pub(super) fn show_echo(&mut self) {
        let before = self.output.len();
        let room = self.output_room();
        self.output.reserve(room.min(CHUNK));
        self.echo.show(&self.termios, &mut self.cursor, &mut self.output, room);
        if self.output.len() != before {
            self.effects.wire |= Events::IN;
        }
    }

    /// Lets output go on, unless a program stopped it.
    pub(super) fn start(&mut self) {
        if self.stopped && !self.stopped_by_call {
            self.stopped = false;
            self.packet.note_flow(Packet::START, Packet::STOP, &mut self.effects);
            self.effects.terminal |= Events::OUT;
            self.effects.wire |= Events::IN;
        }
    }

    pub(super) fn stop(&mut self) {
        if !self.stopped {
            self.stopped = true;
            self.packet.note_flow(Packet::STOP, Packet::START, &mut self.effects);
        }
    }

    fn note_packet_settings(&mut self, old: &Termios) {
        let flow = |termios: &Termios| {
            termios.has_input(InputFlags::IXON)
                && termios.get(Control::Stop) == 0x13
                && termios.get(Control::Start) == 0x11
        };
        let (before, after) = (flow(old), flow(&self.termios));
        if before != after {
            let (set, clear) = if after {
                (Packet::DO_STOP, Packet::NO_STOP)
            } else {
                (Packet::NO_STOP, Packet::DO_STOP)
            };
            self.packet.note_flow(set, clear, &mut self.effects);
        }
        if (old.local | self.termios.local).contains(LocalFlags::EXTPROC) {
            self.packet.note(Packet::IOCTL, &mut self.effects);
        }
    }
}

/// The bytes that need a closer look when they arrive.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SpecialBytes([u64; 4]);

impl SpecialBytes {
    fn new(termios: &Termios) -> Self {
        let mut special = Self::default();
        let control = |place| termios.get(place);
        if termios.input.intersects(InputFlags::IGNCR | InputFlags::ICRNL) {
            special.insert(b"\r");
        }
        if termios.has_input(InputFlags::INLCR) {
            special.insert(b"\n");
        }
        if termios.has_local(LocalFlags::ICANON) {
            special.insert(b"\n");
            special
                .insert(&[Control::Erase, Control::Kill, Control::Eof, Control::Eol].map(control));
            if termios.has_local(LocalFlags::IEXTEN) {
                special.insert(&[Control::Werase, Control::Lnext, Control::Eol2].map(control));
                if termios.has_local(LocalFlags::ECHO) {
                    special.insert(&[control(Control::Reprint)]);
                }
            }
        }
        if termios.has_input(InputFlags::IXON) {
            special.insert(&[Control::Start, Control::Stop].map(control));
        }
        if termios.has_local(LocalFlags::ISIG) {
            special.insert(&[Control::Intr, Control::Quit, Control::Susp].map(control));
        }
        special.0[0] &= !(1 << buffer::DISABLED);
        special
    }

    #[inline]
    pub(super) fn contains(self, byte: u8) -> bool {
        self.0[usize::from(byte / 64)] >> (byte % 64) & 1 != 0
    }

    fn insert(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0[usize::from(byte / 64)] |= 1 << (byte % 64);
        }
    }
}
