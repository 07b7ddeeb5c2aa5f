//! Seeded simulations: right code passes every seed, and planted races are found.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use executor::{
    Either, Spawn, channel, select,
    sim::{Report, simulate},
    sync, timer,
    wait::WaitQueue,
    yield_now,
};
use futures_util::task::AtomicWaker;
use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    },
    task::Poll,
    time::Duration,
};

const SEEDS: u64 = 500;

fn spawn(name: &str, future: impl Future<Output = ()> + Send + 'static) {
    executor::spawn(Spawn::named(name), future);
}

/// Lets virtual time pass, up to a millisecond.
async fn pause(salt: u32) {
    timer::sleep(Duration::from_micros(u64::from(salt * 7919 % 1000))).await;
}

/// Every seed must pass.
#[track_caller]
fn all_pass(begin: impl Fn()) {
    for seed in 0..SEEDS {
        let report = simulate(seed, &begin);
        assert_eq!(report.failure, None, "replay with seed {seed}");
    }
}

/// Some seed must fail with `what`; the failure must be the same when it is replayed.
#[track_caller]
fn some_fails(what: &str, begin: impl Fn()) {
    let failure = |report: &Report| report.failure.clone().unwrap_or_default();
    let found =
        (0..SEEDS).map(|seed| simulate(seed, &begin)).find(|report| report.failure.is_some());
    let found = found.expect("no seed finds it");
    assert!(failure(&found).contains(what), "{}", failure(&found));
    let again = simulate(found.seed, &begin);
    assert_eq!((again.hash, again.choices), (found.hash, found.choices));
}

/// How a [`Semaphore`] takes a permit.
#[derive(Clone, Copy)]
enum How {
    Right,
    /// Takes a wake-up for the truth.
    NoRecheck,
    /// Looks, and registers a moment later.
    CheckFirst,
}

struct Semaphore {
    permits: AtomicU32,
    queue: WaitQueue,
}

impl Semaphore {
    fn new(permits: u32) -> Arc<Self> {
        Arc::new(Self { permits: AtomicU32::new(permits), queue: WaitQueue::new() })
    }

    fn try_take(&self) -> bool {
        self.permits.fetch_update(SeqCst, SeqCst, |permits| permits.checked_sub(1)).is_ok()
    }

    async fn take(&self, how: How) {
        match how {
            How::Right => loop {
                let listener = self.queue.listen(1, true).named("permit");
                if self.try_take() {
                    return;
                }
                listener.await;
            },
            How::NoRecheck => {
                let listener = self.queue.listen(1, true).named("permit");
                if self.try_take() {
                    return;
                }
                listener.await;
                if !self.try_take() {
                    framework::sim::fail(format_args!("took a permit that was not there"));
                }
            }
            How::CheckFirst => {
                while !self.try_take() {
                    yield_now().await;
                    self.queue.listen(1, true).named("permit").await;
                }
            }
        }
    }

    fn put(&self) {
        self.permits.fetch_add(1, SeqCst);
        self.queue.wake_one(1);
    }
}

fn semaphore_storm(how: How) {
    let semaphore = Semaphore::new(2);
    for number in 0..5 {
        let semaphore = semaphore.clone();
        spawn("holder", async move {
            for turn in 0..4 {
                semaphore.take(how).await;
                pause(number * 4 + turn).await;
                semaphore.put();
                if turn == 2 {
                    yield_now().await;
                }
            }
        });
    }
}

#[test]
fn a_right_semaphore_passes() {
    all_pass(|| semaphore_storm(How::Right));
}

#[test]
fn a_removed_recheck_is_found() {
    some_fails("not there", || semaphore_storm(How::NoRecheck));
}

#[test]
fn a_check_before_registering_is_found() {
    some_fails("permit", || semaphore_storm(How::CheckFirst));
}

/// One who waits in a [`Gate`].
#[derive(Default)]
struct Ticket {
    called: AtomicBool,
    used: AtomicBool,
    waker: AtomicWaker,
}

