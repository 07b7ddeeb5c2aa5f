//! eventfd(2): a counter to wait on.

use abi::{Errno, Events, Result};
use core::sync::atomic::{AtomicU64, Ordering::SeqCst};
use executor::wait::WaitQueue;
use framework::{Sink, Source};

/// The largest value the counter takes.
const MAX: u64 = u64::MAX - 1;

/// A 64-bit counter: writes add, a read takes all of it (or one, as a semaphore).
#[derive(Debug)]
pub struct EventFd {
    count: AtomicU64,
    semaphore: bool,
    queue: WaitQueue,
}

impl EventFd {
    /// A counter that starts at `count`; `semaphore` makes each read take 1.
    pub const fn new(count: u64, semaphore: bool) -> Self {
        Self { count: AtomicU64::new(count), semaphore, queue: WaitQueue::new() }
    }

    /// Takes the count, or 1 of it, as eight bytes.
    ///
    /// # Errors
    /// - `EINVAL`: room for fewer than eight bytes.
    /// - `EAGAIN`: the count is 0.
    /// - `EFAULT`: the buffer is not user memory; the count is as before.
    pub fn read(&self, to: &mut Sink<'_>) -> Result<usize> {
        if to.remaining() < 8 {
            return Err(Errno::EINVAL);
        }
        let take = |count| match count {
            0 => None,
            _ if self.semaphore => Some(count - 1),
            _ => Some(0),
        };
        let before = self.count.fetch_update(SeqCst, SeqCst, take).map_err(|_| Errno::EAGAIN)?;
        let taken = if self.semaphore { 1 } else { before };
        if let Err(fault) = to.write_whole(&taken.to_ne_bytes()) {
            self.count.fetch_add(taken, SeqCst);
            // Who looked in between found nothing.
            self.queue.wake_all(Events::IN.bits());
            return Err(fault.into());
        }
        self.queue.wake_all(Events::OUT.bits());
        Ok(8)
    }

    /// Adds the number in eight bytes.
    ///
    /// # Errors
    /// - `EINVAL`: not eight bytes, or the number is 2^64 - 1.
    /// - `EAGAIN`: the count would go over 2^64 - 2.
    pub fn write(&self, from: &mut Source<'_>) -> Result<usize> {
        if from.remaining() != 8 {
            return Err(Errno::EINVAL);
        }
        let begin = from.done();
        // What could not be added is taken again when there is room.
        self.add(from).inspect_err(|_| from.rewind(begin))
    }

    fn add(&self, from: &mut Source<'_>) -> Result<usize> {
        let mut bytes = [0; 8];
        from.read(&mut bytes)?;
        let number = u64::from_ne_bytes(bytes);
        if number == u64::MAX {
            return Err(Errno::EINVAL);
        }
        let add = |count: u64| count.checked_add(number).filter(|sum| *sum <= MAX);
        self.count.fetch_update(SeqCst, SeqCst, add).map_err(|_| Errno::EAGAIN)?;
        self.queue.wake_all(Events::IN.bits());
        Ok(8)
    }

    /// What a read or a write would find.
    pub fn events(&self) -> Events {
        match self.count.load(SeqCst) {
            0 => Events::OUT,
            MAX => Events::IN,
            u64::MAX => Events::IN | Events::ERR,
            _ => Events::IN | Events::OUT,
        }
    }

    /// Who waits for a change.
    pub fn queue(&self) -> &WaitQueue {
        &self.queue
    }

    /// The count, for `/proc/PID/fdinfo`.
    pub fn count(&self) -> u64 {
        self.count.load(SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::EventFd;
    use abi::{Errno, Events};
    use framework::{Sink, Source};

    fn write(event: &EventFd, number: u64) -> abi::Result<usize> {
        event.write(&mut Source::kernel(&number.to_ne_bytes()))
    }

    fn read(event: &EventFd) -> abi::Result<u64> {
        let mut bytes = [0; 8];
        event.read(&mut Sink::kernel(&mut bytes))?;
        Ok(u64::from_ne_bytes(bytes))
    }

    #[test]
    fn a_read_takes_the_sum() {
        let event = EventFd::new(1, false);
        assert_eq!(write(&event, 4), Ok(8));
        assert_eq!(read(&event), Ok(5));
        assert_eq!(read(&event), Err(Errno::EAGAIN));
        assert_eq!(event.events(), Events::OUT);
    }

    #[test]
    fn a_semaphore_gives_one_at_a_time() {
        let event = EventFd::new(2, true);
        assert_eq!((read(&event), read(&event)), (Ok(1), Ok(1)));
        assert_eq!(read(&event), Err(Errno::EAGAIN));
    }

    #[test]
    fn the_counter_does_not_overflow() {
        let event = EventFd::new(0, false);
        assert_eq!(write(&event, u64::MAX), Err(Errno::EINVAL));
        assert_eq!(write(&event, u64::MAX - 1), Ok(8));
        assert_eq!(event.events(), Events::IN);
        assert_eq!(write(&event, 1), Err(Errno::EAGAIN));
        let two = 2_u64.to_ne_bytes();
        let mut later = Source::kernel(&two);
        assert_eq!(event.write(&mut later), Err(Errno::EAGAIN));
        assert_eq!(read(&event), Ok(u64::MAX - 1));
        assert_eq!(event.write(&mut later), Ok(8));
        assert_eq!(read(&event), Ok(2));
        assert_eq!(event.write(&mut Source::kernel(&[0; 7])), Err(Errno::EINVAL));
        assert_eq!(event.write(&mut Source::kernel(&[0; 9])), Err(Errno::EINVAL));
    }
}
