//! Waiting for a task's result.

use crate::{
    Spawn, TaskRef,
    channel::{self, oneshot},
    task,
};
use core::{
    pin::Pin,
    task::{Context, Poll},
};

/// Completes with the result of a task; dropping it leaves the task running.
#[derive(Debug)]
pub struct JoinHandle<T> {
    task: TaskRef,
    result: oneshot::Receiver<T>,
}

impl<T> JoinHandle<T> {
    /// The task.
    pub fn task(&self) -> &TaskRef {
        &self.task
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        Pin::new(&mut self.result).poll(context).map(|result| {
            result.unwrap_or_else(|channel::Closed| unreachable!("a task runs to its end"))
        })
    }
}

/// Starts a task like [`crate::spawn`] whose result can be awaited.
pub fn spawn_join<T: Send + 'static>(
    how: Spawn<'_>,
    future: impl Future<Output = T> + Send + 'static,
) -> JoinHandle<T> {
    let (sender, result) = oneshot::channel();
    let task = task::spawn(how, async move {
        // Nobody may be waiting for it.
        let _ = sender.send(future.await);
    });
    JoinHandle { task, result }
}
