//! Calls that may have to wait for their socket.

use super::{Control, Header, Passed, UnixSocket, address::bytes_of, of, who};
use crate::{
    file::{File, Segments},
    syscall::{Outcome, UserPtr},
    thread::Thread,
};
use abi::{Errno, Events, Result};
use alloc::{boxed::Box, sync::Arc};
use core::time::Duration;
use executor::{Either, select, sleep_until};
use framework::{Sink, Source, VirtAddr};
use fs::OpenFlags;
use net::unix::{Address, Ancillary, Kind, Receive, Received};

bitflags::bitflags! {
    /// `MSG_*` of send(2) and recv(2).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Flags: u32 {
        /// `MSG_OOB`.
        const OUT_OF_BAND = 0x1;
        /// `MSG_PEEK`.
        const PEEK = 0x2;
        /// `MSG_CTRUNC`.
        const CONTROL_CUT = 0x8;
        /// `MSG_TRUNC`.
        const CUT = 0x20;
        /// `MSG_DONTWAIT`.
        const DONT_WAIT = 0x40;
        /// `MSG_WAITALL`.
        const WAIT_ALL = 0x100;
        /// `MSG_NOSIGNAL`.
        const NO_SIGNAL = 0x4000;
        /// `MSG_WAITFORONE`.
        const WAIT_FOR_ONE = 0x1_0000;
        /// `MSG_CMSG_CLOEXEC`.
        const CLOSE_ON_EXEC = 0x4000_0000;
        const _ = !0;
    }
}

/// A call that is tried until it does not answer `EAGAIN`.
pub trait Attempt: Send {
    /// What it waits for.
    const EVENTS: Events;

    /// Tries.
    ///
    /// # Errors
    /// - `EAGAIN`: not now.
    /// - those of the call.
    fn step(&mut self, thread: &Thread, file: &File) -> Result<usize>;

    /// What the call returns if the rest does not come; 0 if that is an error.
    fn done(&self) -> usize {
        0
    }
}

/// Tries `call` now and, if it may wait, whenever its socket has one of the events.
///
/// # Errors
/// - `EAGAIN`: not now, and it may not wait; or `timeout` is over.
/// - `EINTR`, restarted without a timeout: a signal came.
pub fn attempt<'a, A: Attempt + 'a>(
    thread: &'a Thread,
    file: Arc<File>,
    flags: Flags,
    timeout: Option<Duration>,
    mut call: A,
) -> Result<Outcome<'a>> {
    let may_wait = !flags.contains(Flags::DONT_WAIT) && !file.is_non_blocking();
    match call.step(thread, &file) {
        Err(Errno::EAGAIN) if may_wait => {}
        Err(Errno::EAGAIN) if call.done() > 0 => return Ok(Outcome::Done(call.done())),
        result => return result.map(Outcome::Done),
    }
    Ok(Outcome::Wait(Box::pin(async move {
        match wait(thread, &file, timeout, &mut call).await {
            Err(_) if call.done() > 0 => Ok(call.done()),
            result => result,
        }
    })))
}

async fn wait<A: Attempt>(
    thread: &Thread,
    file: &File,
    timeout: Option<Duration>,
    call: &mut A,
) -> Result<usize> {
    let deadline = timeout.map(|timeout| framework::time::now().saturating_add(timeout));
    let queue = file.queue().ok_or(Errno::ENOTSOCK)?;
    let mask = A::EVENTS | Events::ERR | Events::HUP | Events::RDHUP;
    loop {
        // Register, then try: what changes after this wakes the listener.
        let listener = queue.listen(mask.bits(), false).named("socket");
        match call.step(thread, file) {
            Err(Errno::EAGAIN) => {}
            result => return result,
        }
        match deadline {
            None => {
                thread.wait(listener).await?;
            }
            Some(at) => match thread.wait(select(listener, sleep_until(at))).await {
                Ok(Either::First(_)) => {}
                Ok(Either::Second(())) => return Err(Errno::EAGAIN),
                // A wait with a timeout is not begun again (signal(7)).
                Err(_) => return Err(Errno::EINTR),
            },
        }
    }
}

/// send(2) and its like.
pub struct Sending {
    /// The data.
    pub segments: Segments,
    /// The destination, if one was given.
    pub to: Option<Arc<UnixSocket>>,
    /// What goes with it.
    pub ancillary: Ancillary<Passed>,
    /// How.
    pub flags: Flags,
    /// Bytes sent.
    pub sent: usize,
}

impl Attempt for Sending {
    const EVENTS: Events = Events::OUT;

    fn step(&mut self, thread: &Thread, file: &File) -> Result<usize> {
        let socket = of(file)?.socket();
        let mut source = Source::user(thread.memory.space(), &self.segments);
        source.skip(self.sent);
        loop {
            let to = self.to.as_deref();
            let result = socket.send(&mut source, to, who(thread), &mut self.ancillary);
            match (result, source.take_fault()) {
                (Err(Errno::EFAULT), Some(fault)) if thread.resolve(fault).is_ok() => {}
                (result, _) => {
                    if socket.kind() == Kind::Stream {
                        self.sent = source.done();
                    }
                    return match result {
                        Err(errno) if errno != Errno::EAGAIN && self.sent > 0 => Ok(self.sent),
                        Err(Errno::EPIPE) if !self.flags.contains(Flags::NO_SIGNAL) => {
                            thread.signal_transfer_error(Errno::EPIPE);
                            Err(Errno::EPIPE)
                        }
                        result => result,
                    };
                }
            }
        }
    }

