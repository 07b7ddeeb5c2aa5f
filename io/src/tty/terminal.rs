//! A terminal as the system shares it: its state, who waits for it, its session.

use abi::{Errno, Events, Result};
use alloc::{format, string::String, sync::Arc};
use core::fmt;
use executor::wait::WaitQueue;
use spin::Mutex;

use super::{
    line::{Effects, Line, LineError, Signals, Wire},
    open::Open,
    pty::Numbers,
    session::{Session, Signal},
    termios::{Control, Termios, WindowSize},
};

/// Bytes a serial line holds back for a reader that does not keep up.
const SERIAL_PENDING: usize = 65536;
/// Bytes a pseudo-terminal holds back.
const PTY_PENDING: usize = 16384;

/// What happens to a terminal's settings, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetWhen {
    /// At once (`TCSETS`).
    Now,
    /// When output is sent (`TCSETSW`).
    Drain,
    /// When output is sent, and unread input is dropped (`TCSETSF`).
    Flush,
}

/// What to drop (`TCFLSH`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// Input that is not read.
    Input,
    /// Output that is not sent.
    Output,
    /// Both.
    Both,
}

/// What to stop or start (`TCXONC`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Stop output.
    StopOutput,
    /// Start output.
    StartOutput,
    /// Ask the other side to stop.
    StopInput,
    /// Ask the other side to go on.
    StartInput,
}

/// Who opens a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenAs {
    /// Anyone; refused while someone holds it exclusively.
    Anyone,
    /// One with `CAP_SYS_ADMIN`.
    Admin,
    /// The system console (`/dev/console`): job control does not apply to this opening.
    Console,
}

bitflags::bitflags! {
    /// Modem lines of a serial port, as `TIOCMGET` names them.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct ModemLines: u32 {
        /// Data terminal ready, an output.
        const DTR = 0x002;
        /// Request to send, an output.
        const RTS = 0x004;
        /// Clear to send.
        const CTS = 0x020;
        /// Carrier detect.
        const CAR = 0x040;
        /// Ring.
        const RNG = 0x080;
        /// Data set ready.
        const DSR = 0x100;
    }
}

/// Which terminal it is.
#[derive(Debug)]
pub(super) enum Identity {
    /// `/dev/ttyS{port}`.
    Serial(u32),
    /// `/dev/pts/{number}`; the number is given back when both sides are closed.
    Pty(u32, Arc<Numbers>),
}

/// A terminal.
pub struct Tty {
    state: Mutex<State>,
    /// Programs with the terminal open wait here.
    queue: WaitQueue,
    /// The device task, or the programs behind the master, wait here.
    wire_queue: WaitQueue,
    session: Arc<dyn Session>,
    identity: Identity,
}

/// What the lock guards.
pub(super) struct State {
    pub(super) line: Line,
    /// Openings that are not closed.
    pub(super) opens: usize,
    /// Hang-ups so far: an [`Open`] from before the last one is dead.
    pub(super) hangups: u32,
    /// Nobody else may open it (`TIOCEXCL`).
    pub(super) exclusive: bool,
    /// A pseudo-terminal that is not unlocked yet.
    pub(super) locked: bool,
    /// All openings were closed: the master sees a hang-up until there is a new one.
    pub(super) abandoned: bool,
    /// The master is closed.
    pub(super) wire_gone: bool,
    /// Modem lines, and whether a break is being sent: the device task follows them.
    pub(super) modem: ModemLines,
    pub(super) sends_break: bool,
}

impl Tty {
    /// A serial terminal, `/dev/ttyS{port}`, for a device task that calls
    /// [`receive`](Self::receive) and [`transmit`](Self::transmit).
    ///
    /// # Errors
    /// `ENOMEM`: no memory for its buffers.
    pub fn serial(port: u32, termios: Termios, session: Arc<dyn Session>) -> Result<Arc<Self>> {
        let line = Line::new(Wire::Serial, termios, SERIAL_PENDING)?;
        Ok(Arc::new(Self::new(line, Identity::Serial(port), session)))
    }

    /// A locked pseudo-terminal.
    pub(super) fn pty(
        number: u32,
        numbers: Arc<Numbers>,
        session: Arc<dyn Session>,
    ) -> Result<Arc<Self>> {
        let line = Line::new(Wire::Master, Termios::of_pty(), PTY_PENDING)?;
        let tty = Self::new(line, Identity::Pty(number, numbers), session);
        tty.state.lock().locked = true;
        Ok(Arc::new(tty))
    }

