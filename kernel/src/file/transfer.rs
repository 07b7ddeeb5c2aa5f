//! Try first, wait second: how a read or a write becomes an [`Outcome`].
//!
//! ```text
//!   once ──▶ File::read(sink) ──▶ Ok(n)                       ──▶ Done(n)
//!                 ▲   │ EFAULT: make the page present, again
//!                 │   │ EAGAIN, may wait ──▶ Waiting: register, try, wait
//!                 └───┘ MISS ──▶ Waiting: await the fill, try
//! ```
//! A short transfer of a pipe or a memory device goes without sink, source and caller as long as
//! nothing is out of the ordinary.
//! The first attempt builds no future and allocates nothing. Only the wait can be interrupted: what
//! was transferred before a signal is the call's result.

use super::{File, Object, Progress};
use crate::{
    socket::{self, Receiving, Report, Sending},
    syscall::Outcome,
    thread::Thread,
};
use abi::{Errno, Events, Result};
use alloc::{boxed::Box, sync::Arc};
use core::{
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use executor::{sleep_until, timer::Sleep, wait::Place};
use framework::{Instant, PAGE_SIZE, Sink, Source, copy::Segment};
use fs::{Caller, Miss, pipe::Piece};
use io::mem::MemDevice;
use net::unix::Ancillary;
use smallvec::SmallVec;

/// The segments of a call: one for read(2), several for readv(2).
pub type Segments = SmallVec<[Segment; 1]>;

/// Where a transfer starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// The file's own offset.
    Offset,
    /// A given one.
    Position(u64),
}

/// Why an attempt could not end the call.
enum Stop {
    /// The object has to become ready first.
    NotReady,
    /// The future brings what is missing.
    Missing(Miss),
}

/// How far the attempts of one call got.
#[derive(Default)]
pub(crate) struct State {
    done: usize,
    progress: Progress,
}

/// One direction of transfer.
pub(crate) trait Direction: Send + Sync + 'static {
    /// What an attempt waits for.
    const EVENTS: Events;
    /// Whether it can make a file larger.
    const GROWS: bool;

    /// Whether a file is open for it.
    ///
    /// # Errors
    /// - `EBADF`: it is not.
    fn check(file: &File) -> Result<()>;

    /// The whole call, if it is a short one.
    fn piece(thread: &Thread, file: &File, segments: &[Segment]) -> Piece;

    /// One attempt over `segments` from where the last one stopped.
    fn attempt(
        call: &Call,
        thread: &Thread,
        caller: &Caller<'_>,
        segments: &[Segment],
        state: &mut State,
    ) -> Result<usize>;

    /// How long a socket waits, if not for ever.
    fn timeout(file: &File) -> Option<Duration>;

    /// The rest of a socket's call, of which `done` bytes are transferred.
    fn within(
        timeout: Duration,
        thread: &Thread,
        file: Arc<File>,
        segments: Segments,
        done: usize,
    ) -> Result<Outcome<'_>>;
}

/// What stays the same over the attempts of one call.
pub(crate) struct Call {
    file: Arc<File>,
    at: At,
}

/// Bytes go from the file to memory.
pub(crate) struct In;
/// Bytes go from memory to the file.
pub(crate) struct Out;

impl Direction for In {
    const EVENTS: Events = Events::IN.union(Events::ERR).union(Events::HUP).union(Events::RDHUP);
    const GROWS: bool = false;

    #[inline]
    fn check(file: &File) -> Result<()> {
        file.check_readable()
    }

    #[inline]
    fn piece(thread: &Thread, file: &File, segments: &[Segment]) -> Piece {
        let &[(at, len)] = segments else { return Piece::Other };
        let space = thread.memory.space();
        match file.object() {
            Object::Memory(MemDevice::Zero) if len <= PAGE_SIZE => {
                space.zero(at, len).map_or(Piece::Other, |()| Piece::Done(len))
            }
            Object::Pipe(pipe) => pipe.read_piece(space, at, len),
            _ => Piece::Other,
        }
    }

    fn attempt(
        call: &Call,
        thread: &Thread,
        caller: &Caller<'_>,
        segments: &[Segment],
        state: &mut State,
    ) -> Result<usize> {
        let mut sink = Sink::user(thread.memory.space(), segments);
        sink.skip(state.done);
        loop {
            let result = match call.at {
                At::Offset => call.file.read(thread, caller, &mut sink, &mut state.progress),
                At::Position(offset) => call.file.read_at(offset, thread, caller, &mut sink),
            };
            match (result, sink.take_fault()) {
                (Err(Errno::EFAULT), Some(fault)) if thread.resolve(fault).is_ok() => {}
                (result, _) => {
                    state.done = sink.done();
                    return result;
                }
            }
        }
    }

