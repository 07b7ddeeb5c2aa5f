//! Giving way.

use super::{
    cpu,
    run::{BY_ITSELF, TOLD},
};
use core::{
    pin::Pin,
    sync::atomic::Ordering::Relaxed,
    task::{Context, Poll},
};

/// Lets others run: after [`crate::preempt`] told it to, those that are due; otherwise at least one
/// other ready task.
///
/// # Cancel safety
/// It changes nothing.
pub fn yield_now() -> YieldNow {
    YieldNow { yielded: false }
}

/// The future of [`yield_now`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct YieldNow {
    yielded: bool,
}

impl Future for YieldNow {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.yielded {
            return Poll::Ready(());
        }
        self.yielded = true;
        let cpu = cpu::this();
        // The wake below makes sure that this poll is followed by another one.
        let told = cpu.told.load(Relaxed);
        cpu.yielding.store(if told { TOLD } else { BY_ITSELF }, Relaxed);
        context.waker().wake_by_ref();
        Poll::Pending
    }
}
