//! The table of numbers: threads, processes, process groups and sessions.

/// All threads, processes, groups and sessions by number.
#[derive(Debug, Default)]
pub struct PidTable {}

impl PidTable {
    /// An empty table.
    pub fn new() -> Self {
        Self {}
    }
}
