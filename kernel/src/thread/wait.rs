//! Waiting: what a signal can interrupt, and how an interrupted call goes on.
//!
//! A thread has one waker. A signal sets a work bit and wakes the task; the wait looks at the bit
//! each time it is polled. So only the wait is interrupted, never what happens around it.

use super::{Tcb, Thread, Work};
use crate::syscall::FutexWait;
use abi::{Errno, Result};
use core::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};
use executor::wait::WaitQueue;
use framework::Instant;

/// How an interrupted call goes on after a stop or an ignored signal (restart_syscall(2)).
#[derive(Clone, Copy, Debug, Default)]
pub enum Restart {
    /// There is nothing to go on with: `EINTR`.
    #[default]
    None,
    /// nanosleep and clock_nanosleep until `deadline`.
    Sleep {
        /// The end of the sleep.
        deadline: Instant,
        /// Where the rest is stored when interrupted again.
        remaining: Option<crate::syscall::UserPtr<abi::Timespec>>,
    },
    /// A futex wait with a timeout.
    Futex(FutexWait),
}

/// What ends a wait.
const INTERRUPTS: Work = Work::SIGNAL.union(Work::EXIT).union(Work::STOP);

impl Tcb {
    /// Whether something came that ends a wait: `ERESTARTSYS`. A wait looks at its own condition
    /// first.
    pub fn is_interrupted(&self) -> bool {
        self.work().intersects(INTERRUPTS)
    }
}

impl Thread {
    /// Waits for `future`, or for a signal.
    ///
    /// # Errors
    /// - `ERESTARTSYS`: a signal came first; the caller maps it to another restart code where
    ///   Linux does.
    ///
    /// # Cancel safety
    /// As `future`.
    pub async fn wait<F: Future>(&self, future: F) -> Result<F::Output> {
        interruptible(&self.tcb, INTERRUPTS, future).await
    }

    /// Waits for `future`, or for the order to end.
    ///
    /// # Errors
    /// - `EINTR`: the thread has to end.
    pub async fn wait_killable<F: Future>(&self, future: F) -> Result<F::Output> {
        interruptible(&self.tcb, Work::EXIT, future).await
    }

    /// Waits until `attempt` returns something, trying again whenever `queue` is woken with one of
    /// the events of `mask`.
    ///
    /// # Errors
    /// - `ERESTARTSYS`: a signal came first.
    pub async fn wait_until<T>(
        &self,
        queue: &WaitQueue,
        mask: u32,
        mut attempt: impl FnMut() -> Option<T>,
    ) -> Result<T> {
        loop {
            // Register first: a wake between the attempt and the wait is not lost.
            let listener = queue.listen(mask, false);
            if let Some(value) = attempt() {
                return Ok(value);
            }
            self.wait(listener).await?;
        }
    }

    /// Like [`wait`](Self::wait), but a signal without a handler continues the call as `restart`
    /// says, through restart_syscall(2).
    ///
    /// # Errors
    /// - `ERESTART_RESTARTBLOCK`: a signal came first.
    pub async fn wait_restartable<F: Future>(
        &self,
        future: F,
        restart: Restart,
    ) -> Result<F::Output> {
        match self.wait(future).await {
            Ok(output) => Ok(output),
            Err(_) => {
                *self.restart.lock() = restart;
                Err(Errno::ERESTART_RESTARTBLOCK)
            }
        }
    }
}

/// Polls `future`, but gives up as soon as the thread has work of `interrupts`.
async fn interruptible<F: Future>(tcb: &Tcb, interrupts: Work, future: F) -> Result<F::Output> {
    let mut future = pin!(future);
    poll_fn(|context| {
        // What is there wins over a signal that came at the same time.
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(Ok(output));
        }
        if tcb.work().intersects(interrupts) {
            return Poll::Ready(Err(Errno::ERESTARTSYS));
        }
        Poll::Pending
    })
    .await
}