    fn timeout(file: &File) -> Option<Duration> {
        socket::of(file).ok()?.settings().receive_timeout
    }

    #[cold]
    fn within(
        timeout: Duration,
        thread: &Thread,
        file: Arc<File>,
        segments: Segments,
        _done: usize,
    ) -> Result<Outcome<'_>> {
        let flags = socket::Flags::empty();
        let call = Receiving::new(segments, Report::Name(None), flags);
        socket::attempt(thread, file, flags, Some(timeout), call)
    }
}

impl Direction for Out {
    const EVENTS: Events = Events::OUT.union(Events::ERR).union(Events::HUP);
    const GROWS: bool = true;

    #[inline]
    fn check(file: &File) -> Result<()> {
        file.check_writable()
    }

    #[inline]
    fn piece(thread: &Thread, file: &File, segments: &[Segment]) -> Piece {
        let &[(at, len)] = segments else { return Piece::Other };
        match file.object() {
            Object::Memory(MemDevice::Null | MemDevice::Zero) => Piece::Done(len),
            Object::Pipe(pipe) => pipe.write_piece(thread.memory.space(), at, len),
            _ => Piece::Other,
        }
    }

    fn attempt(
        call: &Call,
        thread: &Thread,
        caller: &Caller<'_>,
        segments: &[Segment],
        state: &mut State,
    ) -> Result<usize> {
        let mut source = Source::user(thread.memory.space(), segments);
        source.skip(state.done);
        loop {
            let result = match call.at {
                At::Offset => call.file.write(thread, caller, &mut source),
                At::Position(offset) => call.file.write_at(offset, thread, caller, &mut source),
            };
            match (result, source.take_fault()) {
                (Err(Errno::EFAULT), Some(fault)) if thread.resolve(fault).is_ok() => {}
                (result, _) => {
                    state.done = source.done();
                    return result;
                }
            }
        }
    }

    fn timeout(file: &File) -> Option<Duration> {
        socket::of(file).ok()?.settings().send_timeout
    }

    #[cold]
    fn within(
        timeout: Duration,
        thread: &Thread,
        file: Arc<File>,
        segments: Segments,
        done: usize,
    ) -> Result<Outcome<'_>> {
        let flags = socket::Flags::empty();
        let ancillary = Ancillary::default();
        let call = Sending { segments, to: None, ancillary, flags, sent: done };
        socket::attempt(thread, file, flags, Some(timeout), call)
    }
}

/// Carries out a transfer between `segments` and a file that is open for it; sends `SIGPIPE` and
/// `SIGXFSZ` where Linux does.
///
/// # Errors
/// Those of [`File::read`] and [`File::write`]; `EAGAIN` only if the file is non-blocking.
#[inline]
pub(crate) fn transfer<D: Direction>(
    thread: &Thread,
    file: Arc<File>,
    at: At,
    segments: impl AsRef<[Segment]> + Into<Segments>,
) -> Result<Outcome<'_>> {
    let short = match at {
        At::Offset => D::piece(thread, &file, segments.as_ref()),
        At::Position(_) => Piece::Other,
    };
    match short {
        Piece::Done(count) => Ok(Outcome::Done(count)),
        Piece::NotReady if !file.is_non_blocking() => {
            let call = Call { file, at };
            let (segments, state) = (segments.into(), State::default());
            Ok(Outcome::Wait(Waiting::<D>::boxed(thread, call, segments, state, Stop::NotReady)))
        }
        Piece::NotReady | Piece::Other => long::<D>(thread, Call { file, at }, segments.into()),
    }
}

/// The long way of a transfer.
#[inline(never)]
fn long<D: Direction>(thread: &Thread, call: Call, segments: Segments) -> Result<Outcome<'_>> {
    let mut state = State::default();
    match step::<D>(&call, thread, &segments, &mut state) {
        Ok(result) => result.map(Outcome::Done),
        Err(stop) => match D::timeout(&call.file) {
            Some(timeout) => D::within(timeout, thread, call.file, segments, state.done),
            None => Ok(Outcome::Wait(Waiting::<D>::boxed(thread, call, segments, state, stop))),
        },
    }
}

