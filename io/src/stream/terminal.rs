//! A terminal on a stream: what the serial port is on a machine.

use abi::{Errno, Events, Result};
use alloc::sync::Arc;
use executor::select;
use framework::irq::IrqLine;
use spin::Mutex;

use super::{Port, Stream};
use crate::tty::{Session, Termios, Tty};

/// Bytes moved at once in either direction.
const PIECE: usize = 1024;
/// Rounds of work before others may run.
const ROUNDS: usize = 32;

/// A terminal and its stream.
pub struct Terminal {
    tty: Arc<Tty>,
    stream: Arc<dyn Stream>,
    unsent: Mutex<Unsent>,
}

/// Bytes that the terminal gave and the stream did not take yet.
struct Unsent {
    bytes: [u8; PIECE],
    start: usize,
    end: usize,
}

/// The driver's task: spawn [`run`](Self::run).
#[derive(Debug)]
pub struct Runner {
    terminal: Arc<Terminal>,
    irq: IrqLine,
}

impl Terminal {
    /// Makes the terminal `/dev/ttyS{number}` on a port, and the task that serves it.
    ///
    /// # Errors
    /// `ENOMEM`: no memory for the terminal.
    pub fn new(
        port: Port,
        number: u32,
        termios: Termios,
        session: Arc<dyn Session>,
    ) -> Result<(Arc<Self>, Runner)> {
        let tty = Tty::serial(number, termios, session)?;
        let unsent = Mutex::new(Unsent { bytes: [0; PIECE], start: 0, end: 0 });
        let terminal = Arc::new(Self { tty, stream: port.stream, unsent });
        terminal.follow_window();
        Ok((Arc::clone(&terminal), Runner { terminal, irq: port.irq }))
    }

    /// The terminal as programs see it.
    pub const fn tty(&self) -> &Arc<Tty> {
        &self.tty
    }

    /// Sends everything that is left, before the machine stops.
    pub fn finish(&self) {
        let mut unsent = self.unsent.lock();
        let (start, end) = (unsent.start, unsent.end);
        self.stream.transmit_all(&unsent.bytes[start..end]);
        unsent.start = end;
        self.tty.drain_to(|bytes| self.stream.transmit_all(bytes));
    }

    fn follow_window(&self) {
        if let Some(size) = self.stream.window_size() {
            self.tty.set_window_size(size);
        }
    }

    /// Does what there is to do; `true` if there is more.
    fn serve(&self) -> bool {
        self.follow_window();
        (0..ROUNDS).all(|_| {
            let received = self.receive();
            let sent = self.send();
            received || sent
        })
    }

    /// Takes what was typed; whether there was anything.
    fn receive(&self) -> bool {
        let mut bytes = [0; PIECE];
        match self.stream.receive(&mut bytes) {
            Err(Errno::EAGAIN) => false,
            Ok(count @ 1..) => {
                let taken = self.tty.receive(&bytes[..count]);
                if taken < count {
                    log::warn!("{}: {} bytes of input lost", self.tty.name(), count - taken);
                }
                true
            }
            // The line is gone for good; hanging up again changes nothing.
            Ok(_) | Err(_) => {
                self.tty.hang_up();
                false
            }
        }
    }

    /// Sends a piece; whether there may be more.
    fn send(&self) -> bool {
        let mut unsent = self.unsent.lock();
        let Unsent { bytes, start, end } = &mut *unsent;
        if start == end {
            (*start, *end) = (0, self.tty.transmit(bytes));
        }
        if start == end {
            return false;
        }
        match self.stream.transmit(&bytes[*start..*end]) {
            Ok(count) => {
                *start += count;
                true
            }
            Err(Errno::EAGAIN) => false,
            // Nobody will ever see it.
            Err(_) => {
                *start = *end;
                true
            }
        }
    }
}

impl core::fmt::Debug for Terminal {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Terminal({})", self.tty.name())
    }
}