    fn new(line: Line, identity: Identity, session: Arc<dyn Session>) -> Self {
        let state = State {
            line,
            opens: 0,
            hangups: 0,
            exclusive: false,
            locked: false,
            abandoned: false,
            wire_gone: false,
            modem: ModemLines::empty(),
            sends_break: false,
        };
        let (queue, wire_queue) = (WaitQueue::new(), WaitQueue::new());
        Self { state: Mutex::new(state), queue, wire_queue, session, identity }
    }

    /// Opens the terminal.
    ///
    /// # Errors
    /// - `EIO`: a pseudo-terminal that is locked, or whose master is closed.
    /// - `EBUSY`: it is held exclusively.
    pub fn open(self: &Arc<Self>, who: OpenAs) -> Result<Open> {
        let mut state = self.state.lock();
        if state.locked || state.wire_gone {
            return Err(Errno::EIO);
        }
        if state.exclusive && who == OpenAs::Anyone {
            return Err(Errno::EBUSY);
        }
        state.opens += 1;
        state.abandoned = false;
        if state.opens == 1 {
            state.modem |= ModemLines::DTR | ModemLines::RTS;
            state.line.effects.wire |= Events::PRI;
        }
        let hangups = state.hangups;
        drop(state);
        Ok(Open::new(Arc::clone(self), hangups, who))
    }

    /// The name below `/dev`.
    pub fn name(&self) -> String {
        match self.identity {
            Identity::Serial(port) => format!("ttyS{port}"),
            Identity::Pty(number, _) => format!("pts/{number}"),
        }
    }

    /// Major and minor device number.
    pub fn device(&self) -> (u32, u32) {
        match self.identity {
            Identity::Serial(port) => (4, 64 + port),
            Identity::Pty(number, _) => (136 + number / 256, number % 256),
        }
    }

    /// The session value the kernel made for this terminal.
    pub fn session(&self) -> &Arc<dyn Session> {
        &self.session
    }

    /// Where programs wait that have the terminal open.
    pub fn queue(&self) -> &WaitQueue {
        &self.queue
    }

    /// Where the device task or the master's programs wait.
    pub fn wire_queue(&self) -> &WaitQueue {
        &self.wire_queue
    }

    // --- The device task's side ---

    /// Takes bytes that arrived on the line; returns how many. The rest would be an overrun.
    pub fn receive(&self, bytes: &[u8]) -> usize {
        self.with_line(|line| line.receive(bytes))
    }

    /// Takes a break condition or a garbled byte.
    pub fn receive_error(&self, error: LineError) {
        self.with_line(|line| line.receive_error(error));
    }

    /// Gives output for the line, 0 if there is none or it is stopped; then wait for `IN` on
    /// [`wire_queue`](Self::wire_queue).
    pub fn transmit(&self, to: &mut [u8]) -> usize {
        self.with_line(|line| line.transmit(to))
    }

    /// What the line should be: modem outputs, and whether a break is being sent. Changes, also
    /// those of the settings, are `PRI` on [`wire_queue`](Self::wire_queue).
    pub fn line_state(&self) -> (ModemLines, bool) {
        let state = self.state.lock();
        (state.modem, state.sends_break)
    }

    /// Notes what the modem inputs are.
    pub fn set_modem_inputs(&self, inputs: ModemLines) {
        let outputs = ModemLines::DTR | ModemLines::RTS;
        let mut state = self.state.lock();
        state.modem = (state.modem & outputs) | (inputs - outputs);
    }

    /// Takes everything that is not sent and gives it to `send` at once, stopped or not: for the
    /// last words before the machine stops. What programs write meanwhile is not waited for.
    pub fn drain_to(&self, mut send: impl FnMut(&[u8])) {
        let mut bytes = [0; 64];
        let mut left = self.with_line(|line| line.output.len());
        while left > 0 {
            let count = self.with_line(|line| line.output.take(&mut bytes));
            if count == 0 {
                return;
            }
            send(&bytes[..count]);
            left = left.saturating_sub(count);
        }
    }

    // --- Both sides ---

    /// The settings.
    pub fn termios(&self) -> Termios {
        self.state.lock().line.termios
    }

