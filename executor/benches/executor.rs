//! The executor against tokio and async-executor, the same futures on each.
//!
//! `cargo bench -p executor`. Times are per item: a task, a yield, a wake and switch, a timer.
#![allow(missing_docs, clippy::unwrap_used, reason = "benchmarks")]

use divan::{Bencher, counter::ItemsCount};
use executor::{Spawn, channel, spawn};
use framework::cpu;
use futures_util::{
    future::{join_all, poll_fn},
    task::AtomicWaker,
};
use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

fn main() {
    // Before this thread is a CPU: the machine's CPUs come first.
    machine();
    divan::main();
}

const TASKS: usize = 1000;
const YIELDS: usize = 1000;

/// A place to run tasks on: what the benchmarks need of an executor.
trait Place {
    fn new() -> Self;
    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static);
    /// Runs what was spawned until `done`.
    fn run(&self, done: impl Fn() -> bool);
}

struct Jinux;

impl Place for Jinux {
    fn new() -> Self {
        Self
    }
    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        spawn(Spawn::named("bench"), future);
    }
    fn run(&self, done: impl Fn() -> bool) {
        executor::run_until(done);
    }
}

struct Tokio(tokio::runtime::Runtime);

impl Place for Tokio {
    fn new() -> Self {
        Self(tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap())
    }
    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(future);
    }
    fn run(&self, done: impl Fn() -> bool) {
        self.0.block_on(async {
            while !done() {
                tokio::task::yield_now().await;
            }
        });
    }
}

struct Smol(async_executor::Executor<'static>);

impl Place for Smol {
    fn new() -> Self {
        Self(async_executor::Executor::new())
    }
    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(future).detach();
    }
    fn run(&self, done: impl Fn() -> bool) {
        while !done() {
            self.0.try_tick();
        }
    }
}

/// The same yield for all.
async fn give_way() {
    let mut yielded = false;
    poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Runs `count` copies of a task to their ends.
fn run_copies<P: Place, F: Future<Output = ()> + Send + 'static>(
    place: &P,
    count: usize,
    make: impl Fn() -> F,
) {
    let done = Arc::new(AtomicUsize::new(0));
    for _ in 0..count {
        let (future, done) = (make(), done.clone());
        place.spawn(async move {
            future.await;
            done.fetch_add(1, SeqCst);
        });
    }
    place.run(|| done.load(SeqCst) == count);
}

#[divan::bench(types = [Jinux, Tokio, Smol])]
fn spawn_and_finish<P: Place>(bencher: Bencher<'_, '_>) {
    let place = P::new();
    bencher.counter(ItemsCount::new(TASKS)).bench_local(|| run_copies(&place, TASKS, || async {}));
}

#[divan::bench(types = [Jinux, Tokio, Smol], args = [1, 2, 100])]
fn yielding<P: Place>(bencher: Bencher<'_, '_>, tasks: usize) {
    let place = P::new();
    bencher.counter(ItemsCount::new(YIELDS * tasks)).bench_local(|| {
        run_copies(&place, tasks, || async {
            for _ in 0..YIELDS {
                give_way().await;
            }
        });
    });
}

#[divan::bench]
fn yielding_by_the_executors_own(bencher: Bencher<'_, '_>) {
    bencher.counter(ItemsCount::new(YIELDS * 2)).bench_local(|| {
        run_copies(&Jinux, 2, || async {
            for _ in 0..YIELDS {
                executor::yield_now().await;
            }
        });
    });
}

/// A flag and who waits for it: as little as a wake can be.
#[derive(Default)]
struct Flag(AtomicBool, AtomicWaker);

