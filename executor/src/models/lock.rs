//! The lock for tasks: handed over, and handed on by who gave up.

use crate::sync::Mutex;
use alloc::{boxed::Box, vec::Vec};
use core::{
    pin::pin,
    task::{Context, Waker},
};
use loom::{future::block_on, thread};

fn lock() -> &'static Mutex<u32> {
    Box::leak(Box::new(Mutex::new(0)))
}

#[test]
fn one_at_a_time() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let lock = lock();
        let threads: Vec<_> =
            (0..2).map(|_| thread::spawn(|| block_on(async { *lock.lock().await += 1 }))).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(*lock.try_lock().unwrap(), 2);
    });
}

#[test]
fn a_turn_of_one_who_gives_up_is_not_lost() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let lock = lock();
        let held = lock.try_lock().unwrap();
        let quitter = thread::spawn(|| {
            let mut context = Context::from_waker(Waker::noop());
            let _ = pin!(lock.lock()).poll(&mut context).is_ready();
        });
        let waiter = thread::spawn(|| block_on(async { *lock.lock().await += 1 }));
        drop(held);
        quitter.join().unwrap();
        waiter.join().unwrap();
        assert_eq!(*lock.try_lock().unwrap(), 1);
    });
}
