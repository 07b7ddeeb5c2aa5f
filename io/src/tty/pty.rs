//! Pseudo-terminals: a terminal whose wire is another program's file, the master.

use abi::{Errno, Events, Result};
use alloc::{sync::Arc, vec::Vec};
use executor::wait::WaitQueue;
use framework::{Sink, Source};
use spin::Mutex;

use super::{
    buffer,
    open::Open,
    session::{Session, Signal},
    terminal::{Flow, Flush, OpenAs, Tty, with_aliases},
    termios::Control,
};

/// The most pseudo-terminals of a table (`kernel.pty.max`).
pub const MAX: usize = 4096;

/// Bytes copied at once between a program and the wire.
const CHUNK: usize = 512;

/// The pseudo-terminals of a devpts instance: `open` is its `ptmx`.
#[derive(Debug, Default)]
pub struct PtyTable {
    numbers: Arc<Numbers>,
}

/// Which numbers are taken, and the terminals that can still be opened by number.
#[derive(Default)]
pub(super) struct Numbers {
    slots: Mutex<Vec<Slot>>,
}

enum Slot {
    Free,
    /// Both sides can be opened.
    Open(Arc<Tty>),
    /// The number is taken, but there is no such name: being made, or the master is closed.
    Hidden,
}

impl core::fmt::Debug for Numbers {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Numbers")
    }
}

impl PtyTable {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a pair with the lowest free number; its terminal is locked. `session` makes the
    /// terminal's session from the number.
    ///
    /// # Errors
    /// - `ENOSPC`: there are [`MAX`] already.
    /// - `ENOMEM`: no memory.
    pub fn open(&self, session: impl FnOnce(u32) -> Arc<dyn Session>) -> Result<Master> {
        let number = self.numbers.take()?;
        match Tty::pty(number, Arc::clone(&self.numbers), session(number)) {
            Ok(tty) => {
                self.numbers.set(number, Slot::Open(Arc::clone(&tty)));
                Ok(Master { tty, number, numbers: Arc::clone(&self.numbers) })
            }
            Err(error) => {
                self.numbers.release(number);
                Err(error)
            }
        }
    }

    /// The terminal `/dev/pts/{number}`; `None` once its master is closed.
    pub fn get(&self, number: u32) -> Option<Arc<Tty>> {
        match self.numbers.slots.lock().get(number as usize)? {
            Slot::Open(tty) => Some(Arc::clone(tty)),
            Slot::Free | Slot::Hidden => None,
        }
    }

    /// The first number from `from` on whose terminal can be opened: a directory listing's step.
    pub fn next(&self, from: u32) -> Option<u32> {
        let slots = self.numbers.slots.lock();
        let index = (from as usize..slots.len())
            .find(|index| matches!(slots.get(*index), Some(Slot::Open(_))))?;
        u32::try_from(index).ok()
    }
}

impl Numbers {
    fn take(&self) -> Result<u32> {
        let mut slots = self.slots.lock();
        let free = slots.iter().position(|slot| matches!(slot, Slot::Free));
        let index = match free {
            Some(index) => index,
            None if slots.len() == MAX => return Err(Errno::ENOSPC),
            None => {
                slots.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
                slots.push(Slot::Free);
                slots.len() - 1
            }
        };
        slots[index] = Slot::Hidden;
        u32::try_from(index).map_err(|_| Errno::ENOSPC)
    }

    fn set(&self, number: u32, slot: Slot) {
        let old = match self.slots.lock().get_mut(number as usize) {
            Some(place) => core::mem::replace(place, slot),
            None => return,
        };
        drop(old); // Not under the lock: it may be the terminal's last reference.
    }

    pub(super) fn release(&self, number: u32) {
        self.set(number, Slot::Free);
    }
}

/// The master side. Dropping it closes it, which hangs the terminal up.
#[derive(Debug)]
pub struct Master {
    tty: Arc<Tty>,
    number: u32,
    numbers: Arc<Numbers>,
}

impl Master {
    /// The terminal; its settings and window size are the master's too.
    pub fn tty(&self) -> &Arc<Tty> {
        &self.tty
    }

    /// The terminal's number (`TIOCGPTN`).
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Where to wait after `EAGAIN`, and for [`poll`](Self::poll).
    pub fn queue(&self) -> &WaitQueue {
        self.tty.wire_queue()
    }

    /// Reads what programs wrote and what was echoed. In packet mode the first byte tells what it
    /// is, and status comes alone.
    ///
    /// # Errors
    /// - `EAGAIN`: nothing there; wait for `IN`.
    /// - `EIO`: nothing there, and the terminal's last opening was closed.
    /// - `EFAULT`: the sink stopped.
    pub fn read(&self, sink: &mut Sink<'_>) -> Result<usize> {
        self.tty.with_state(|state| {
            if sink.remaining() == 0 {
                return Ok(sink.done());
            }
            let line = &mut state.line;
            if line.packet.is_pending() && sink.done() == 0 {
                sink.write(&[line.packet.take()])?;
                return Ok(sink.done());
            }
            if line.output.is_empty() {
                // A call that goes on after a fault has what it needs.
                return match (sink.done(), state.abandoned) {
                    (0, true) => Err(Errno::EIO),
                    (0, false) => Err(Errno::EAGAIN),
                    (done, _) => Ok(done),
                };
            }
            if line.packet.is_enabled() && sink.done() == 0 {
                sink.write(&[0])?;
            }
            let mut result = Ok(0);
            for part in [line.output.slices().0.len(), line.output.slices().1.len()] {
                let count = part.min(sink.remaining());
                let before = sink.done();
                result = sink.write(&line.output.slices().0[..count]);
                line.output.consume(sink.done() - before);
                if result.is_err() || count < part {
                    break;
                }
            }
            line.output_left();
            result?;
            Ok(sink.done())
        })
    }