impl Flag {
    fn set(&self) {
        self.0.store(true, SeqCst);
        self.1.wake();
    }
    async fn wait(&self) {
        poll_fn(|context| {
            self.1.register(context.waker());
            if self.0.swap(false, SeqCst) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

async fn play(mine: Arc<Flag>, other: Arc<Flag>, rounds: usize) {
    for _ in 0..rounds {
        mine.wait().await;
        other.set();
    }
}

#[divan::bench(types = [Jinux, Tokio, Smol])]
fn ping_pong<P: Place>(bencher: Bencher<'_, '_>) {
    let place = P::new();
    bencher.counter(ItemsCount::new(2 * YIELDS)).bench_local(|| {
        let (first, second) = (Arc::new(Flag::default()), Arc::new(Flag::default()));
        let done = Arc::new(AtomicUsize::new(0));
        for (mine, other) in [(&first, &second), (&second, &first)] {
            let (done, game) = (done.clone(), play(mine.clone(), other.clone(), YIELDS));
            place.spawn(async move {
                game.await;
                done.fetch_add(1, SeqCst);
            });
        }
        first.set();
        place.run(|| done.load(SeqCst) == 2);
    });
}

#[divan::bench]
fn ping_pong_by_wait_queues(bencher: Bencher<'_, '_>) {
    bencher.counter(ItemsCount::new(2 * YIELDS)).bench_local(|| {
        let ends = [(); 2].map(|()| Arc::new(executor::sync::Event::new()));
        let done = Arc::new(AtomicUsize::new(0));
        for side in [0, 1] {
            let (mine, other, done) = (ends[side].clone(), ends[1 - side].clone(), done.clone());
            Jinux.spawn(async move {
                for _ in 0..YIELDS {
                    mine.wait().await;
                    mine.clear();
                    other.set();
                }
                done.fetch_add(1, SeqCst);
            });
        }
        ends[0].set();
        Jinux.run(|| done.load(SeqCst) == 2);
    });
}

type Job = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Starts a machine with all CPUs of the host; the benchmark's thread is one more.
fn machine() -> &'static channel::Sender<Job> {
    static MACHINE: OnceLock<channel::Sender<Job>> = OnceLock::new();
    MACHINE.get_or_init(|| {
        let (sender, receiver) = channel::unbounded::<Job>(64);
        let (started, start) = mpsc::channel();
        std::thread::spawn(move || {
            cpu::start_others(|| executor::run());
            spawn(Spawn::named("init"), async move {
                while let Ok(job) = receiver.recv().await {
                    spawn(Spawn::named("job"), job);
                }
            });
            started.send(()).unwrap();
            executor::run()
        });
        start.recv().unwrap();
        sender
    })
}

/// Tasks that all begin on one CPU, so the others have to take them.
async fn work(yields: usize) {
    for _ in 0..yields {
        std::hint::black_box((0..200).fold(0_u32, |sum, n| sum ^ std::hint::black_box(n)));
        give_way().await;
    }
}

const WORKERS: usize = 64;

#[divan::bench]
fn stealing_jinux(bencher: Bencher<'_, '_>) {
    let machine = machine();
    bencher.counter(ItemsCount::new(WORKERS * 100)).bench_local(|| {
        let (done, result) = mpsc::channel();
        let job: Job = Box::pin(async move {
            let tasks: Vec<_> = (0..WORKERS)
                .map(|_| executor::spawn_join(Spawn::named("worker"), work(100)))
                .collect();
            for task in tasks {
                task.await;
            }
            done.send(()).unwrap();
        });
        assert!(machine.try_send(job).is_ok());
        result.recv().unwrap();
    });
}

#[divan::bench]
fn stealing_tokio(bencher: Bencher<'_, '_>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    bencher.counter(ItemsCount::new(WORKERS * 100)).bench_local(|| {
        runtime.block_on(async {
            let all = async { join_all((0..WORKERS).map(|_| tokio::spawn(work(100)))).await };
            tokio::spawn(all).await.unwrap();
        });
    });
}

#[divan::bench]
fn stealing_smol(bencher: Bencher<'_, '_>) {
    let pool = Arc::new(async_executor::Executor::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    for _ in 0..threads {
        let pool = pool.clone();
        std::thread::spawn(move || {
            futures_lite::future::block_on(pool.run(std::future::pending::<()>()))
        });
    }
    bencher.counter(ItemsCount::new(WORKERS * 100)).bench_local(|| {
        let shared = pool.clone();
        let all = pool
            .spawn(async move { join_all((0..WORKERS).map(|_| shared.spawn(work(100)))).await });
        futures_lite::future::block_on(all);
    });
}

/// Sets a timer far in the future, polls it once and drops it, among 1000 others.
#[divan::bench]
fn timer_set_and_cancel_jinux(bencher: Bencher<'_, '_>) {
    let mut context = Context::from_waker(Waker::noop());
    let mut others: Vec<_> = (0..1000)
        .map(|n| Box::pin(executor::timer::sleep(Duration::from_secs(3000 + n * 7 % 1000))))
        .collect();
    for sleep in &mut others {
        let _ = sleep.as_mut().poll(&mut context);
    }
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        let mut sleep = std::pin::pin!(executor::timer::sleep(Duration::from_secs(30)));
        assert!(sleep.as_mut().poll(&mut context).is_pending());
    });
}

#[divan::bench]
fn timer_set_and_cancel_tokio(bencher: Bencher<'_, '_>) {
    let runtime = Tokio::new();
    let _inside = runtime.0.enter();
    let mut context = Context::from_waker(Waker::noop());
    let mut others: Vec<_> = (0..1000)
        .map(|n| Box::pin(tokio::time::sleep(Duration::from_secs(3000 + n * 7 % 1000))))
        .collect();
    for sleep in &mut others {
        let _ = sleep.as_mut().poll(&mut context);
    }
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        let mut sleep = std::pin::pin!(tokio::time::sleep(Duration::from_secs(30)));
        assert!(sleep.as_mut().poll(&mut context).is_pending());
    });
}
