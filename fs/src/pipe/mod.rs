//! Pipes and FIFOs: pipe(7), fifo(7).
//!
//! ```text
//!   PipeEnd (write) ──copy──▶ ring of frames ──copy──▶ PipeEnd (read)
//! ```
//! The frames are taken when they are first needed and kept as long as the pipe; when the ring is
//! empty it starts again at its first byte, so small messages always use the same frame. One spin
//! lock guards everything and is held for one call's copy.

mod end;
mod ring;
#[cfg(test)]
mod tests;

pub use end::{Piece, PipeEnd};

use crate::{Errno, Result, count::Pipes, pipe::ring::Ring};
use alloc::sync::Arc;
use core::fmt;
use executor::wait::WaitQueue;
use framework::count::Counted;
use spin::Mutex;

/// Writes up to this many bytes are not mixed with others.
pub const PIPE_BUF: usize = 4096;
/// Bytes a new pipe holds.
pub const DEFAULT_SIZE: usize = 65536;
/// Bytes a pipe may hold without `CAP_SYS_RESOURCE` (`/proc/sys/fs/pipe-max-size`).
pub const SIZE_LIMIT: usize = 1 << 20;
/// Bytes any pipe may hold.
const SIZE_MAX: usize = 1 << 27;

/// A pipe, without its ends.
pub struct Pipe {
    state: Mutex<State>,
    queue: WaitQueue,
    _counted: Counted<Pipes>,
}

struct State {
    ring: Ring,
    readers: u32,
    writers: u32,
    /// How often it was opened for reading; tells an opener for writing that somebody came, even
    /// if he is gone again.
    readers_ever: u32,
    writers_ever: u32,
}

impl Pipe {
    /// An empty pipe without ends.
    pub fn new() -> Arc<Self> {
        let state =
            State { ring: Ring::new(), readers: 0, writers: 0, readers_ever: 0, writers_ever: 0 };
        Arc::new(Self {
            state: Mutex::new(state),
            queue: WaitQueue::new(),
            _counted: Counted::new(),
        })
    }

    /// Bytes in it (`FIONREAD`).
    pub fn len(&self) -> usize {
        self.state.lock().ring.len()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes it can hold (`F_GETPIPE_SZ`).
    pub fn size(&self) -> usize {
        self.state.lock().ring.capacity()
    }

    /// Changes how much it can hold, rounded up to a power of two of pages; returns that
    /// (`F_SETPIPE_SZ`).
    ///
    /// # Errors
    /// - `EINVAL`: far too large.
    /// - `EPERM`: over [`SIZE_LIMIT`], not privileged, and more than now.
    /// - `EBUSY`: what is in it would not fit.
    pub fn set_size(&self, size: usize, privileged: Privileged) -> Result<usize> {
        if size > 1 << 31 {
            return Err(Errno::EINVAL);
        }
        let size = size.max(framework::PAGE_SIZE).next_power_of_two();
        {
            let mut state = self.state.lock();
            let grows = size > state.ring.capacity();
            if grows && size > SIZE_LIMIT && privileged == Privileged::No {
                return Err(Errno::EPERM);
            }
            if size > SIZE_MAX {
                return Err(Errno::ENOMEM);
            }
            state.ring.resize(size)?;
        }
        self.queue.wake_all(u32::MAX);
        Ok(size)
    }
}

/// Whether the caller has `CAP_SYS_RESOURCE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privileged {
    /// It has.
    Yes,
    /// It has not.
    No,
}

impl fmt::Debug for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        let (readers, writers) = (state.readers, state.writers);
        write!(f, "Pipe({} bytes, {readers} readers, {writers} writers)", state.ring.len())
    }
}