    /// Writes what is typed. Returns when all is taken.
    ///
    /// # Errors
    /// - `EAGAIN`: the terminal's reader does not keep up; wait for `OUT`. `source.done()` bytes
    ///   are written.
    /// - `EFAULT`: the source stopped.
    pub fn write(&self, source: &mut Source<'_>) -> Result<usize> {
        self.tty.with_line(|line| {
            let mut chunk = [0; CHUNK];
            while source.remaining() > 0 {
                let room = line.pending.reserve(CHUNK).min(line.pending.free()).min(CHUNK);
                if room == 0 {
                    return Err(Errno::EAGAIN);
                }
                let before = source.done();
                let result = source.read(&mut chunk[..room]);
                let count = source.done() - before;
                line.receive(&chunk[..count]);
                result?;
            }
            Ok(source.done())
        })
    }

    /// What could be done without waiting.
    pub fn poll(&self) -> Events {
        self.tty.with_state(|state| {
            let line = &state.line;
            let mut events = Events::empty();
            if !line.output.is_empty() {
                events |= Events::IN;
            }
            if line.packet.is_pending() {
                events |= Events::IN | Events::PRI;
            }
            if state.abandoned {
                events |= Events::HUP;
            }
            if line.pending.free() > 0 {
                events |= Events::OUT;
            }
            with_aliases(events)
        })
    }

    /// Locks or unlocks the terminal (`TIOCSPTLCK`); a locked one cannot be opened.
    pub fn set_locked(&self, locked: bool) {
        self.tty.with_state(|state| state.locked = locked);
    }

    /// Whether the terminal is locked (`TIOCGPTLCK`).
    pub fn is_locked(&self) -> bool {
        self.tty.with_state(|state| state.locked)
    }

    /// Switches packet mode (`TIOCPKT`).
    pub fn set_packet_mode(&self, enabled: bool) {
        self.tty.with_line(|line| line.packet.set_enabled(enabled));
    }

    /// Whether packet mode is on (`TIOCGPKT`).
    pub fn is_packet_mode(&self) -> bool {
        self.tty.with_line(|line| line.packet.is_enabled())
    }

    /// Opens the terminal without a name (`TIOCGPTPEER`).
    ///
    /// # Errors
    /// As [`Tty::open`].
    pub fn open_peer(&self, who: OpenAs) -> Result<Open> {
        self.tty.open(who)
    }

    /// Sends a signal to the terminal's foreground group (`TIOCSIG`).
    ///
    /// # Errors
    /// `EINVAL`: not one of `SIGINT`, `SIGQUIT`, `SIGTSTP`.
    pub fn signal(&self, number: u32) -> Result<()> {
        let signal = [Signal::Interrupt, Signal::Quit, Signal::Stop]
            .into_iter()
            .find(|signal| u32::from(signal.number()) == number)
            .ok_or(Errno::EINVAL)?;
        self.tty.session().signal_foreground(signal);
        Ok(())
    }

    /// Bytes a read could get now (`FIONREAD`), as many as Linux's reader holds.
    pub fn readable_bytes(&self) -> usize {
        self.tty.with_line(|line| line.output.len().min(buffer::SIZE - 1))
    }

    /// Drops output not read, or input the terminal has not taken yet (`TCFLSH` on the master).
    pub fn flush(&self, what: Flush) {
        self.tty.with_line(|line| {
            if what != Flush::Output {
                line.output.consume(buffer::SIZE - 1);
                line.output_left();
            }
            if what != Flush::Input {
                line.pending.truncate(0);
                line.looked_ahead = 0;
                line.effects.wire |= Events::OUT;
            }
        });
    }

    /// Types the terminal's STOP or START character (`TCXONC` on the master).
    ///
    /// # Errors
    /// `EINVAL`: the master's own output cannot be stopped.
    ///
    /// # Gaps
    /// `TCOOFF` and `TCOON` on a master.
    pub fn control_flow(&self, flow: Flow) -> Result<()> {
        let place = match flow {
            Flow::StopInput => Control::Stop,
            Flow::StartInput => Control::Start,
            Flow::StopOutput | Flow::StartOutput => return Err(Errno::EINVAL),
        };
        self.tty.with_line(|line| line.receive(&[line.termios.get(place)]));
        Ok(())
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        self.numbers.set(self.number, Slot::Hidden);
        self.tty.close(true);
        self.tty.hang_up();
    }
}
