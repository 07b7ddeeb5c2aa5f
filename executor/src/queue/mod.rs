//! The queues of a CPU.

mod inbox;
mod run_queue;

pub(crate) use inbox::Inbox;
pub(crate) use run_queue::RunQueue;
