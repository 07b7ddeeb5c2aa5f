//! The queues of a CPU.

mod fair;
mod inbox;
mod realtime;
mod run_queue;

pub(crate) use fair::to_virtual;
pub(crate) use inbox::Inbox;
pub(crate) use run_queue::RunQueue;
