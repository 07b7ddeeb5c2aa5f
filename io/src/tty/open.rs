//! One opening of a terminal: what a program's file descriptor refers to.

use abi::{Errno, Events, Result};
use alloc::sync::Arc;
use core::time::Duration;
use executor::wait::WaitQueue;
use framework::{Instant, Sink, Source, time};

use super::{
    line::Wire,
    session::{self, Caller, Signal},
    terminal::{Flow, Flush, ModemLines, OpenAs, SetWhen, State, Tty, with_aliases},
    termios::{Control, Termios, WindowSize},
};

/// The unit of `VTIME`.
const TENTH: Duration = Duration::from_millis(100);

/// An opening of a terminal. Dropping it closes it.
#[derive(Debug)]
pub struct Open {
    tty: Arc<Tty>,
    /// The terminal's hang-ups when it was opened.
    hangups: u32,
    who: OpenAs,
}

/// What one read call keeps between its attempts: whether job control agreed, and when it gives up
/// (`VTIME`). Make a new one for every call.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadTimer {
    allowed: bool,
    deadline: Option<Instant>,
    /// Bytes that had come when the deadline was set.
    seen: usize,
    /// An attempt found nothing to read.
    waited: bool,
}

impl ReadTimer {
    /// When to try again even if nothing comes. Valid after `EAGAIN`.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Whether the wait is over, with `done` bytes read so far; else sets the deadline.
    fn is_over(&mut self, state: &State, done: usize) -> bool {
        let termios = &state.line.termios;
        if state.line.is_canonical() {
            self.deadline = None;
            return false;
        }
        let span = TENTH * u32::from(termios.get(Control::Time));
        let between_bytes = termios.get(Control::Min) > 0;
        if between_bytes && (done == 0 || span.is_zero()) {
            self.deadline = None;
            return false;
        }
        if span.is_zero() {
            return true;
        }
        let now = time::now();
        match self.deadline {
            Some(deadline) if !between_bytes || self.seen == done => now >= deadline,
            _ => {
                self.deadline = Some(now.saturating_add(span));
                self.seen = done;
                false
            }
        }
    }
}

impl Open {
    pub(super) fn new(tty: Arc<Tty>, hangups: u32, who: OpenAs) -> Self {
        Self { tty, hangups, who }
    }

    /// The terminal.
    pub fn tty(&self) -> &Arc<Tty> {
        &self.tty
    }

    /// Where to wait after `EAGAIN`, and for [`poll`](Self::poll).
    pub fn queue(&self) -> &WaitQueue {
        self.tty.queue()
    }

    /// Reads: a line or what fits of it; in raw mode what there is, once `VMIN` or `VTIME` agree.
    /// Returns all that the sink has got, 0 at an end of file and after a hang-up.
    ///
    /// # Errors
    /// - `EAGAIN`: wait for `IN` on [`queue`](Self::queue), at most until `timer.deadline()`, and
    ///   call again with the same sink and timer. A call that may not wait, or is interrupted, has
    ///   read `sink.done()` bytes if that is not 0.
    /// - `EFAULT`: the sink stopped; call again, or give up like that.
    /// - `EIO`, `ERESTARTSYS`: the caller is in the background.
    /// - `EIO`: the master went while the call waited.
    ///
    /// Source: read(2), termios(3)
    pub fn read(
        &self,
        caller: &dyn Caller,
        sink: &mut Sink<'_>,
        timer: &mut ReadTimer,
    ) -> Result<usize> {
        if self.is_hung_up() {
            return self.read_after_hangup(sink, timer);
        }
        if !timer.allowed {
            self.check_foreground(caller, Signal::BackgroundRead)?;
            timer.allowed = true;
        }
        self.tty.with_state(|state| {
            while sink.remaining() > 0 {
                if !state.line.is_readable(1) {
                    if timer.is_over(state, sink.done()) {
                        break;
                    }
                    if state.hangups != self.hangups {
                        return self.read_after_hangup(sink, timer);
                    }
                    timer.waited = true;
                    return Err(Errno::EAGAIN);
                }
                state.line.read(sink)?;
                let minimum = usize::from(state.line.termios.get(Control::Min));
                if state.line.is_canonical() || sink.done() >= minimum {
                    break;
                }
            }
            Ok(sink.done())
        })
    }

