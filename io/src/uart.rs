//! The 16550 serial port, as the wire of a terminal.
//!
//! ```text
//!   Tty ──transmit──▶ Runner ──▶ transmit FIFO     a burst whenever the FIFO is empty
//!       ◀──receive─── Runner ◀── receive FIFO      drained at each interrupt
//! ```
//! One task owns the port. It sleeps until the port interrupts or the terminal has something, and
//! then looks at both: any step may find nothing to do, so no wake-up is special.
//!
//! # Gaps
//! Hardware flow control (`CRTSCTS`), and parity other than odd and even.

use abi::{Events, Result};
use alloc::sync::Arc;
use executor::select;
use framework::{cap::IoPorts, irq::IrqLine};

use crate::tty::{ControlFlags, LineError, ModemLines, Session, Termios, Tty};

// Registers, by their offset; some have two meanings.
const DATA: u16 = 0;
const DIVISOR_LOW: u16 = 0;
const INTERRUPTS: u16 = 1;
const DIVISOR_HIGH: u16 = 1;
const IDENTIFY: u16 = 2;
const FIFO_CONTROL: u16 = 2;
const LINE_CONTROL: u16 = 3;
const MODEM_CONTROL: u16 = 4;
const LINE_STATUS: u16 = 5;
const MODEM_STATUS: u16 = 6;

// INTERRUPTS: data received, FIFO empty, line errors, modem status.
const ON_RECEIVED: u8 = 1;
const ON_EMPTY: u8 = 2;
const ON_ERROR: u8 = 4;
const ON_MODEM: u8 = 8;
// IDENTIFY: which interrupt is pending, if any.
const INTERRUPT: u8 = 0x0f;
const MODEM: u8 = 0;
const NONE_PENDING: u8 = 1;
/// FIFO_CONTROL: enable, clear both, interrupt at 8 bytes.
const FIFO_SETUP: u8 = 0x87;

// LINE_CONTROL: two stop bits, parity, even parity, break, divisor access.
const STOP_BITS: u8 = 0x04;
const PARITY: u8 = 0x08;
const EVEN: u8 = 0x10;
const BREAK: u8 = 0x40;
const DIVISOR: u8 = 0x80;

// MODEM_CONTROL.
const DTR: u8 = 0x01;
const RTS: u8 = 0x02;
/// Lets the interrupt out to the machine.
const OUT2: u8 = 0x08;

// LINE_STATUS.
const RECEIVED: u8 = 0x01;
const OVERRUN: u8 = 0x02;
const PARITY_ERROR: u8 = 0x04;
const FRAMING_ERROR: u8 = 0x08;
const BREAK_SEEN: u8 = 0x10;
const FIFO_EMPTY: u8 = 0x20;
const IDLE: u8 = 0x40;

/// Bytes sent at once. One less than the FIFO holds: the kernel's synchronous console, which sends
/// one byte when it sees the FIFO empty, may do so between our look and our burst.
const BURST: usize = 15;
/// Bytes received before the terminal gets them.
const RECEIVE: usize = 256;
/// Rounds of work before others may run.
const ROUNDS: usize = 32;
/// Looks at the port until what the boot console sent has left.
const PATIENCE: usize = 100_000;
/// The port's clock: bits a second at divisor 1.
const FASTEST: u32 = 115_200;

/// What the driver needs of the port's registers.
trait Registers {
    fn read(&self, register: u16) -> u8;
    fn write(&self, register: u16, value: u8);
}

impl Registers for IoPorts {
    fn read(&self, register: u16) -> u8 {
        self.read_u8(register)
    }
    fn write(&self, register: u16, value: u8) {
        self.write_u8(register, value);
    }
}

/// The driver's task: spawn [`run`](Self::run).
#[derive(Debug)]
pub struct Runner {
    port: Port<IoPorts>,
    irq: IrqLine,
    tty: Arc<Tty>,
}

/// Sets the port up: the terminal `/dev/ttyS{number}`, and the task that serves it.
///
/// # Errors
/// `ENOMEM`: no memory for the terminal.
pub fn new(
    ports: IoPorts,
    irq: IrqLine,
    number: u32,
    termios: Termios,
    session: Arc<dyn Session>,
) -> Result<(Arc<Tty>, Runner)> {
    let tty = Tty::serial(number, termios, session)?;
    let port = Port::new(ports, Arc::clone(&tty));
    Ok((Arc::clone(&tty), Runner { port, irq, tty }))
}

