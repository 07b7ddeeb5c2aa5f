//! signalfd(2): pending signals as bytes.

use super::{Info, SignalSet, code, queue};
use crate::{process::Process, thread::Thread};
use abi::{Errno, Events, Result, Signal};
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering};
use executor::wait::WaitQueue;
use framework::Sink;

/// Bytes of a `struct signalfd_siginfo`.
const RECORD: usize = 128;

/// A descriptor that reads the pending signals of who reads it.
#[derive(Debug)]
pub struct SignalFd {
    mask: AtomicU64,
    /// Whose signals wake those who wait; who made the descriptor.
    process: Arc<Process>,
}

impl SignalFd {
    /// A descriptor for the signals of `mask`.
    pub fn new(mask: SignalSet, process: Arc<Process>) -> Self {
        let fd = Self { mask: AtomicU64::new(0), process };
        fd.set_mask(mask);
        fd
    }

    /// Changes which signals it reads.
    pub fn set_mask(&self, mask: SignalSet) {
        self.mask.store((mask & !SignalSet::UNBLOCKABLE).bits(), Ordering::Relaxed);
        self.process.signal_events.wake_all(Events::IN.bits());
    }

    /// Which signals it reads.
    pub fn mask(&self) -> SignalSet {
        SignalSet::from_bits(self.mask.load(Ordering::Relaxed))
    }

    /// Takes pending signals, as many as fit.
    ///
    /// # Errors
    /// - `EINVAL`: not room for one.
    /// - `EAGAIN`: none is pending.
    pub fn read(&self, thread: &Thread, to: &mut Sink<'_>) -> Result<usize> {
        // A fault that has been resolved goes on behind the records that are there.
        if to.done() == 0 && to.remaining() < RECORD {
            return Err(Errno::EINVAL);
        }
        while to.remaining() >= RECORD && !self.events(thread).is_empty() {
            // A signal that is taken cannot be put back.
            to.prepare(RECORD)?;
            let Some(info) = dequeue(thread, self.mask()) else { break };
            to.write_whole(&record(&info))?;
        }
        if to.done() == 0 { Err(Errno::EAGAIN) } else { Ok(to.done()) }
    }

    /// Whether a signal is pending for `thread`.
    pub fn events(&self, thread: &Thread) -> Events {
        let ready = !(thread.tcb.pending() & self.mask()).is_empty();
        if ready { Events::IN } else { Events::empty() }
    }

    /// Who waits for one.
    pub fn queue(&self) -> &WaitQueue {
        &self.process.signal_events
    }
}

/// Takes the first pending signal of `set`, blocked or not.
pub fn dequeue(thread: &Thread, set: SignalSet) -> Option<Info> {
    let mut shared = thread.process().signals.lock();
    let mut own = thread.tcb.signals.lock();
    let info = queue::take(&mut own.pending, &mut shared.pending, !set);
    drop((own, shared));
    if info.is_some() {
        super::refresh_work(thread);
    }
    info
}

/// `struct signalfd_siginfo`.
fn record(info: &Info) -> [u8; RECORD] {
    let mut bytes = [0; RECORD];
    let mut put = |at: usize, value: u32| bytes[at..at + 4].copy_from_slice(&value.to_ne_bytes());
    put(0, u32::from(info.signal.number()));
    put(4, info.errno.cast_unsigned());
    put(8, info.code.cast_unsigned());
    let is_fault = info.code > 0 && SignalSet::SYNCHRONOUS.contains(info.signal);
    let [low, high] = {
        let value = info.value().to_ne_bytes();
        [[value[0], value[1], value[2], value[3]], [value[4], value[5], value[6], value[7]]]
            .map(u32::from_ne_bytes)
    };
    if info.code == code::TIMER {
        put(24, info.pid());
        put(32, info.uid());
        put(44, low);
        put(48, low);
        put(52, high);
    } else if is_fault {
        bytes[72..80].copy_from_slice(&info.fields[0].to_ne_bytes());
    } else {
        put(12, info.pid());
        put(16, info.uid());
        if info.signal == Signal::CHLD {
            put(40, info.status().cast_unsigned());
        } else {
            put(44, low);
            put(48, low);
            put(52, high);
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::record;
    use crate::signal::{Info, code};
    use abi::Signal;

    #[test]
    fn records_have_linux_s_layout() {
        let bytes = record(&Info::child(Signal::CHLD, code::CLD_EXITED, 5, 6, 7));
        let word = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!([word(0), word(8), word(12), word(16), word(40)], [17, 1, 5, 6, 7]);
    }
}
