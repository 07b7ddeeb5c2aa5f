//! Locks and events for tasks.

mod event;
mod mutex;

pub use event::Event;
pub use mutex::{Mutex, MutexGuard};