impl Runner {
    /// Serves the port for good.
    pub async fn run(mut self) {
        loop {
            let events = (Events::IN | Events::PRI).bits();
            let listener = self.tty.wire_queue().listen(events, false).named("serial port");
            if self.port.serve() {
                drop(listener);
                executor::yield_now().await;
            } else {
                select(self.irq.wait(), listener).await;
            }
        }
    }
}

/// A port and the terminal behind it.
#[derive(Debug)]
struct Port<R> {
    registers: R,
    tty: Arc<Tty>,
    /// The settings and line state the port was set to.
    settings: Option<(Termios, ModemLines, bool)>,
    interrupts: u8,
    /// Bytes lost: in the port, because nobody drained it, or here, because nobody reads.
    overruns: u64,
}

impl<R: Registers> Port<R> {
    fn new(registers: R, tty: Arc<Tty>) -> Self {
        let port = Self { registers, tty, settings: None, interrupts: 0, overruns: 0 };
        // The boot console's bytes must leave before the FIFO is cleared.
        for _ in 0..PATIENCE {
            if port.registers.read(LINE_STATUS) & IDLE != 0 {
                break;
            }
            core::hint::spin_loop();
        }
        port.registers.write(INTERRUPTS, 0);
        port.registers.write(FIFO_CONTROL, FIFO_SETUP);
        port
    }

    /// Does what there is to do; `true` if there is more.
    fn serve(&mut self) -> bool {
        self.configure();
        for _ in 0..ROUNDS {
            let status = self.receive();
            if status & FIFO_EMPTY != 0 {
                self.transmit();
            }
            // Looking clears the interrupt of an empty FIFO, so the status is read after it.
            match self.registers.read(IDENTIFY) & INTERRUPT {
                MODEM => self.note_modem(),
                interrupt if interrupt & NONE_PENDING != 0 => return false,
                _ => {}
            }
        }
        true
    }

    /// Takes what arrived; returns the line's status after it.
    fn receive(&mut self) -> u8 {
        let mut bytes = [0; RECEIVE];
        let mut count = 0;
        loop {
            let status = self.registers.read(LINE_STATUS);
            if status & OVERRUN != 0 {
                self.note_overrun(1);
            }
            let error = status & (PARITY_ERROR | FRAMING_ERROR | BREAK_SEEN);
            let ends = status & RECEIVED == 0;
            if ends || error != 0 || count == RECEIVE {
                self.deliver(&bytes[..count]);
                count = 0;
            }
            if ends {
                return status;
            }
            let byte = self.registers.read(DATA);
            if error == 0 {
                bytes[count] = byte;
                count += 1;
            } else if error & BREAK_SEEN != 0 {
                self.tty.receive_error(LineError::Break);
            } else {
                self.tty.receive_error(LineError::Garbled(byte));
            }
        }
    }

    fn deliver(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let taken = self.tty.receive(bytes);
        if taken < bytes.len() {
            self.note_overrun(bytes.len() - taken);
        }
    }

    /// Tells of lost bytes, ever more rarely.
    fn note_overrun(&mut self, bytes: usize) {
        let before = self.overruns;
        self.overruns += bytes as u64;
        if before.checked_ilog2() != self.overruns.checked_ilog2() {
            log::warn!("{}: {} bytes of input lost", self.tty.name(), self.overruns);
        }
    }

    /// Fills the empty FIFO; asks to be told when it is empty again, if anything was sent.
    fn transmit(&mut self) {
        let mut bytes = [0; BURST];
        let count = self.tty.transmit(&mut bytes);
        for byte in &bytes[..count] {
            self.registers.write(DATA, *byte);
        }
        let others = ON_RECEIVED | ON_ERROR | ON_MODEM;
        self.enable(if count > 0 { others | ON_EMPTY } else { others });
    }

    fn enable(&mut self, interrupts: u8) {
        if self.interrupts != interrupts {
            self.interrupts = interrupts;
            self.registers.write(INTERRUPTS, interrupts);
        }
    }