/// A semaphore that hands each permit to the first in line.
#[derive(Default)]
struct Gate {
    line: Mutex<VecDeque<Arc<Ticket>>>,
    free: AtomicU32,
}

impl Gate {
    /// Calls the first in line, or keeps the permit.
    fn put(&self) {
        let mut line = self.line.lock().unwrap();
        match line.pop_front() {
            Some(ticket) => {
                ticket.called.store(true, SeqCst);
                ticket.waker.wake();
            }
            None => {
                self.free.fetch_add(1, SeqCst);
            }
        }
    }
}

/// A place in the line. Its drop passes a call that was not used on, if `passes` says so.
struct Place {
    gate: Arc<Gate>,
    ticket: Arc<Ticket>,
    passes: bool,
}

impl Place {
    fn new(gate: &Arc<Gate>, passes: bool) -> Self {
        let ticket = Arc::new(Ticket::default());
        let mut line = gate.line.lock().unwrap();
        if gate.free.load(SeqCst) > 0 {
            gate.free.fetch_sub(1, SeqCst);
            ticket.called.store(true, SeqCst);
        } else {
            line.push_back(ticket.clone());
        }
        drop(line);
        Self { gate: gate.clone(), ticket, passes }
    }

    async fn called(&self) {
        poll_fn(|context| {
            self.ticket.waker.register(context.waker());
            match self.ticket.called.load(SeqCst) {
                true => {
                    self.ticket.used.store(true, SeqCst);
                    Poll::Ready(())
                }
                false => Poll::Pending,
            }
        })
        .await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.gate.line.lock().unwrap().retain(|ticket| !Arc::ptr_eq(ticket, &self.ticket));
        let called = self.ticket.called.load(SeqCst);
        if called && !self.ticket.used.load(SeqCst) && self.passes {
            self.gate.put();
        }
    }
}

/// Some give up waiting; the permit must never be lost with them.
fn gate_storm(passes: bool) {
    let gate = Arc::new(Gate::default());
    gate.put();
    for number in 0..6 {
        let gate = gate.clone();
        spawn("visitor", async move {
            for turn in 0..4 {
                let place = Place::new(&gate, passes);
                let patience = pause(number * 5 + turn + 1);
                let hurried = number < 3;
                let mine = match select(Box::pin(patience), Box::pin(place.called())).await {
                    Either::Second(()) => true,
                    Either::First(()) if hurried => false,
                    Either::First(()) => {
                        place.called().await;
                        true
                    }
                };
                drop(place);
                if mine {
                    pause(number + turn).await;
                    gate.put();
                }
            }
        });
    }
}

#[test]
fn a_baton_that_is_passed_on_passes() {
    all_pass(|| gate_storm(true));
}

#[test]
fn a_lost_baton_is_found() {
    some_fails("deadlock", || gate_storm(false));
}

#[test]
fn locks_channels_and_events_pass() {
    all_pass(|| {
        let total = Arc::new(sync::Mutex::new(0_u32));
        let done = Arc::new(sync::Event::new());
        let (sender, receiver) = channel::bounded::<u32>(2);
        for number in 0..4 {
            let sender = sender.clone();
            spawn("sender", async move {
                for turn in 0..5 {
                    sender.send(number * 5 + turn).await.unwrap();
                    pause(turn).await;
                }
            });
        }
        drop(sender);
        for _ in 0..2 {
            let (receiver, total, done) = (receiver.clone(), total.clone(), done.clone());
            spawn("receiver", async move {
                while let Ok(value) = receiver.recv().await {
                    let mut total = total.lock().await;
                    let before = *total;
                    pause(value).await;
                    *total = before + value;
                    if *total == 190 {
                        done.set();
                    }
                }
            });
        }
        spawn("judge", async move { done.wait().await });
    });
}

#[test]
fn the_same_seed_does_the_same() {
    for seed in 0..50 {
        let run = || simulate(seed, || semaphore_storm(How::Right));
        assert_eq!(run(), run());
    }
    let one = simulate(1, || semaphore_storm(How::Right));
    assert_ne!(one.hash, simulate(2, || semaphore_storm(How::Right)).hash);
}
