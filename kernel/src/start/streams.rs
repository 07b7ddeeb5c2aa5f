//! The standard streams of a program that are no terminals: pipes, with the host behind them.
//!
//! ```text
//!   host ──receive──▶ Inlet ──▶ pipe ──▶ descriptor 0
//!   host ◀──transmit─ Outlet ◀── pipe ◀── descriptors 1 and 2
//! ```
//! Each has one task. It moves a piece only when both sides can take it, so that nothing is held
//! where the end of the machine would lose it.

use crate::{
    file::{File, of_pipe},
    system::{LastWords, System},
};
use abi::{Errno, Events};
use alloc::sync::Arc;
use executor::{Spawn, select};
use framework::{Sink, Source};
use fs::{
    OpenFlags,
    pipe::{Pipe, PipeEnd},
};
use io::stream::{Port, Stream};
use spin::Mutex;

/// Bytes moved at once: a write of so many to a pipe is not torn.
const PIECE: usize = 4096;

/// The reading end of a pipe that the host's stream flows into.
pub(super) fn input(system: &'static System, port: Port) -> Arc<File> {
    let (reader, writer) = pair(system);
    executor::spawn(Spawn::named("stdin"), pour(port, writer));
    of_pipe(reader)
}

/// The writing end of a pipe that flows into the host's stream.
pub(super) fn output(system: &'static System, name: &str, port: Port) -> Arc<File> {
    let (reader, writer) = pair(system);
    let outlet = Arc::new(Outlet {
        stream: port.stream,
        pipe: Mutex::new(Some(Arc::new(reader))),
        held: Mutex::new(Held { bytes: [0; PIECE], start: 0, end: 0 }),
    });
    system.speaks_last(Arc::clone(&outlet) as _);
    executor::spawn(Spawn::named(name), async move {
        while let Some(pipe) = outlet.open_pipe() {
            let listener = pipe.wait_queue().listen(u32::MAX, false).named("output");
            match outlet.move_piece(&pipe) {
                Moved::Some => {}
                Moved::HostIsFull => port.irq.wait().await,
                Moved::Nothing => drop(listener.await),
                Moved::Ended => outlet.close(),
            }
        }
    });
    of_pipe(writer)
}

fn pair(system: &System) -> (PipeEnd, PipeEnd) {
    Pipe::pair(&system.pipes, OpenFlags::empty(), &super::kernel_caller())
}

/// Moves what the host has into a pipe until one of the two ends.
async fn pour(port: Port, pipe: PipeEnd) {
    loop {
        let listener = pipe.wait_queue().listen(u32::MAX, false).named("input");
        let events = pipe.poll();
        if events.contains(Events::ERR) {
            return; // nobody reads
        }
        if !events.contains(Events::OUT) {
            listener.await;
            continue;
        }
        let mut bytes = [0; PIECE];
        match port.stream.receive(&mut bytes) {
            Ok(count @ 1..) => {
                // There is room for all of it, and this is the only writer.
                if let Err(errno) = pipe.write(&mut Source::kernel(&bytes[..count])) {
                    log::error!("standard input is lost: {errno:?}");
                    return;
                }
            }
            Err(Errno::EAGAIN) => {
                select(port.irq.wait(), listener).await;
            }
            Ok(_) | Err(_) => return,
        }
    }
}

/// The host's side of an output.
struct Outlet {
    stream: Arc<dyn Stream>,
    /// The reading end; `None` when the host reads no more.
    pipe: Mutex<Option<Arc<PipeEnd>>>,
    held: Mutex<Held>,
}

/// Bytes taken out of the pipe that the host did not take yet.
struct Held {
    bytes: [u8; PIECE],
    start: usize,
    end: usize,
}

/// What came of moving a piece.
enum Moved {
    Some,
    /// There was none; wait for the pipe.
    Nothing,
    /// Wait for the host.
    HostIsFull,
    /// One of the two sides is gone.
    Ended,
}

impl Outlet {
    fn open_pipe(&self) -> Option<Arc<PipeEnd>> {
        self.pipe.lock().clone()
    }

    fn close(&self) {
        let closed = self.pipe.lock().take();
        drop(closed);
    }

    fn move_piece(&self, pipe: &PipeEnd) -> Moved {
        let mut held = self.held.lock();
        let Held { bytes, start, end } = &mut *held;
        if start == end {
            match pipe.read(&mut Sink::kernel(bytes)) {
                Ok(count @ 1..) => (*start, *end) = (0, count),
                Err(Errno::EAGAIN) => return Moved::Nothing,
                Ok(_) | Err(_) => return Moved::Ended,
            }
        }
        match self.stream.transmit(&bytes[*start..*end]) {
            Ok(count) => {
                *start += count;
                Moved::Some
            }
            Err(Errno::EAGAIN) => Moved::HostIsFull,
            Err(_) => Moved::Ended,
        }
    }
}

impl LastWords for Outlet {
    /// Sends what is there now: other processes may write for ever.
    fn say(&self) {
        let Some(pipe) = self.open_pipe() else { return };
        let mut held = self.held.lock();
        self.stream.transmit_all(&held.bytes[held.start..held.end]);
        held.start = held.end;
        let mut left = pipe.pipe().len();
        while left > 0 {
            match pipe.read(&mut Sink::kernel(&mut held.bytes)) {
                Ok(count @ 1..) => {
                    self.stream.transmit_all(&held.bytes[..count]);
                    left = left.saturating_sub(count);
                }
                Ok(_) | Err(_) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Held, Outlet, PIECE};
    use crate::system::LastWords;
    use abi::{Errno, Result};
    use fs::{AnonymousFs, OpenFlags, Source, pipe::Pipe};
    use io::{stream::Stream, tty::WindowSize};
    use spin::Mutex;
    use std::sync::Arc;

    /// A host that takes nothing until the end.
    #[derive(Default)]
    struct Stuck(Mutex<Vec<u8>>);

    impl Stream for Stuck {
        fn receive(&self, _to: &mut [u8]) -> Result<usize> {
            Ok(0)
        }
        fn transmit(&self, _from: &[u8]) -> Result<usize> {
            Err(Errno::EAGAIN)
        }
        fn transmit_all(&self, from: &[u8]) {
            self.0.lock().extend_from_slice(from);
        }
        fn window_size(&self) -> Option<WindowSize> {
            None
        }
    }

    #[test]
    fn the_last_words_are_everything_written() {
        let pipes = AnonymousFs::pipes();
        let caller = crate::start::kernel_caller();
        let (reader, writer) = Pipe::pair(&pipes, OpenFlags::empty(), &caller);
        let host = Arc::new(Stuck::default());
        let outlet = Outlet {
            stream: Arc::clone(&host) as _,
            pipe: Mutex::new(Some(Arc::new(reader))),
            held: Mutex::new(Held { bytes: [0; PIECE], start: 0, end: 0 }),
        };
        let text = vec![b'x'; 3 * PIECE + 5];
        assert_eq!(writer.write(&mut Source::kernel(&text)), Ok(text.len()));
        let pipe = outlet.open_pipe().expect("it was opened above");
        let _ = outlet.move_piece(&pipe);
        outlet.say();
        assert_eq!(host.0.lock().len(), text.len());
    }
}