    fn note_modem(&self) {
        let status = self.registers.read(MODEM_STATUS);
        let lines = [
            (0x10, ModemLines::CTS),
            (0x20, ModemLines::DSR),
            (0x40, ModemLines::RNG),
            (0x80, ModemLines::CAR),
        ];
        let set = lines.into_iter().filter(|(bit, _)| status & bit != 0).map(|(_, line)| line);
        self.tty.set_modem_inputs(set.collect());
    }

    /// Sets the port to the terminal's settings, if they changed.
    fn configure(&mut self) {
        let (lines, sends_break) = self.tty.line_state();
        let outputs = lines & (ModemLines::DTR | ModemLines::RTS);
        let settings = (self.tty.termios(), outputs, sends_break);
        if self.settings == Some(settings) {
            return;
        }
        let (termios, ..) = settings;
        self.settings = Some(settings);
        let divisor = divisor(termios.output_speed).to_le_bytes();
        let frame = frame(&termios) | if sends_break { BREAK } else { 0 };
        self.registers.write(LINE_CONTROL, frame | DIVISOR);
        self.registers.write(DIVISOR_LOW, divisor[0]);
        self.registers.write(DIVISOR_HIGH, divisor[1]);
        self.registers.write(LINE_CONTROL, frame);
        let mut modem = OUT2;
        if outputs.contains(ModemLines::DTR) && termios.output_speed > 0 {
            modem |= DTR;
        }
        if outputs.contains(ModemLines::RTS) {
            modem |= RTS;
        }
        self.registers.write(MODEM_CONTROL, modem);
        self.note_modem();
        // Divisor access hides the interrupts register on some clones: write it again.
        self.registers.write(INTERRUPTS, self.interrupts);
    }
}

/// The divisor of the port's clock for a speed; speed 0 keeps the fastest.
fn divisor(speed: u32) -> u16 {
    let divisor = FASTEST.checked_div(speed).unwrap_or(1).max(1);
    u16::try_from(divisor).unwrap_or(u16::MAX)
}

