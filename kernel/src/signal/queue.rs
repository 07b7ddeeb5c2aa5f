//! Signals that wait to be delivered.

use super::{Info, SignalSet, code};
use crate::cred::Charge;
use abi::{Errno, Result};
use alloc::vec::Vec;

/// Pending signals of a thread or a process, oldest first.
#[derive(Debug, Default)]
pub struct Pending {
    set: SignalSet,
    queue: Vec<Queued>,
}

/// A signal, and what its receiver's user is charged for it.
#[derive(Debug)]
struct Queued {
    info: Info,
    _charge: Option<Charge>,
}

impl Pending {
    /// Which signals are pending.
    pub const fn set(&self) -> SignalSet {
        self.set
    }

    /// Adds a signal, with what its user is charged for it. One for which nobody is charged is
    /// dropped if it is already pending.
    ///
    /// # Errors
    /// - `EAGAIN`: no memory.
    pub fn push(&mut self, info: Info, charge: Option<Charge>) -> Result<()> {
        let signal = info.signal;
        // Each timer has a place of its own.
        if charge.is_none() && self.set.contains(signal) && info.code != code::TIMER {
            return Ok(());
        }
        self.queue.try_reserve(1).map_err(|_| Errno::EAGAIN)?;
        self.queue.push(Queued { info, _charge: charge });
        self.set.insert(signal);
        Ok(())
    }

    /// Takes the oldest of the signals in `set` that come first.
    pub fn take(&mut self, set: SignalSet) -> Option<Info> {
        let signal = (self.set & set).first()?;
        let index = self.queue.iter().position(|queued| queued.info.signal == signal)?;
        let Queued { info, .. } = self.queue.remove(index);
        if !self.queue.iter().any(|queued| queued.info.signal == signal) {
            self.set.remove(signal);
        }
        Some(info)
    }

    /// Drops all signals of `set`.
    pub fn discard(&mut self, set: SignalSet) {
        if (self.set & set).is_empty() {
            return;
        }
        self.queue.retain(|queued| !set.contains(queued.info.signal));
        self.set = self.set & !set;
    }

    /// Drops the pending entries that match.
    pub fn remove(&mut self, matches: impl Fn(&Info) -> bool) {
        self.queue.retain(|queued| !matches(&queued.info));
        self.set = self.queue.iter().fold(SignalSet::EMPTY, |mut set, queued| {
            set.insert(queued.info.signal);
            set
        });
    }

    /// The pending entry that `matches`, to be changed in place.
    pub fn find(&mut self, matches: impl Fn(&Info) -> bool) -> Option<&mut Info> {
        self.queue.iter_mut().map(|queued| &mut queued.info).find(|info| matches(info))
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
    use crate::{
        cred::{Limited, Users},
        signal::{Info, SignalSet},
    };
    use abi::Signal;

    const ALL: SignalSet = SignalSet::from_bits(u64::MAX);

    #[test]
    fn standard_signals_merge_and_real_time_ones_queue() {
        let users = Users::new();
        let mut pending = Pending::default();
        for pid in [1, 2] {
            pending.push(Info::from_process(Signal::INT, 0, pid, 0), None).unwrap();
            let charge = users.charge(7, Limited::Signals, 2);
            pending.push(Info::from_process(Signal::RTMIN, -1, pid, 0), charge).unwrap();
        }
        let order: Vec<_> =
            core::iter::from_fn(|| pending.take(ALL)).map(|i| (i.signal, i.pid())).collect();
        assert_eq!(order, [(Signal::INT, 1), (Signal::RTMIN, 1), (Signal::RTMIN, 2)]);
        assert!(pending.set().is_empty());
    }

    #[test]
    fn what_is_taken_or_discarded_is_no_longer_charged() {
        let users = Users::new();
        let charge = || users.charge(7, Limited::Signals, 2);
        let mut pending = Pending::default();
        pending.push(Info::kernel(Signal::RTMIN), charge()).unwrap();
        pending.push(Info::kernel(Signal::RTMIN), charge()).unwrap();
        assert!(charge().is_none());
        pending.push(Info::kernel(Signal::KILL), None).unwrap();
        assert!(pending.take(SignalSet::of(&[Signal::RTMIN])).is_some());
        assert_eq!(users.count(7, Limited::Signals), 1);
        pending.discard(SignalSet::of(&[Signal::RTMIN]));
        assert_eq!((pending.len(), users.count(7, Limited::Signals)), (1, 0));
    }
}
