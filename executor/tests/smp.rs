//! The executor on several CPUs in real time: placement, stealing, wake-ups across CPUs.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use executor::{CpuSet, Policy, Spawn, channel, spawn_join, sync, timer, yield_now};
use framework::{CpuId, cpu};
use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    time::{Duration, Instant},
};

type Job = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Starts the machine once; what is sent to it runs there as a task.
fn machine() -> &'static channel::Sender<Job> {
    static MACHINE: OnceLock<channel::Sender<Job>> = OnceLock::new();
    MACHINE.get_or_init(|| {
        let (sender, receiver) = channel::unbounded::<Job>(64);
        let (started, start) = mpsc::channel();
        std::thread::spawn(move || {
            assert_eq!(cpu::current(), CpuId::new(0), "the first thread is the first CPU");
            cpu::start_others(|| executor::run());
            executor::spawn(Spawn::named("init"), async move {
                while let Ok(job) = receiver.recv().await {
                    executor::spawn(Spawn::named("job"), job);
                }
            });
            started.send(()).unwrap();
            executor::run()
        });
        start.recv().unwrap();
        sender
    })
}

/// Runs `future` as a task of the machine; fails if it takes longer than a minute.
fn on_machine<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> T {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let (done, result) = mpsc::channel();
    let job: Job = Box::pin(async move { done.send(future.await).unwrap() });
    assert!(machine().try_send(job).is_ok());
    match result.recv_timeout(Duration::from_secs(60)) {
        Ok(value) => value,
        Err(error) => {
            executor::tasks(&mut |info| eprintln!("{info:?}"));
            panic!("{error}");
        }
    }
}

fn cpus() -> impl Iterator<Item = CpuId> {
    CpuSet::first(cpu::count()).iter()
}

fn spin(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
}

#[test]
fn a_pinned_task_stays_where_it_may_run() {
    on_machine(async {
        let mut tasks = Vec::new();
        for number in 0..16 {
            let home = cpus().nth(number % cpu::count()).unwrap();
            let how = Spawn { affinity: CpuSet::only(home), ..Spawn::named("pinned") };
            tasks.push(spawn_join(how, async move {
                for round in 0..200 {
                    assert_eq!(cpu::current(), home);
                    if round % 50 == 0 {
                        timer::sleep(Duration::from_micros(100)).await;
                    } else {
                        yield_now().await;
                    }
                }
            }));
        }
        for task in tasks {
            task.await;
        }
    });
}

#[test]
fn a_task_moves_when_its_affinity_changes() {
    on_machine(async {
        let mover = spawn_join(Spawn::named("mover"), async {
            let task = executor::current_task().unwrap();
            for _ in 0..50 {
                for home in cpus() {
                    task.set_affinity(CpuSet::only(home));
                    yield_now().await;
                    assert_eq!(cpu::current(), home);
                }
            }
        });
        mover.await;
    });
}

#[test]
fn idle_cpus_take_work() {
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        return;
    }
    let used = on_machine(async {
        let mut tasks = Vec::new();
        for _ in 0..8 {
            // All begin on one CPU, and may go anywhere afterwards.
            let how = Spawn { affinity: CpuSet::only(CpuId::new(0)), ..Spawn::named("worker") };
            let task = spawn_join(how, async {
                let mut used = CpuSet::EMPTY;
                for _ in 0..20 {
                    used = used.with(cpu::current());
                    spin(Duration::from_millis(1));
                    yield_now().await;
                }
                used
            });
            tasks.push(task);
        }
        for task in &tasks {
            task.task().set_affinity(CpuSet::ALL);
        }
        let mut used = CpuSet::EMPTY;
        for task in tasks {
            used = CpuSet::from_bits(used.bits() | task.await.bits());
        }
        used
    });
    assert_eq!(used, CpuSet::first(cpu::count()));
}

#[test]
fn no_wake_across_cpus_is_lost() {
    on_machine(async {
        let ends = Arc::new((sync::Event::new(), sync::Event::new()));
        let mut players = Vec::new();
        for first in [true, false] {
            let ends = ends.clone();
            let home = if first { cpus().next() } else { cpus().last() };
            let how = Spawn {
                affinity: CpuSet::only(home.unwrap()),
                policy: if first { Policy::Fifo(2) } else { Policy::Fair },
                ..Spawn::named("player")
            };
            players.push(spawn_join(how, async move {
                let (mine, other) = if first { (&ends.0, &ends.1) } else { (&ends.1, &ends.0) };
                for _ in 0..2000 {
                    mine.wait().await;
                    mine.clear();
                    other.set();
                }
            }));
        }
        ends.0.set();
        for player in players {
            player.await;
        }
    });
}

#[test]
fn many_tasks_share_a_lock_and_a_channel() {
    let (sum, counted) = on_machine(async {
        let total = Arc::new(sync::Mutex::new(0_u64));
        let (sender, receiver) = channel::bounded(16);
        let counted = Arc::new(AtomicU64::new(0));
        let mut tasks = Vec::new();
        for number in 0..32_u64 {
            let (total, sender, receiver) = (total.clone(), sender.clone(), receiver.clone());
            let counted = counted.clone();
            tasks.push(spawn_join(Spawn::named("member"), async move {
                for round in 0..200 {
                    {
                        let mut total = total.lock().await;
                        let before = *total;
                        yield_now().await;
                        *total = before + 1;
                    }
                    if number % 2 == 0 {
                        sender.send(round).await.unwrap();
                    } else {
                        counted.fetch_add(receiver.recv().await.unwrap(), SeqCst);
                    }
                }
            }));
        }
        for task in tasks {
            task.await;
        }
        let total = *total.lock().await;
        (total, counted.load(SeqCst))
    });
    assert_eq!(sum, 32 * 200);
    assert_eq!(counted, 16 * (199 * 200 / 2));
}

#[test]
fn timers_follow_tasks_that_move() {
    on_machine(async {
        let late = Arc::new(AtomicUsize::new(0));
        let mut tasks = Vec::new();
        for number in 0..20_u64 {
            let late = late.clone();
            tasks.push(spawn_join(Spawn::named("sleeper"), async move {
                let task = executor::current_task().unwrap();
                for round in 0..10 {
                    let mut sleep = Box::pin(timer::sleep(Duration::from_millis(1 + number % 3)));
                    // Set here, awaited or dropped there.
                    let _ = futures_util::poll!(&mut sleep);
                    task.set_affinity(CpuSet::only(cpus().nth(round % cpu::count()).unwrap()));
                    yield_now().await;
                    if round % 2 == 0 {
                        let due = sleep.deadline();
                        sleep.await;
                        if framework::time::now() < due {
                            late.fetch_add(1, SeqCst);
                        }
                    }
                }
            }));
        }
        for task in tasks {
            task.await;
        }
        assert_eq!(late.load(SeqCst), 0, "nobody woke early");
    });
}