/// Data bits, stop bits and parity as LINE_CONTROL has them.
fn frame(termios: &Termios) -> u8 {
    let modes = termios.control_modes;
    let size = match (modes & ControlFlags::CSIZE).bits() >> 4 {
        0 => 0,
        1 => 1,
        2 => 2,
        _ => 3,
    };
    let parity = match (modes.contains(ControlFlags::PARENB), modes.contains(ControlFlags::PARODD))
    {
        (false, _) => 0,
        (true, true) => PARITY,
        (true, false) => PARITY | EVEN,
    };
    size | parity | if modes.contains(ControlFlags::CSTOPB) { STOP_BITS } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::{
        BREAK_SEEN, DATA, DIVISOR, FIFO_EMPTY, IDENTIFY, IDLE, INTERRUPTS, LINE_CONTROL,
        LINE_STATUS, NONE_PENDING, ON_EMPTY, ON_RECEIVED, Port, RECEIVED, Registers, divisor,
    };
    use crate::tty::{NoSession, Open, OpenAs, OutputFlags, ReadTimer, Termios, Tty, Uncontrolled};
    use core::cell::RefCell;
    use framework::{Sink, Source};
    use std::{collections::VecDeque, sync::Arc, vec, vec::Vec};

    /// A 16550 whose other end is a test.
    #[derive(Default)]
    struct Model {
        state: RefCell<State>,
    }

    #[derive(Default)]
    struct State {
        line_control: u8,
        interrupts: u8,
        to_receive: VecDeque<(u8, u8)>,
        fifo: usize,
        sent: Vec<u8>,
        /// Whether the FIFO drains by itself.
        stuck: bool,
    }

    impl Registers for Model {
        fn read(&self, register: u16) -> u8 {
            let mut state = self.state.borrow_mut();
            match register {
                DATA => state.to_receive.pop_front().map_or(0, |(byte, _)| byte),
                LINE_STATUS => {
                    let received =
                        state.to_receive.front().map_or(0, |(_, error)| RECEIVED | error);
                    if !state.stuck {
                        state.fifo = 0;
                    }
                    received | if state.fifo == 0 { FIFO_EMPTY | IDLE } else { 0 }
                }
                IDENTIFY => {
                    let received =
                        !state.to_receive.is_empty() && state.interrupts & ON_RECEIVED != 0;
                    let empty = !state.stuck && state.interrupts & ON_EMPTY != 0;
                    if received || empty { ON_EMPTY } else { NONE_PENDING }
                }
                _ => 0,
            }
        }

        fn write(&self, register: u16, value: u8) {
            let mut state = self.state.borrow_mut();
            match register {
                LINE_CONTROL => state.line_control = value,
                DATA if state.line_control & DIVISOR == 0 => {
                    state.fifo += 1;
                    assert!(state.fifo <= 16, "the FIFO overflows");
                    state.sent.push(value);
                }
                INTERRUPTS if state.line_control & DIVISOR == 0 => state.interrupts = value,
                _ => {}
            }
        }
    }

    fn port(termios: Termios) -> (Port<Model>, Open) {
        let tty = Tty::serial(0, termios, Arc::new(NoSession)).unwrap();
        let open = tty.open(OpenAs::Anyone).unwrap();
        (Port::new(Model::default(), tty), open)
    }

    fn raw() -> Termios {
        Termios {
            input: crate::tty::InputFlags::empty(),
            local: crate::tty::LocalFlags::empty(),
            output: OutputFlags::empty(),
            ..Termios::default()
        }
    }

    fn read(open: &Open) -> Vec<u8> {
        let mut buffer = vec![0; 8192];
        let mut sink = Sink::kernel(&mut buffer);
        let count = open.read(&Uncontrolled, &mut sink, &mut ReadTimer::default()).unwrap_or(0);
        buffer.truncate(count);
        buffer
    }

    #[test]
    fn all_output_arrives_in_order() {
        let (mut port, open) = port(raw());
        let text: Vec<u8> = (0..5000u32).map(|number| number.to_le_bytes()[0]).collect();
        let mut source = Source::kernel(&text);
        assert_eq!(open.write(&Uncontrolled, &mut source), Ok(5000));
        while port.serve() {}
        assert_eq!(port.registers.state.borrow().sent, text);
        assert_eq!(port.registers.state.borrow().interrupts & ON_EMPTY, 0);
    }

    #[test]
    fn a_stuck_line_holds_output_back() {
        let (mut port, open) = port(Termios::default());
        port.registers.state.borrow_mut().stuck = true;
        let mut source = Source::kernel(&[b'x'; 100_000]);
        assert!(open.write(&Uncontrolled, &mut source).is_err());
        let taken = source.done();
        while port.serve() {}
        assert!(port.registers.state.borrow().sent.len() <= 16);
        port.registers.state.borrow_mut().stuck = false;
        while open.write(&Uncontrolled, &mut source).is_err() {
            while port.serve() {}
        }
        while port.serve() {}
        assert!(taken < 20_000);
        assert_eq!(port.registers.state.borrow().sent.len(), 100_000);
    }

    #[test]
    fn a_burst_of_input_is_kept() {
        let (mut port, open) = port(raw());
        let text: Vec<u8> = (0..30_000u32).map(|number| number.to_le_bytes()[0]).collect();
        port.registers.state.borrow_mut().to_receive = text.iter().map(|byte| (*byte, 0)).collect();
        while port.serve() {}
        let mut all = Vec::new();
        loop {
            let some = read(&open);
            if some.is_empty() {
                break;
            }
            all.extend(some);
        }
        assert!(all == text, "30000 bytes are read as they came");
        assert_eq!(port.overruns, 0);
    }

    #[test]
    fn lost_input_is_counted() {
        let (mut port, open) = port(raw());
        let flood = 100_000;
        port.registers.state.borrow_mut().to_receive = (0..flood).map(|_| (b'x', 0)).collect();
        while port.serve() {}
        let mut kept = 0;
        loop {
            let count = read(&open).len();
            if count == 0 {
                break;
            }
            kept += count;
        }
        assert!(kept >= 65536);
        assert_eq!(port.overruns, (flood - kept) as u64);
    }

    #[test]
    fn a_break_interrupts() {
        let (mut port, open) = port(Termios::default());
        let input = [(b'a', 0), (0, BREAK_SEEN), (b'b', 0), (b'\n', 0)];
        port.registers.state.borrow_mut().to_receive = input.into();
        while port.serve() {}
        assert_eq!(read(&open), b"a\0b\n");
    }

    #[test]
    fn speeds_have_divisors() {
        assert_eq!([115_200, 38_400, 9600, 50, 0].map(divisor), [1, 3, 12, 2304, 1]);
    }
}
