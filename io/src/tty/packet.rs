//! Packet mode (`TIOCPKT`): what a pseudo-terminal's master is told apart from the data.

use abi::Events;

use super::line::Effects;

/// The status that waits for the master; collected only in packet mode.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Packet {
    enabled: bool,
    status: u8,
}

impl Packet {
    pub(super) const FLUSH_READ: u8 = 1;
    pub(super) const FLUSH_WRITE: u8 = 2;
    pub(super) const STOP: u8 = 4;
    pub(super) const START: u8 = 8;
    pub(super) const NO_STOP: u8 = 16;
    pub(super) const DO_STOP: u8 = 32;
    pub(super) const IOCTL: u8 = 64;

    pub(super) fn is_enabled(self) -> bool {
        self.enabled
    }

    /// Switches packet mode; switching it on forgets old status.
    pub(super) fn set_enabled(&mut self, enabled: bool) {
        if enabled && !self.enabled {
            self.status = 0;
        }
        self.enabled = enabled;
    }

    /// Whether there is status for the master.
    pub(super) fn is_pending(self) -> bool {
        self.enabled && self.status != 0
    }

    /// The status, once.
    pub(super) fn take(&mut self) -> u8 {
        core::mem::take(&mut self.status)
    }

    pub(super) fn note(&mut self, bits: u8, effects: &mut Effects) {
        self.note_flow(bits, 0, effects);
    }

    /// Notes `set` in place of its opposite.
    pub(super) fn note_flow(&mut self, set: u8, clear: u8, effects: &mut Effects) {
        if self.enabled {
            self.status = self.status & !clear | set;
            effects.wire |= Events::IN | Events::PRI;
        }
    }
}
