//! Try first, wait second: how a read or a write becomes an [`Outcome`].
//!
//! ```text
//!   once ──▶ File::read(sink) ──▶ Ok(n)                       ──▶ Done(n)
//!                 ▲   │ EFAULT: make the page present, again
//!                 │   │ EAGAIN, may wait ──▶ boxed future: listen, try, await
//!                 └───┘ MISS ──▶ boxed future: await the fill, try
//! ```
//! The first attempt builds no future and allocates nothing. Only the wait can be interrupted: what
//! was transferred before a signal is the call's result.

use super::{File, Object, Progress};
use crate::{syscall::Outcome, thread::Thread};
use abi::{Errno, Events, Result};
use alloc::{boxed::Box, sync::Arc};
use executor::{select, sleep_until};
use framework::{Sink, Source, copy::Segment};
use fs::{Caller, Miss};
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
struct State {
    done: usize,
    progress: Progress,
}

/// One direction of transfer.
trait Direction: Send + Sync + 'static {
    /// What an attempt waits for.
    const EVENTS: Events;
    /// Whether it can make a file larger.
    const GROWS: bool;

    /// Whether an attempt on `file` would find nothing; false if only the attempt can tell.
    fn must_wait(file: &File) -> bool;

    /// One attempt over `segments` from where the last one stopped.
    fn attempt(
        call: &Call,
        thread: &Thread,
        caller: &Caller<'_>,
        segments: &[Segment],
        state: &mut State,
    ) -> Result<usize>;
}

/// What stays the same over the attempts of one call.
struct Call {
    file: Arc<File>,
    at: At,
}

struct In;
struct Out;

impl Direction for In {
    const EVENTS: Events = Events::IN.union(Events::ERR).union(Events::HUP).union(Events::RDHUP);
    const GROWS: bool = false;

    fn must_wait(file: &File) -> bool {
        matches!(file.object(), Object::Pipe(pipe) if pipe.must_wait_to_read())
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
}

impl Direction for Out {
    const EVENTS: Events = Events::OUT.union(Events::ERR).union(Events::HUP);
    const GROWS: bool = true;

    fn must_wait(_: &File) -> bool {
        false
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
}

/// Reads into `segments`; the file is open for reading.
///
/// # Errors
/// Those of [`File::read`]; `EAGAIN` only if the file is non-blocking.
pub fn read(thread: &Thread, file: Arc<File>, at: At, segments: Segments) -> Result<Outcome<'_>> {
    transfer::<In>(thread, file, at, segments)
}

/// Writes from `segments`, the file being open for writing; sends `SIGPIPE` and `SIGXFSZ` where Linux does.
///
/// # Errors
/// Those of [`File::write`]; `EAGAIN` only if the file is non-blocking.
pub fn write(thread: &Thread, file: Arc<File>, at: At, segments: Segments) -> Result<Outcome<'_>> {
    transfer::<Out>(thread, file, at, segments)
}

#[inline]
fn transfer<D: Direction>(
    thread: &Thread,
    file: Arc<File>,
    at: At,
    segments: Segments,
) -> Result<Outcome<'_>> {
    let call = Call { file, at };
    let mut state = State::default();
    match step::<D>(&call, thread, &segments, &mut state) {
        Ok(result) => result.map(Outcome::Done),
        Err(stop) => Ok(Outcome::Wait(Box::pin(wait::<D>(thread, call, segments, state, stop)))),
    }
}

/// One attempt: the call's result, or why it has to wait.
#[inline]
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

/// Goes on with a call that could not end at once.
fn wait<D: Direction>(
    thread: &Thread,
    call: Call,
    segments: Segments,
    mut state: State,
    stop: Stop,
) -> impl Future<Output = Result<usize>> + Send {
    let mut stop = Some(stop);
    // A plain function around the block: an async fn would store its arguments twice.
    async move {
        loop {
            if let Some(Stop::Missing(miss)) = stop.take() {
                miss.await?;
            }
            let queue = call.file.queue();
            // Register, then try: what changes after this wakes the listener.
            let listener = queue.map(|queue| queue.listen(D::EVENTS.bits(), false));
            let tried = if state.done == 0 && D::must_wait(&call.file) {
                Err(Stop::NotReady)
            } else {
                step::<D>(&call, thread, &segments, &mut state)
            };
            match tried {
                Ok(result) => return result,
                Err(Stop::Missing(miss)) => {
                    stop = Some(Stop::Missing(miss));
                    continue;
                }
                Err(Stop::NotReady) => {
                    let Some(listener) = listener else { return Err(Errno::EAGAIN) };
                    let deadline = state.progress.timer.deadline();
                    let waited = match deadline {
                        None => thread.wait(listener).await.map(drop),
                        Some(at) => thread.wait(select(listener, sleep_until(at))).await.map(drop),
                    };
                    if let Err(errno) = waited {
                        return if state.done > 0 { Ok(state.done) } else { Err(errno) };
                    }
                }
            }
            // Mostly it is there now, and there is nothing to register for.
            match step::<D>(&call, thread, &segments, &mut state) {
                Ok(result) => return result,
                Err(Stop::Missing(miss)) => stop = Some(Stop::Missing(miss)),
                Err(Stop::NotReady) => {}
            }
        }
    }
}
