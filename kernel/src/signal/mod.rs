//! Signals: sets, actions, queues, sending, delivery, frames.
//!
//! ```text
//!   send ─▶ pending (thread's or process's) ─▶ work bit + wake ─▶ loop's exit work
//!                                                                   │ delivery::deliver
//!                            handler: frame on the user stack ◀─────┤
//!                            default: ignore, stop, continue, end ◀─┘
//! ```
//! A signal that the process ignores is dropped when it is sent, so a work bit means something.

mod action;
mod delivery;
mod frame;
mod info;
mod queue;
mod send;
mod set;
mod signalfd;
mod stop;

pub use action::{Action, Actions, DEFAULT, Default, Flags, IGNORE};
pub use delivery::{
    Interrupted, deliver, finish, force, refresh_work, replace_mask, restore_mask, set_blocked,
};
pub use frame::{AltStack, TrapInfo, min_stack_size, sigreturn, stack_flags};
pub use info::{Info, code};
pub use queue::Pending;
pub use send::{discard, may_signal, post_to_process, post_to_thread, send_to_group};
pub use set::SignalSet;
pub use signalfd::{SignalFd, dequeue};
pub use stop::{StopState, count_gone, notify_parent, stopped};

/// Signals that wait for one thread.
#[derive(Debug, core::default::Default)]
pub struct ThreadSignals {
    /// Which ones.
    pub pending: Pending,
}

/// Signals that wait for a process, whichever thread takes them; and its job-control state.
#[derive(Debug, core::default::Default)]
pub struct ProcessSignals {
    /// Which ones.
    pub pending: Pending,
    /// Whether the process is stopped.
    pub stop: StopState,
}