    /// The end of the file; but who waited for a master that goes is told.
    fn read_after_hangup(&self, sink: &Sink<'_>, timer: &ReadTimer) -> Result<usize> {
        let told = timer.waited && sink.done() == 0 && self.tty.pty_number().is_some();
        if told { Err(Errno::EIO) } else { Ok(sink.done()) }
    }

    /// Writes, with output processing. Returns when all is taken.
    ///
    /// # Errors
    /// - `EAGAIN`: wait for `OUT` on [`queue`](Self::queue) and call again with the same source. A
    ///   call that may not wait, or is interrupted, has written `source.done()` bytes if that is
    ///   not 0.
    /// - `EFAULT`: the source stopped; call again, or give up like that.
    /// - `EIO`: the terminal hung up; or an orphaned caller in the background, under `TOSTOP`.
    /// - `ERESTARTSYS`: the caller is in the background, under `TOSTOP`.
    ///
    /// Source: write(2), termios(3)
    pub fn write(&self, caller: &dyn Caller, source: &mut Source<'_>) -> Result<usize> {
        let mut checked = source.done() > 0;
        loop {
            let result = self.tty.with_state(|state| {
                if state.hangups != self.hangups {
                    return Err(Errno::EIO);
                }
                if state.line.termios.has_local(super::LocalFlags::TOSTOP) && !checked {
                    return Ok(None);
                }
                state.line.write(source).map(|()| Some(source.done()))
            })?;
            match result {
                Some(done) => return Ok(done),
                None => self.check_foreground(caller, Signal::BackgroundWrite)?,
            }
            checked = true;
        }
    }

    /// What could be done without waiting.
    ///
    /// Source: poll(2)
    pub fn poll(&self) -> Events {
        self.tty.with_state(|state| {
            if state.hangups != self.hangups {
                return with_aliases(Events::IN | Events::OUT) | Events::ERR | Events::HUP;
            }
            let termios = &state.line.termios;
            let minimum = match (termios.get(Control::Time), termios.get(Control::Min)) {
                (0, minimum) => usize::from(minimum).max(1),
                _ => 1,
            };
            let mut events = Events::empty();
            if state.line.is_readable(minimum) {
                events |= Events::IN;
            }
            if state.line.is_writable() {
                events |= Events::OUT;
            }
            with_aliases(events)
        })
    }

    /// Whether the terminal hung up since it was opened.
    pub fn is_hung_up(&self) -> bool {
        self.tty.with_state(|state| state.hangups != self.hangups)
    }

    // --- ioctl_tty(2). After a hang-up all of these are EIO. ---

    /// The settings (`TCGETS`).
    pub fn termios(&self) -> Result<Termios> {
        self.check_alive()?;
        Ok(self.tty.termios())
    }

    /// Changes the settings (`TCSETS`, `TCSETSW`, `TCSETSF`).
    ///
    /// # Errors
    /// - `EAGAIN`: output must be sent first; wait for `OUT`.
    /// - `EIO`, `ERESTARTSYS`: the caller is in the background.
    pub fn set_termios(&self, caller: &dyn Caller, when: SetWhen, termios: &Termios) -> Result<()> {
        self.check_change(caller)?;
        self.tty.set_termios(when, termios)
    }

    /// Asks job control before a change that is not one of the line's own (`TIOCSPGRP`).
    ///
    /// # Errors
    /// - `EIO`, `ERESTARTSYS`: the caller is in the background.
    pub fn check_may_change(&self, caller: &dyn Caller) -> Result<()> {
        self.check_change(caller)
    }

    /// The window's size (`TIOCGWINSZ`).
    pub fn window_size(&self) -> Result<WindowSize> {
        self.check_alive()?;
        Ok(self.tty.window_size())
    }

    /// Changes the window's size (`TIOCSWINSZ`).
    pub fn set_window_size(&self, size: WindowSize) -> Result<()> {
        self.check_alive()?;
        self.tty.set_window_size(size);
        Ok(())
    }

    /// Drops unread input or unsent output (`TCFLSH`).
    pub fn flush(&self, caller: &dyn Caller, what: Flush) -> Result<()> {
        self.check_change(caller)?;
        self.tty.flush(what);
        Ok(())
    }