    fn done(&self) -> usize {
        self.sent
    }
}

/// Where what a message said is stored.
#[derive(Clone, Copy, Debug)]
pub enum Report {
    /// recvfrom(2): the sender's name and its length, if wanted.
    Name(Option<(VirtAddr, UserPtr<i32>)>),
    /// recvmsg(2): the parts of a header.
    Header(UserPtr<Header>, Header),
}

/// recv(2) and its like.
pub struct Receiving {
    segments: Segments,
    report: Report,
    flags: Flags,
    received: usize,
    total: usize,
}

impl Receiving {
    /// Receives into `segments`.
    pub fn new(segments: Segments, report: Report, flags: Flags) -> Self {
        let total = segments.iter().map(|(_, len)| len).sum();
        Self { segments, report, flags, received: 0, total }
    }

    fn receive(&mut self, thread: &Thread, socket: &UnixSocket) -> Result<Received<Passed>> {
        let how = Receive { peek: self.flags.contains(Flags::PEEK) };
        loop {
            let mut sink = Sink::user(thread.memory.space(), &self.segments);
            sink.skip(self.received);
            let result = socket.receive(&mut sink, how);
            match (result, sink.take_fault()) {
                (Err(Errno::EFAULT), Some(fault)) if thread.resolve(fault).is_ok() => {}
                (result, _) => return result,
            }
        }
    }

    fn report(&self, thread: &Thread, received: Received<Passed>, from: Address) -> Result<()> {
        let cut = received.whole > received.len;
        let (to, header) = match self.report {
            Report::Name(None) => return Ok(()),
            Report::Name(Some((to, len))) => {
                return match from {
                    Address::Unnamed => thread.write(len, &0),
                    named => thread.write_address(&named, to, len),
                };
            }
            Report::Header(to, header) => (to, header),
        };
        if let Some((at, room)) = header.name()? {
            let (bytes, len) = bytes_of(&from);
            let len = if from == Address::Unnamed { 0 } else { len };
            let room = usize::try_from(room).unwrap_or(0);
            thread.write_bytes(at, &bytes[..len.min(room)])?;
            let len = u32::try_from(len).unwrap_or(0);
            thread.write(to.byte_offset::<u32>(Header::NAME_LEN)?, &len)?;
        }
        let close = self.flags.contains(Flags::CLOSE_ON_EXEC);
        let open = if close { OpenFlags::CLOSE_ON_EXEC } else { OpenFlags::empty() };
        let control = header.control().unwrap_or(Control { at: VirtAddr::new(0), len: 0 });
        let (stored, control_cut) = control.write(thread, received.ancillary, open)?;
        let mut flags = self.flags & Flags::CLOSE_ON_EXEC;
        flags.set(Flags::CUT, cut);
        flags.set(Flags::CONTROL_CUT, control_cut);
        thread.write(to.byte_offset::<usize>(Header::CONTROL_LEN)?, &stored)?;
        thread.write(to.byte_offset::<u32>(Header::FLAGS)?, &flags.bits())
    }
}

impl Attempt for Receiving {
    const EVENTS: Events = Events::IN;

    fn step(&mut self, thread: &Thread, file: &File) -> Result<usize> {
        let socket = of(file)?.socket();
        let stream = socket.kind() == Kind::Stream;
        let before = self.received;
        let received = match self.receive(thread, socket) {
            Err(errno) if errno != Errno::EAGAIN && before > 0 => return Ok(before),
            result => result?,
        };
        let (len, whole) = (received.len, received.whole);
        let more = stream && len > before && received.ancillary.files.is_empty();
        let from = if stream { socket.peer_address()? } else { received.from.clone() };
        self.received = if stream { len } else { 0 };
        self.report(thread, received, from)?;
        let all = self.flags.contains(Flags::WAIT_ALL) && !self.flags.contains(Flags::PEEK);
        if all && more && len < self.total {
            return Err(Errno::EAGAIN);
        }
        Ok(if self.flags.contains(Flags::CUT) && !stream { whole } else { len })
    }

    fn done(&self) -> usize {
        self.received
    }
}

/// accept(2).
pub struct Accepting {
    /// Where the peer's name is stored.
    pub name: Option<(VirtAddr, UserPtr<i32>)>,
    /// Flags of the new descriptor.
    pub flags: OpenFlags,
}

impl Attempt for Accepting {
    const EVENTS: Events = Events::IN;

    fn step(&mut self, thread: &Thread, file: &File) -> Result<usize> {
        // As on Linux, a full table leaves the connection where it waits.
        thread.files.check_room(thread.process().descriptor_limit())?;
        let socket = of(file)?.socket().accept()?;
        if let Some((to, len)) = self.name {
            thread.write_address(&socket.peer_address()?, to, len)?;
        }
        thread.install(super::UnixFile::open(thread, socket, self.flags), self.flags)
    }
}

/// connect(2).
pub struct Connecting(
    /// Whom to.
    pub Arc<UnixSocket>,
);

impl Attempt for Connecting {
    const EVENTS: Events = Events::OUT;

    fn step(&mut self, thread: &Thread, file: &File) -> Result<usize> {
        of(file)?.socket().connect(&self.0, who(thread)).map(|()| 0)
    }
}
