//! A place in a queue without a future: for those who try again each time they are polled.

use super::WaitQueue;
use core::task::Waker;

/// Where one who waits is registered with a [`WaitQueue`], or nowhere. A wake-up ends the
/// registration, so mostly it is over when its owner is polled, and costs him nothing more.
///
/// The owner calls [`WaitQueue::leave`] before he drops it: a waker that stays behind would be woken
/// in vain.
#[derive(Debug, Default)]
pub struct Place(pub(super) Option<(u32, u32)>);

impl WaitQueue {
    /// Registers `waker` for the next wake-up with an event of `mask`, from this moment on, unless
    /// `place` is registered here already. Look at the condition after this.
    pub fn enter(&self, place: &mut Place, mask: u32, waker: &Waker) {
        self.with(|inner| inner.nodes().occupy(place, mask, waker));
        self.entered();
    }

    /// Ends what [`WaitQueue::enter`] began, if no wake-up did.
    pub fn leave(&self, place: &mut Place) {
        // With nobody here, this place is not here either.
        if place.0.is_none() || self.is_empty() {
            place.0 = None;
            return;
        }
        let waker = self.with(|inner| inner.nodes().vacate(place));
        drop(waker);
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;
    use alloc::{sync::Arc, task::Wake};
    use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    fn waker() -> (Arc<Count>, Waker) {
        let count = Arc::new(Count::default());
        (count.clone(), count.into())
    }

    #[test]
    fn a_wake_ends_the_registration() {
        let (queue, (count, waker)) = (WaitQueue::new(), waker());
        let mut place = Place::default();
        queue.enter(&mut place, 1, &waker);
        queue.enter(&mut place, 1, &waker);
        queue.wake_all(4);
        assert_eq!((count.0.load(Relaxed), queue.is_empty()), (0, false));
        queue.wake_all(1);
        assert_eq!((count.0.load(Relaxed), queue.is_empty()), (1, true));
        queue.wake_all(1);
        queue.enter(&mut place, 1, &waker);
        queue.leave(&mut place);
        queue.wake_all(1);
        assert_eq!((count.0.load(Relaxed), queue.is_empty()), (1, true));
        drop(waker);
        assert_eq!(Arc::strong_count(&count), 1);
    }

    #[test]
    fn who_was_woken_does_not_take_the_place_of_the_next() {
        let (queue, (count, waker)) = (WaitQueue::new(), waker());
        let (mut first, mut second) = (Place::default(), Place::default());
        queue.enter(&mut first, 1, &waker);
        queue.wake_all(1);
        queue.enter(&mut second, 1, &waker);
        queue.leave(&mut first);
        queue.wake_all(1);
        assert_eq!(count.0.load(Relaxed), 2);
        // Nor after the memory of many has been given back.
        let mut many: [Place; 20] = Default::default();
        many.iter_mut().for_each(|place| queue.enter(place, 1, &waker));
        queue.wake_all(1);
        queue.enter(&mut first, 1, &waker);
        many.iter_mut().for_each(|place| queue.leave(place));
        queue.wake_all(1);
        assert_eq!(count.0.load(Relaxed), 23);
    }
}