impl Runner {
    /// Serves the terminal for good.
    pub async fn run(self) {
        loop {
            let events = (Events::IN | Events::PRI).bits();
            let queue = self.terminal.tty.wire_queue();
            let listener = queue.listen(events, false).named("terminal");
            if self.terminal.serve() {
                drop(listener);
                executor::yield_now().await;
            } else {
                select(self.irq.wait(), listener).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Stream, Terminal};
    use crate::{
        stream::Port,
        tty::{NoSession, OpenAs, OutputFlags, ReadTimer, Termios, Uncontrolled, WindowSize},
    };
    use abi::{Errno, Result};
    use framework::{Sink, Source, irq::IrqLine};
    use std::{
        collections::VecDeque,
        sync::{Arc, Mutex},
        vec,
        vec::Vec,
    };

    /// A host that takes a few bytes at a time.
    #[derive(Default)]
    struct Host {
        typed: Mutex<VecDeque<u8>>,
        shown: Mutex<Vec<u8>>,
        room: Mutex<usize>,
    }

    impl Stream for Host {
        fn receive(&self, to: &mut [u8]) -> Result<usize> {
            let mut typed = self.typed.lock().expect("no test panics with it");
            let count = typed.len().min(to.len());
            for (to, byte) in to.iter_mut().zip(typed.drain(..count)) {
                *to = byte;
            }
            if count == 0 { Err(Errno::EAGAIN) } else { Ok(count) }
        }

        fn transmit(&self, from: &[u8]) -> Result<usize> {
            let mut room = self.room.lock().expect("no test panics with it");
            let count = from.len().min(*room);
            *room -= count;
            if count == 0 {
                return Err(Errno::EAGAIN);
            }
            self.transmit_all(&from[..count]);
            Ok(count)
        }

        fn transmit_all(&self, from: &[u8]) {
            self.shown.lock().expect("no test panics with it").extend_from_slice(from);
        }

        fn window_size(&self) -> Option<WindowSize> {
            Some(WindowSize { rows: 24, columns: 80, width_pixels: 0, height_pixels: 0 })
        }
    }

    fn terminal() -> (Arc<Host>, Arc<Terminal>) {
        let host = Arc::new(Host::default());
        let (irq, _) = IrqLine::software(70);
        let port = Port { stream: Arc::clone(&host) as _, irq };
        let termios = Termios { output: OutputFlags::empty(), ..Termios::default() };
        let (terminal, _) = Terminal::new(port, 0, termios, Arc::new(NoSession)).unwrap();
        (host, terminal)
    }

    #[test]
    fn bytes_go_both_ways_and_the_window_has_a_size() {
        let (host, terminal) = terminal();
        let open = terminal.tty().open(OpenAs::Anyone).unwrap();
        assert_eq!(terminal.tty().window_size().columns, 80);
        host.typed.lock().unwrap().extend(b"ls\r");
        *host.room.lock().unwrap() = 100;
        while terminal.serve() {}
        let mut buffer = vec![0; 16];
        let mut sink = Sink::kernel(&mut buffer);
        assert_eq!(open.read(&Uncontrolled, &mut sink, &mut ReadTimer::default()), Ok(3));
        assert_eq!(&buffer[..3], b"ls\n");
        assert_eq!(*host.shown.lock().unwrap(), b"ls\n");
    }

    #[test]
    fn what_the_host_did_not_take_is_sent_at_the_end() {
        let (host, terminal) = terminal();
        let open = terminal.tty().open(OpenAs::Anyone).unwrap();
        *host.room.lock().unwrap() = 3;
        let text: Vec<u8> = (0..3000_u32).map(|number| number.to_le_bytes()[0]).collect();
        let mut source = Source::kernel(&text);
        open.write(&Uncontrolled, &mut source).unwrap();
        while terminal.serve() {}
        assert_eq!(host.shown.lock().unwrap().len(), 3);
        terminal.finish();
        assert!(*host.shown.lock().unwrap() == text);
    }
}