/// One attempt, the short way if it fits.
#[inline]
fn attempt<D: Direction>(
    call: &Call,
    thread: &Thread,
    segments: &[Segment],
    state: &mut State,
) -> Result<Result<usize>, Stop> {
    if call.at == At::Offset && state.done == 0 {
        match D::piece(thread, &call.file, segments) {
            Piece::Done(count) => return Ok(Ok(count)),
            Piece::NotReady if !call.file.is_non_blocking() => return Err(Stop::NotReady),
            Piece::NotReady | Piece::Other => {}
        }
    }
    step::<D>(call, thread, segments, state)
}

/// One attempt: the call's result, or why it has to wait.
fn step<D: Direction>(
    call: &Call,
    thread: &Thread,
    segments: &[Segment],
    state: &mut State,
) -> Result<Result<usize>, Stop> {
    let limited = D::GROWS && matches!(call.file.object(), Object::Node(_));
    let caller = if limited { thread.caller() } else { thread.unlimited_caller() };
    let errno = match D::attempt(call, thread, &caller, segments, state) {
        Ok(count) => return Ok(Ok(count)),
        Err(errno) => errno,
    };
    if errno == Errno::MISS {
        return match caller.take_miss() {
            Some(miss) => Err(Stop::Missing(miss)),
            None => Ok(Err(Errno::EIO)),
        };
    }
    if errno == Errno::EAGAIN && !call.file.is_non_blocking() && call.file.queue().is_some() {
        return Err(Stop::NotReady);
    }
    if state.done > 0 {
        return Ok(Ok(state.done));
    }
    thread.signal_transfer_error(errno);
    Ok(Err(errno))
}

/// A call that could not end at once. It is as small as it can be: many wait.
///
/// # Cancel safety
/// What was transferred is lost to the caller, as with any call that is given up.
struct Waiting<'a, D> {
    thread: &'a Thread,
    call: Call,
    segments: Segments,
    state: State,
    place: Place,
    missing: Option<Miss>,
    /// For objects that end their waits themselves.
    sleep: Option<Box<Sleep>>,
    /// Whether it is the first poll, and the object is known not to be ready.
    begins: bool,
    direction: PhantomData<fn() -> D>,
}

impl<'a, D: Direction> Waiting<'a, D> {
    #[inline(never)]
    fn boxed(
        thread: &'a Thread,
        call: Call,
        segments: Segments,
        state: State,
        stop: Stop,
    ) -> Pin<Box<dyn Future<Output = Result<usize>> + Send + 'a>> {
        let missing = match stop {
            Stop::Missing(miss) => Some(miss),
            Stop::NotReady => None,
        };
        Box::pin(Self {
            thread,
            call,
            segments,
            state,
            place: Place::default(),
            missing,
            sleep: None,
            begins: true,
            direction: PhantomData,
        })
    }

    /// Whether the moment is over at which the object wants to be asked again.
    #[cold]
    fn is_over(&mut self, at: Instant, context: &mut Context<'_>) -> bool {
        let sleep = match self.sleep.take() {
            Some(sleep) if sleep.deadline() == at => sleep,
            _ => Box::new(sleep_until(at)),
        };
        let sleep = self.sleep.insert(sleep);
        let over = Pin::new(&mut **sleep).poll(context).is_ready();
        if over {
            self.sleep = None;
        }
        over
    }
}

impl<D: Direction> Future for Waiting<'_, D> {
    type Output = Result<usize>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<usize>> {
        let this = &mut *self;
        let mut register = core::mem::take(&mut this.begins);
        loop {
            if let Some(miss) = &mut this.missing {
                ready!(miss.as_mut().poll(context))?;
                this.missing = None;
            }
            // Register, then try: what changes after this wakes the task.
            if register && let Some(queue) = this.call.file.queue() {
                queue.enter(&mut this.place, D::EVENTS.bits(), context.waker());
            }
            match attempt::<D>(&this.call, this.thread, &this.segments, &mut this.state) {
                Ok(result) => return Poll::Ready(result),
                Err(Stop::Missing(miss)) => {
                    this.missing = Some(miss);
                    continue;
                }
                Err(Stop::NotReady) => {}
            }
            // Woken, mostly it is there, and there is nothing to register for.
            if !core::mem::replace(&mut register, true) {
                continue;
            }
            match this.state.progress.timer.deadline() {
                Some(at) if this.is_over(at, context) => {}
                _ => break,
            }
        }
        if this.thread.tcb.is_interrupted() {
            let done = this.state.done;
            return Poll::Ready(if done > 0 { Ok(done) } else { Err(Errno::ERESTARTSYS) });
        }
        Poll::Pending
    }
}

impl<D> Drop for Waiting<'_, D> {
    fn drop(&mut self) {
        if let Some(queue) = self.call.file.queue() {
            queue.leave(&mut self.place);
        }
    }
}
