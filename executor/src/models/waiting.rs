//! Listeners, those who wake them, and those who go.

use crate::{
    sync::Event,
    wait::{Place, WaitQueue},
};
use alloc::boxed::Box;
use core::{
    future::poll_fn,
    pin::pin,
    sync::atomic::Ordering::Relaxed,
    task::{Context, Poll, Waker},
};
use loom::{
    future::block_on,
    sync::{Arc, atomic::AtomicBool},
    thread,
};

/// Lives as long as the process: a listener borrows its queue.
fn queue() -> &'static WaitQueue {
    Box::leak(Box::new(WaitQueue::new()))
}

#[test]
fn a_waiter_sees_the_change_or_the_wake() {
    loom::model(|| {
        let queue = queue();
        let changed = Arc::new(AtomicBool::new(false));
        let change = changed.clone();
        let thread = thread::spawn(move || {
            change.store(true, Relaxed);
            queue.wake_all(1);
        });
        block_on(async {
            while !changed.load(Relaxed) {
                let listener = queue.listen(1, false);
                if !changed.load(Relaxed) {
                    listener.await;
                }
            }
        });
        thread.join().unwrap();
    });
}

#[test]
fn one_with_a_place_sees_the_change_or_the_wake() {
    loom::model(|| {
        let queue = queue();
        let changed = Arc::new(AtomicBool::new(false));
        let change = changed.clone();
        let thread = thread::spawn(move || {
            change.store(true, Relaxed);
            queue.wake_all(1);
        });
        let mut place = Place::default();
        block_on(poll_fn(|context| {
            queue.enter(&mut place, 1, context.waker());
            if changed.load(Relaxed) { Poll::Ready(()) } else { Poll::Pending }
        }));
        queue.leave(&mut place);
        thread.join().unwrap();
        assert!(queue.is_empty());
    });
}

#[test]
fn an_event_is_not_missed() {
    loom::model(|| {
        let event = Arc::new(Event::new());
        let setter = event.clone();
        let thread = thread::spawn(move || setter.set());
        block_on(event.wait());
        thread.join().unwrap();
    });
}

#[test]
fn an_exclusive_wake_outlives_the_listener_it_reached() {
    loom::model(|| {
        let queue = queue();
        let leaving = queue.listen(1, true);
        let staying = queue.listen(1, true);
        let waker = thread::spawn(move || assert!(queue.wake_one(1)));
        let leaver = thread::spawn(move || drop(leaving));
        block_on(staying);
        waker.join().unwrap();
        leaver.join().unwrap();
    });
}

#[test]
fn a_listener_that_goes_while_it_is_woken_leaves_nothing() {
    loom::model(|| {
        let queue = queue();
        let mut listener = queue.listen(1, false);
        let waker = thread::spawn(move || queue.wake_all(1));
        let mut context = Context::from_waker(Waker::noop());
        let _ = pin!(&mut listener).poll(&mut context);
        drop(listener);
        waker.join().unwrap();
        assert!(queue.is_empty());
    });
}
