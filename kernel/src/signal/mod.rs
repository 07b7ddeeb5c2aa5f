//! Signals: sets, actions, queues, delivery, frames.

mod set;

pub use set::SignalSet;

/// Signals that wait for one thread.
#[derive(Debug, Default)]
pub struct ThreadSignals {
    /// Which ones.
    pub pending: SignalSet,
}
