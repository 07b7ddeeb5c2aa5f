//! Waiting for one of many files: what poll(2), select(2) and epoll(7) share.
//!
//! The first look at the files registers nothing. Only a call that has to wait makes a listener for
//! each file, looks again, and sleeps until one is woken.

mod epoll;

use crate::{file::File, thread::Thread};
use abi::{Errno, Events, Result};
use alloc::{sync::Arc, vec::Vec};
use core::{
    future::{Future, poll_fn},
    pin::Pin,
    task::Poll,
};
use executor::{Either, select, sleep_until, wait::Listener};
use framework::Instant;

pub use epoll::{Epoll, EpollFlags, Interest};

/// A file and the events of interest; errors and hang-ups always are.
#[derive(Clone, Debug)]
pub struct Watched {
    /// The file; `None` is never ready.
    pub file: Option<Arc<File>>,
    /// Events of interest.
    pub events: Events,
}

/// Events that are reported whether asked for or not.
pub const ALWAYS: Events = Events::ERR.union(Events::HUP);

impl Watched {
    /// Which events of interest are there now.
    pub fn ready(&self, thread: &Thread) -> Events {
        match &self.file {
            Some(file) => file.events(thread) & (self.events | ALWAYS),
            None => Events::empty(),
        }
    }
}

/// Whether any of `watched` is ready now.
pub fn any_ready(thread: &Thread, watched: &[Watched]) -> bool {
    watched.iter().any(|one| !one.ready(thread).is_empty())
}

/// Waits until one of `watched` is ready (true) or until `deadline` (false).
///
/// # Errors
/// - `ERESTARTSYS`: a signal came first.
pub async fn wait(thread: &Thread, watched: &[Watched], deadline: Option<Instant>) -> Result<bool> {
    loop {
        let mut listeners = Vec::new();
        listeners.try_reserve_exact(watched.len()).map_err(|_| Errno::ENOMEM)?;
        for one in watched {
            let queue = one.file.as_ref().and_then(|file| file.queue());
            listeners.extend(queue.map(|queue| queue.listen((one.events | ALWAYS).bits(), false)));
        }
        if any_ready(thread, watched) {
            return Ok(true);
        }
        let woken = any(&mut listeners);
        match deadline {
            None => thread.wait(woken).await?,
            Some(at) => match thread.wait(select(woken, sleep_until(at))).await? {
                Either::First(()) => {}
                Either::Second(_) => return Ok(any_ready(thread, watched)),
            },
        }
    }
}

/// Completes when one of the listeners does; never, without listeners.
fn any(listeners: &mut [Listener<'_>]) -> impl Future<Output = ()> {
    poll_fn(move |context| {
        let woken =
            listeners.iter_mut().any(|listener| Pin::new(listener).poll(context).is_ready());
        if woken { Poll::Ready(()) } else { Poll::Pending }
    })
}
