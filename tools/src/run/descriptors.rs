//! Descriptors of this process as streams of the machine.
//!
//! ```text
//!   Descriptor::receive, transmit ──▶ poll, read, write       on the machine's CPU, never waiting
//!        │ not ready                                │
//!        ▼                                          ▼ EAGAIN
//!   Watcher: what to wait for ──poll──▶ ready ──▶ the line fires, and it is forgotten
//! ```

use abi::{Errno, Result};
use anyhow::Context;
use framework::irq::{IrqLine, SoftwareLine};
use io::{
    stream::{Port, Stream},
    tty::WindowSize,
};
use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll},
    io::{self as host, Errno as HostErrno},
    termios::tcgetwinsize,
};
use std::{
    os::fd::{BorrowedFd, OwnedFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

/// Bytes given to the host at once: a pipe that is ready takes as many without waiting.
const PIECE: usize = 4096;
/// The number of the first line, in the kernel's counts.
const FIRST_LINE: u32 = 64;

/// A thread that waits for descriptors of the host.
pub(super) struct Watcher {
    wake: OwnedFd,
    wanted: Mutex<Vec<Wanted>>,
}

/// A descriptor to be waited for, once.
#[derive(Clone, Copy)]
struct Wanted {
    fd: BorrowedFd<'static>,
    events: PollFlags,
    line: SoftwareLine,
}

/// Nobody panics while holding a lock of this module, so what it guards is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watcher {
    /// Starts the thread.
    ///
    /// # Errors
    /// The host has no descriptor or no thread for it.
    pub(super) fn start() -> anyhow::Result<Arc<Self>> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .context("making a descriptor to wake a thread with")?;
        let watcher = Arc::new(Self { wake, wanted: Mutex::default() });
        let own = Arc::clone(&watcher);
        let body = move || own.watch();
        thread::Builder::new().name("watcher".into()).spawn(body).context("starting a thread")?;
        Ok(watcher)
    }

    fn watch(&self) {
        loop {
            let wanted = lock(&self.wanted).clone();
            let mut fds = vec![PollFd::new(&self.wake, PollFlags::IN)];
            fds.extend(
                wanted.iter().map(|wanted| PollFd::from_borrowed_fd(wanted.fd, wanted.events)),
            );
            // Interrupted or short of memory: the next round asks again.
            if poll(&mut fds, None).is_err() {
                continue;
            }
            let is_ready = |fd: &PollFd<'_>| !fd.revents().is_empty();
            if is_ready(&fds[0]) {
                let _ = host::read(&self.wake, &mut [0; 8]);
            }
            for (wanted, _) in wanted.iter().zip(&fds[1..]).filter(|(_, fd)| is_ready(fd)) {
                lock(&self.wanted).retain(|other| !other.is(wanted));
                wanted.line.fire();
            }
        }
    }

    fn want(&self, new: Wanted) {
        let mut wanted = lock(&self.wanted);
        if !wanted.iter().any(|other| other.is(&new)) {
            wanted.push(new);
            // Full, it wakes the thread all the same.
            let _ = host::write(&self.wake, &1_u64.to_ne_bytes());
        }
    }
}

impl Wanted {
    fn is(&self, other: &Self) -> bool {
        use std::os::fd::AsRawFd;
        self.fd.as_raw_fd() == other.fd.as_raw_fd() && self.events == other.events
    }
}

/// What a stream is made of.
pub(super) struct Descriptors {
    /// Where bytes come from.
    pub(super) input: Option<BorrowedFd<'static>>,
    /// Where they go.
    pub(super) output: Option<BorrowedFd<'static>>,
    /// Whether a window shows them.
    pub(super) is_terminal: bool,
}

struct Descriptor {
    descriptors: Descriptors,
    watcher: Arc<Watcher>,
    line: SoftwareLine,
}

/// Makes a port of descriptors; its line also fires for whoever is given the second part.
pub(super) fn port(
    watcher: &Arc<Watcher>,
    number: u32,
    descriptors: Descriptors,
) -> (Port, SoftwareLine) {
    let (irq, line) = IrqLine::software(FIRST_LINE + number);
    let watcher = Arc::clone(watcher);
    (Port { stream: Arc::new(Descriptor { descriptors, watcher, line }), irq }, line)
}

impl Descriptor {
    /// Whether the host is ready; if not, the line will tell.
    fn is_ready(&self, fd: BorrowedFd<'static>, events: PollFlags) -> bool {
        const NOW: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
        let mut fds = [PollFd::from_borrowed_fd(fd, events)];
        // What cannot be asked is tried.
        let ready = poll(&mut fds, Some(&NOW)).map_or(true, |count| count > 0);
        if !ready {
            self.watcher.want(Wanted { fd, events, line: self.line });
        }
        ready
    }

    /// The kernel's error for the host's; an empty descriptor of others may be non-blocking.
    fn refused(&self, fd: BorrowedFd<'static>, events: PollFlags, error: HostErrno) -> Errno {
        match error {
            HostErrno::AGAIN => {
                self.watcher.want(Wanted { fd, events, line: self.line });
                Errno::EAGAIN
            }
            HostErrno::PIPE => Errno::EPIPE,
            _ => Errno::EIO,
        }
    }
}

impl Stream for Descriptor {
    fn receive(&self, to: &mut [u8]) -> Result<usize> {
        let Some(fd) = self.descriptors.input else { return Ok(0) };
        if !self.is_ready(fd, PollFlags::IN) {
            return Err(Errno::EAGAIN);
        }
        let read = host::retry_on_intr(|| host::read(fd, &mut *to));
        read.map_err(|error| self.refused(fd, PollFlags::IN, error))
    }

    fn transmit(&self, from: &[u8]) -> Result<usize> {
        let fd = self.descriptors.output.ok_or(Errno::EPIPE)?;
        if !self.is_ready(fd, PollFlags::OUT) {
            return Err(Errno::EAGAIN);
        }
        let piece = &from[..from.len().min(PIECE)];
        let written = host::retry_on_intr(|| host::write(fd, piece));
        written.map_err(|error| self.refused(fd, PollFlags::OUT, error))
    }

    fn transmit_all(&self, mut from: &[u8]) {
        let Some(fd) = self.descriptors.output else { return };
        while !from.is_empty() {
            match host::write(fd, from) {
                Ok(count) => from = &from[count..],
                Err(HostErrno::INTR) => {}
                Err(HostErrno::AGAIN) => {
                    // An error shows at the next write.
                    let _ = poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::OUT)], None);
                }
                Err(_) => return,
            }
        }
    }

    fn window_size(&self) -> Option<WindowSize> {
        if !self.descriptors.is_terminal {
            return None;
        }
        let size = tcgetwinsize(self.descriptors.output?).ok()?;
        Some(WindowSize {
            rows: size.ws_row,
            columns: size.ws_col,
            width_pixels: size.ws_xpixel,
            height_pixels: size.ws_ypixel,
        })
    }
}
