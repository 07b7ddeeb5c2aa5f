//! The first of two.

use core::{
    pin::Pin,
    task::{Context, Poll},
};
use pin_project_lite::pin_project;

/// What the first of two futures completed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Either<A, B> {
    /// The first one was first.
    First(A),
    /// The second one was.
    Second(B),
}

pin_project! {
    /// The future of [`select`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct Select<A, B> {
        #[pin]
        first: A,
        #[pin]
        second: B,
    }
}

/// Completes with whichever of two futures completes first; `first` if both could.
///
/// # Cancel safety
/// The other one is dropped: it must be cancel safe where that matters.
pub fn select<A: Future, B: Future>(first: A, second: B) -> Select<A, B> {
    Select { first, second }
}

impl<A: Future, B: Future> Future for Select<A, B> {
    type Output = Either<A::Output, B::Output>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.first.poll(context) {
            return Poll::Ready(Either::First(output));
        }
        this.second.poll(context).map(Either::Second)
    }
}
