//! Sets of signals, as `sigset_t` lays them out.

use abi::Signal;
use core::ops::{BitAnd, BitOr, Not};

/// A set of signals; signal n is bit n - 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignalSet(u64);

impl SignalSet {
    /// No signal.
    pub const EMPTY: Self = Self(0);
    /// `SIGKILL` and `SIGSTOP`, which cannot be blocked, caught or ignored.
    pub const UNBLOCKABLE: Self = Self::of(&[Signal::KILL, Signal::STOP]);
    /// The signals that stop a process.
    pub const STOPS: Self = Self::of(&[Signal::STOP, Signal::TSTP, Signal::TTIN, Signal::TTOU]);
    /// The signals an instruction causes; they come first.
    pub const SYNCHRONOUS: Self =
        Self::of(&[Signal::SEGV, Signal::BUS, Signal::ILL, Signal::TRAP, Signal::FPE, Signal::SYS]);

    /// The set with these bits.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The bits.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The set of `signals`.
    pub const fn of(signals: &[Signal]) -> Self {
        let mut bits = 0;
        let mut index = 0;
        while index < signals.len() {
            bits |= 1 << signals[index].index();
            index += 1;
        }
        Self(bits)
    }

    /// Whether it has no signal.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether `signal` is in it.
    pub const fn contains(self, signal: Signal) -> bool {
        self.0 & (1 << signal.index()) != 0
    }

    /// Adds a signal.
    pub fn insert(&mut self, signal: Signal) {
        self.0 |= 1 << signal.index();
    }

    /// Removes a signal.
    pub fn remove(&mut self, signal: Signal) {
        self.0 &= !(1 << signal.index());
    }

    /// The signals in ascending order.
    pub fn iter(self) -> impl Iterator<Item = Signal> {
        (1..=64).filter_map(|number| Signal::new(number).ok()).filter(move |s| self.contains(*s))
    }

    /// The signal to take first: an instruction's own, else the lowest number.
    pub fn first(self) -> Option<Signal> {
        let synchronous = self & Self::SYNCHRONOUS;
        let set = if synchronous.is_empty() { self } else { synchronous };
        if set.is_empty() {
            return None;
        }
        Signal::new(set.0.trailing_zeros().cast_signed() + 1).ok()
    }
}

impl BitAnd for SignalSet {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl BitOr for SignalSet {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl Not for SignalSet {
    type Output = Self;
    fn not(self) -> Self {
        Self(!self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::SignalSet;
    use abi::Signal;

    #[test]
    fn bits_are_those_of_linux() {
        assert_eq!(SignalSet::UNBLOCKABLE.bits(), 0x4_0100);
        assert!(SignalSet::from_bits(1 << 63).contains(Signal::RTMAX));
    }

    #[test]
    fn synchronous_signals_come_first() {
        let set = SignalSet::of(&[Signal::HUP, Signal::SEGV, Signal::INT]);
        assert_eq!(set.first(), Some(Signal::SEGV));
        assert_eq!((set & !SignalSet::SYNCHRONOUS).first(), Some(Signal::HUP));
        assert_eq!(SignalSet::EMPTY.first(), None);
        assert_eq!(set.iter().count(), 3);
    }
}
