//! The future around a task's future: it tells the scheduler when a poll ends and how.

use crate::sched::{self, PollEnd};
use core::{
    pin::Pin,
    task::{Context, Poll},
};
use pin_project_lite::pin_project;

pin_project! {
    /// Runs inside the cell, so the accounts are settled before anybody can run the task again.
    pub(super) struct Root<F> {
        #[pin]
        future: F,
    }
}

impl<F> Root<F> {
    pub(super) fn new(future: F) -> Self {
        Self { future }
    }
}

impl<F: Future<Output = ()>> Future for Root<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let poll = if sched::is_abandoned() {
            Poll::Ready(())
        } else {
            self.project().future.poll(context)
        };
        sched::poll_ended(match poll {
            Poll::Ready(()) => PollEnd::Done,
            Poll::Pending => PollEnd::Waits,
        });
        poll
    }
}