    /// Stops or starts output or input (`TCXONC`).
    pub fn control_flow(&self, caller: &dyn Caller, flow: Flow) -> Result<()> {
        self.check_change(caller)?;
        self.tty.control_flow(flow);
        Ok(())
    }

    /// Succeeds once all output is sent (`TCSBRK` with an argument: tcdrain(3)).
    ///
    /// # Errors
    /// `EAGAIN`: not yet; wait for `OUT`.
    pub fn drain(&self, caller: &dyn Caller) -> Result<()> {
        self.check_change(caller)?;
        let drained = self.tty.with_line(|line| line.is_drained());
        if drained { Ok(()) } else { Err(Errno::EAGAIN) }
    }

    /// Begins or ends a break (`TIOCSBRK`, `TIOCCBRK`); tcsendbreak(3) is drain, begin, wait, end.
    /// Nothing happens on a pseudo-terminal.
    pub fn set_break(&self, caller: &dyn Caller, sends: bool) -> Result<()> {
        self.check_change(caller)?;
        self.tty.with_state(|state| {
            if state.line.wire == Wire::Serial {
                state.sends_break = sends;
                state.line.effects.wire |= Events::PRI;
            }
        });
        Ok(())
    }

    /// Bytes a read could get now (`FIONREAD`).
    pub fn readable_bytes(&self) -> Result<usize> {
        self.check_alive()?;
        Ok(self.tty.with_line(|line| line.readable_bytes()))
    }

    /// Bytes of output not sent yet (`TIOCOUTQ`).
    pub fn unsent_bytes(&self) -> Result<usize> {
        self.check_alive()?;
        Ok(self.tty.with_line(|line| match line.wire {
            Wire::Serial => line.output.len(),
            Wire::Master => 0,
        }))
    }

    /// Types a byte for the program (`TIOCSTI`); the kernel asks first whether the caller may.
    pub fn inject(&self, byte: u8) -> Result<()> {
        self.check_alive()?;
        self.tty.with_line(|line| line.receive(&[byte]));
        Ok(())
    }

    /// Refuses further openings, or no longer (`TIOCEXCL`, `TIOCNXCL`).
    pub fn set_exclusive(&self, exclusive: bool) -> Result<()> {
        self.check_alive()?;
        self.tty.with_state(|state| state.exclusive = exclusive);
        Ok(())
    }

    /// Whether further openings are refused (`TIOCGEXCL`).
    pub fn is_exclusive(&self) -> Result<bool> {
        self.check_alive()?;
        Ok(self.tty.with_state(|state| state.exclusive))
    }

    /// The modem lines (`TIOCMGET`).
    ///
    /// # Errors
    /// `ENOTTY`: a pseudo-terminal has none.
    pub fn modem_lines(&self) -> Result<ModemLines> {
        self.check_serial()?;
        Ok(self.tty.line_state().0)
    }

    /// Sets and clears modem outputs (`TIOCMSET`, `TIOCMBIS`, `TIOCMBIC`).
    ///
    /// # Errors
    /// `ENOTTY`: a pseudo-terminal has none.
    pub fn change_modem_lines(&self, set: ModemLines, clear: ModemLines) -> Result<()> {
        self.check_serial()?;
        let outputs = ModemLines::DTR | ModemLines::RTS;
        self.tty.with_state(|state| {
            state.modem = (state.modem - (clear & outputs)) | (set & outputs);
            state.line.effects.wire |= Events::PRI;
        });
        Ok(())
    }

    fn check_serial(&self) -> Result<()> {
        self.check_alive()?;
        match self.tty.pty_number() {
            Some(_) => Err(Errno::ENOTTY),
            None => Ok(()),
        }
    }

    fn check_alive(&self) -> Result<()> {
        if self.is_hung_up() { Err(Errno::EIO) } else { Ok(()) }
    }

    fn check_change(&self, caller: &dyn Caller) -> Result<()> {
        self.check_alive()?;
        session::check_foreground(&self.tty, caller, Signal::BackgroundWrite)
    }

    fn check_foreground(&self, caller: &dyn Caller, signal: Signal) -> Result<()> {
        if self.who == OpenAs::Console {
            return Ok(());
        }
        session::check_foreground(&self.tty, caller, signal)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.tty.close(false);
    }
}