    /// Changes the settings; no question of job control.
    ///
    /// # Errors
    /// `EAGAIN`: output must be sent first; wait for `OUT`.
    pub fn set_termios(&self, when: SetWhen, termios: &Termios) -> Result<()> {
        self.with_state(|state| {
            let line = &mut state.line;
            if when != SetWhen::Now && !line.is_drained() {
                return Err(Errno::EAGAIN);
            }
            if when == SetWhen::Flush {
                line.flush_input();
            }
            line.set_termios(*termios);
            line.effects.wire |= Events::PRI;
            Ok(())
        })
    }

    /// The window's size.
    pub fn window_size(&self) -> WindowSize {
        self.state.lock().line.window
    }

    /// Changes the window's size; the foreground group gets `SIGWINCH` if it differs.
    pub fn set_window_size(&self, size: WindowSize) {
        let changed = self.with_line(|line| core::mem::replace(&mut line.window, size) != size);
        if changed {
            self.session.signal_foreground(Signal::WindowChange);
        }
    }

    /// Ends all openings: their reads find the end of file, all else `EIO`. The session gets
    /// `SIGHUP` and loses the terminal.
    pub fn hang_up(&self) {
        self.with_state(|state| {
            state.hangups = state.hangups.wrapping_add(1);
            state.exclusive = false;
            let line = &mut state.line;
            line.echo.clear();
            line.flush_output();
            line.flush_input();
            if line.wire == Wire::Master {
                let termios = Termios::of_pty();
                line.set_termios(termios);
            }
            line.effects.terminal |= Events::IN | Events::OUT | Events::ERR | Events::HUP;
        });
        self.session.hang_up();
    }

    // --- For the openings and the master ---

    /// Runs `step` on the state, then carries out the effects.
    pub(super) fn with_state<T>(&self, step: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock();
        let value = step(&mut state);
        let effects = state.line.take_effects();
        drop(state);
        self.carry_out(effects);
        value
    }

    pub(super) fn with_line<T>(&self, step: impl FnOnce(&mut Line) -> T) -> T {
        self.with_state(|state| step(&mut state.line))
    }

    /// Drops unread input or unsent output.
    pub(super) fn flush(&self, what: Flush) {
        self.with_line(|line| {
            if what != Flush::Output {
                line.flush_input();
            }
            if what != Flush::Input {
                line.flush_output();
            }
        });
    }

    pub(super) fn control_flow(&self, flow: Flow) {
        self.with_line(|line| match flow {
            Flow::StopOutput => line.stop_by_call(),
            Flow::StartOutput => line.start_by_call(),
            Flow::StopInput => line.send_urgent(line.termios.get(Control::Stop)),
            Flow::StartInput => line.send_urgent(line.termios.get(Control::Start)),
        });
    }

    /// An opening, or the master if `wire_gone`, is closed.
    pub(super) fn close(&self, wire: bool) {
        let released = self.with_state(|state| {
            if wire {
                state.wire_gone = true;
            } else {
                state.opens -= 1;
                state.exclusive &= state.opens > 0;
                state.abandoned = state.opens == 0;
            }
            if state.abandoned {
                state.line.effects.wire |= Events::IN | Events::OUT | Events::HUP;
            }
            state.wire_gone && state.opens == 0
        });
        if released && let Identity::Pty(number, numbers) = &self.identity {
            numbers.release(*number);
        }
    }

    /// The number of a pseudo-terminal.
    pub(super) fn pty_number(&self) -> Option<u32> {
        match self.identity {
            Identity::Serial(_) => None,
            Identity::Pty(number, _) => Some(number),
        }
    }

    fn carry_out(&self, effects: Effects) {
        let signals = [
            (Signals::INTERRUPT, Signal::Interrupt),
            (Signals::QUIT, Signal::Quit),
            (Signals::STOP, Signal::Stop),
        ];
        for (bit, signal) in signals {
            if effects.signals.contains(bit) {
                self.session.signal_foreground(signal);
            }
        }
        if !effects.terminal.is_empty() {
            self.queue.wake_all(with_aliases(effects.terminal).bits());
        }
        if !effects.wire.is_empty() {
            self.wire_queue.wake_all(with_aliases(effects.wire).bits());
        }
    }
}

impl fmt::Debug for Tty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tty").field(&self.identity).finish()
    }
}

/// Adds the other names of the same events.
pub(super) fn with_aliases(events: Events) -> Events {
    let mut all = events;
    if events.contains(Events::IN) {
        all |= Events::RDNORM;
    }
    if events.contains(Events::OUT) {
        all |= Events::WRNORM;
    }
    all
}
