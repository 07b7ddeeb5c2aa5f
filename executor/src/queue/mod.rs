//! The queues of a CPU.

mod door;
#[cfg(not(loom))]
mod fair;
mod inbox;
#[cfg(not(loom))]
mod realtime;
#[cfg(not(loom))]
mod run_queue;

pub(crate) use door::Door;
pub(crate) use inbox::NIL;
#[cfg(not(loom))]
pub(crate) use {fair::to_virtual, inbox::Inbox, run_queue::RunQueue};
