//! Waiting for things to change.

mod listener;
mod nodes;
mod place;
mod queue;

pub use listener::Listener;
pub use place::Place;
pub use queue::{Observer, ObserverKey, WaitQueue};

pub(crate) use nodes::{Nodes, Wakers, Woken};

use core::{
    pin::Pin,
    task::{Context, Poll},
};
use pin_project_lite::pin_project;

/// `future`, and what it waits for as the list of tasks shows it.
pub fn named<F: Future>(what: &'static str, future: F) -> Named<F> {
    Named { what, future }
}

pin_project! {
    /// The future of [`named`].
    #[derive(Debug)]
    pub struct Named<F> {
        what: &'static str,
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for Named<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let poll = this.future.poll(context);
        if poll.is_pending() {
            crate::task::waiting_for(this.what);
        }
        poll
    }
}
