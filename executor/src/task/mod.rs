//! Tasks: their records, the table that holds them, handles, and the future around each.
//!
//! A record is what the scheduler knows of a task. Records live in a table that grows and never
//! shrinks, so an index stands for a record and lists of tasks need no memory of their own; the
//! handles count the references to a record, and the last one gives it back.

mod handle;
mod info;
mod name;
mod reason;
mod record;
mod root;
mod spawn;
mod table;

pub use handle::TaskRef;
pub use info::{State, TaskInfo, tasks};
pub use spawn::{Spawn, spawn};

pub(crate) use reason::waiting_for;
pub use record::Mode;
pub(crate) use record::{NIL, Place, Record, add};
pub(crate) use table::record;
#[cfg(not(target_os = "none"))]
pub(crate) use table::{all, next_id};

/// A task that is ready and in no queue, or about to run.
pub(crate) type Runnable = async_task::Runnable<TaskRef>;
