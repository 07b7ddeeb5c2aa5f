//! Signals that wait to be delivered.

use super::{Info, SignalSet, code};
use abi::{Errno, Result};
use alloc::vec::Vec;

/// Pending signals of a thread or a process, oldest first.
#[derive(Debug, Default)]
pub struct Pending {
    set: SignalSet,
    queue: Vec<Info>,
}

impl Pending {
    /// Which signals are pending.
    pub const fn set(&self) -> SignalSet {
        self.set
    }

    /// Adds a signal. One below `SIGRTMIN` that is already pending is dropped.
    ///
    /// # Errors
    /// - `EAGAIN`: a real-time signal, and `max` are queued.
    pub fn push(&mut self, info: Info, max: u64) -> Result<()> {
        let signal = info.signal;
        // Each timer has a place of its own.
        if !signal.is_realtime() && self.set.contains(signal) && info.code != code::TIMER {
            return Ok(());
        }
        if signal.is_realtime() && self.queue.len() as u64 >= max {
            return Err(Errno::EAGAIN);
        }
        self.queue.push(info);
        self.set.insert(signal);
        Ok(())
    }

    /// Takes the oldest of the signals in `set` that come first.
    pub fn take(&mut self, set: SignalSet) -> Option<Info> {
        let signal = (self.set & set).first()?;
        let index = self.queue.iter().position(|info| info.signal == signal)?;
        let info = self.queue.remove(index);
        if !self.queue.iter().any(|info| info.signal == signal) {
            self.set.remove(signal);
        }
        Some(info)
    }

    /// Drops all signals of `set`.
    pub fn discard(&mut self, set: SignalSet) {
        if (self.set & set).is_empty() {
            return;
        }
        self.queue.retain(|info| !set.contains(info.signal));
        self.set = self.set & !set;
    }

    /// Drops the pending entries that match.
    pub fn remove(&mut self, matches: impl Fn(&Info) -> bool) {
        self.queue.retain(|info| !matches(info));
        self.set = self.queue.iter().fold(SignalSet::EMPTY, |mut set, info| {
            set.insert(info.signal);
            set
        });
    }

    /// The pending entry that `matches`, to be changed in place.
    pub fn find(&mut self, matches: impl Fn(&Info) -> bool) -> Option<&mut Info> {
        self.queue.iter_mut().find(|info| matches(info))
    }

    /// How many are queued.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether none is queued.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

/// The signal to take first of two sets of pending ones: the thread's before the process's.
pub(super) fn take(
    thread: &mut Pending,
    process: &mut Pending,
    blocked: SignalSet,
) -> Option<Info> {
    let take_from = |pending: &mut Pending| pending.take(!blocked);
    take_from(thread).or_else(|| take_from(process))
}

#[cfg(test)]
mod tests {
    use super::Pending;
    use crate::signal::{Info, SignalSet};
    use abi::{Errno, Signal};

    const ALL: SignalSet = SignalSet::from_bits(u64::MAX);

    #[test]
    fn standard_signals_merge_and_real_time_ones_queue() {
        let mut pending = Pending::default();
        for pid in [1, 2] {
            pending.push(Info::from_process(Signal::INT, 0, pid, 0), 10).unwrap();
            pending.push(Info::from_process(Signal::RTMIN, -1, pid, 0), 10).unwrap();
        }
        let order: Vec<_> =
            core::iter::from_fn(|| pending.take(ALL)).map(|i| (i.signal, i.pid())).collect();
        assert_eq!(order, [(Signal::INT, 1), (Signal::RTMIN, 1), (Signal::RTMIN, 2)]);
        assert!(pending.set().is_empty());
    }

    #[test]
    fn the_queue_is_bounded_for_real_time_signals_only() {
        let mut pending = Pending::default();
        pending.push(Info::kernel(Signal::RTMIN), 1).unwrap();
        assert_eq!(pending.push(Info::kernel(Signal::RTMIN), 1), Err(Errno::EAGAIN));
        assert_eq!(pending.push(Info::kernel(Signal::KILL), 1), Ok(()));
        pending.discard(SignalSet::of(&[Signal::RTMIN]));
        assert_eq!(pending.len(), 1);
    }
}
