//! The scheduler in virtual time on one CPU, and in real time on several.

use super::*;
use crate::{CpuSet, Mode, Policy, Spawn, State, machine, spawn, spawn_join, sync::Event, timer};
use alloc::{string::String, sync::Arc, vec::Vec};
use core::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    time::Duration,
};
use framework::{CpuId, cpu as machine_cpu};
use spin::Mutex;

const STEP: Duration = Duration::from_micros(50);

/// One stretch of user mode that an alarm would end, and what the kernel does after it.
async fn user_step() {
    machine::advance(STEP);
    if preempt(Some(Mode::User)) {
        yield_now().await;
    }
}

/// Computes until `end`.
async fn compute_until(end: Duration) {
    let start = machine::now();
    while machine::now() - start < end {
        user_step().await;
    }
}

fn run_all(tasks: &[TaskRef]) {
    run_until(|| tasks.iter().all(|task| task.state() == State::Ended));
}

/// The CPU time of tasks that compete for `time` with these nice values, in milliseconds.
fn compete(time: Duration, hows: &[(Policy, i8)]) -> Vec<f64> {
    machine::virtual_time();
    let tasks: Vec<_> = hows
        .iter()
        .map(|(policy, nice)| {
            let how = Spawn { policy: *policy, nice: *nice, ..Spawn::named("hog") };
            spawn(how, compute_until(time))
        })
        .collect();
    run_all(&tasks);
    tasks.iter().map(|task| task.cpu_time().as_secs_f64() * 1000.0).collect()
}

fn assert_near(value: f64, wanted: f64, tolerance: f64) {
    assert!((value - wanted).abs() <= tolerance * wanted, "{value} is not about {wanted}");
}

#[test]
fn equal_tasks_get_equal_shares() {
    let shares = compete(Duration::from_millis(300), &[(Policy::Fair, 0); 3]);
    for share in shares {
        assert_near(share, 100.0, 0.05);
    }
}

#[test]
fn shares_follow_the_nice_values() {
    // One step of nice is a factor of about 1.25, and five are about three.
    let shares = compete(Duration::from_secs(2), &[(Policy::Fair, 0), (Policy::Fair, 5)]);
    assert_near(shares[0] / shares[1], 1024.0 / 335.0, 0.03);
    let shares = compete(Duration::from_secs(2), &[(Policy::Fair, -10), (Policy::Batch, 0)]);
    assert_near(shares[0] / shares[1], 9548.0 / 1024.0, 0.05);
}

#[test]
fn the_idle_policy_gets_what_is_left_over() {
    let shares = compete(Duration::from_secs(5), &[(Policy::Fair, 0), (Policy::Idle, 0)]);
    assert!(shares[1] < 0.01 * shares[0], "{shares:?}");
    assert!(shares[1] > 0.0, "{shares:?}");
}

#[test]
fn a_fair_task_is_not_ahead_by_more_than_two_slices() {
    machine::virtual_time();
    let tasks: Vec<_> = (0..4)
        .map(|_| spawn(Spawn::named("hog"), compute_until(Duration::from_millis(200))))
        .collect();
    let mut worst = Duration::ZERO;
    run_until(|| {
        let times = || tasks.iter().map(TaskRef::cpu_time);
        let ended = tasks.iter().any(|task| task.state() == State::Ended);
        if !ended {
            worst = worst.max(times().max().unwrap() - times().min().unwrap());
        }
        tasks.iter().all(|task| task.state() == State::Ended)
    });
    assert!(worst <= Duration::from_millis(6), "{worst:?}");
    assert!(tasks.iter().all(|task| task.involuntary_switches() > 10));
}

#[test]
fn real_time_runs_by_priority_then_in_order() {
    machine::virtual_time();
    let log = Arc::new(Mutex::new(String::new()));
    let hows = [
        ('a', Policy::Fair),
        ('b', Policy::Fifo(10)),
        ('c', Policy::Fifo(50)),
        ('d', Policy::Fifo(10)),
        ('e', Policy::RoundRobin(99)),
    ];
    let tasks: Vec<_> = hows
        .into_iter()
        .map(|(letter, policy)| {
            let log = log.clone();
            spawn(Spawn { policy, ..Spawn::named("rt") }, async move {
                compute_until(Duration::from_millis(10)).await;
                log.lock().push(letter);
            })
        })
        .collect();
    run_all(&tasks);
    assert_eq!(log.lock().as_str(), "ecbda");
    assert_eq!(tasks[1].involuntary_switches(), 0);
}

#[test]
fn round_robin_takes_turns_and_fifo_does_not() {
    for (policy, wanted) in [(Policy::RoundRobin(5), "ababab"), (Policy::Fifo(5), "aaabbb")] {
        machine::virtual_time();
        let log = Arc::new(Mutex::new(String::new()));
        let tasks: Vec<_> = ['a', 'b']
            .into_iter()
            .map(|letter| {
                let log = log.clone();
                spawn(Spawn { policy, ..Spawn::named("rt") }, async move {
                    for _ in 0..3 {
                        for _ in 0..100_000 / 50 {
                            user_step().await;
                        }
                        log.lock().push(letter);
                    }
                })
            })
            .collect();
        run_all(&tasks);
        assert_eq!(log.lock().as_str(), wanted);
    }
}

#[test]
fn a_woken_real_time_task_preempts_at_once() {
    machine::virtual_time();
    let woken_at = Arc::new(Mutex::new(None));
    let event = Arc::new(Event::new());
    let (at, waited) = (woken_at.clone(), event.clone());
    let rt = spawn(Spawn { policy: Policy::Fifo(1), ..Spawn::named("rt") }, async move {
        waited.wait().await;
        *at.lock() = Some(machine::now());
    });
    let hog = spawn_join(Spawn::named("hog"), async move {
        compute_until(Duration::from_millis(5)).await;
        let before = machine::now();
        event.set();
        assert!(need_resched());
        compute_until(Duration::from_millis(5)).await;
        before
    });
    let hog_task = hog.task().clone();
    let before = Arc::new(Mutex::new(None));
    let result = before.clone();
    let join = spawn(Spawn::named("join"), async move { *result.lock() = Some(hog.await) });
    run_all(&[rt, hog_task, join]);
    let delay = woken_at.lock().unwrap() - before.lock().unwrap();
    assert!(delay <= STEP, "{delay:?}");
}

#[test]
fn a_sleeper_is_served_soon_among_hogs() {
    machine::virtual_time();
    let hogs: Vec<_> = (0..4)
        .map(|_| spawn(Spawn::named("hog"), compute_until(Duration::from_millis(500))))
        .collect();
    let worst = Arc::new(Mutex::new(Duration::ZERO));
    let seen = worst.clone();
    let sleeper = spawn(Spawn::named("sleeper"), async move {
        for _ in 0..50 {
            let due = machine::now().saturating_add(Duration::from_millis(7));
            timer::sleep_until(due).await;
            let late = machine::now() - due;
            let mut worst = seen.lock();
            *worst = worst.max(late);
        }
    });
    run_all(&[sleeper]);
    run_all(&hogs);
    // Not the 12 ms that a place at the end of the line would cost.
    assert!(*worst.lock() <= Duration::from_millis(4), "{:?}", *worst.lock());
}

#[test]
fn ping_pong_does_not_starve_a_third() {
    machine::virtual_time();
    let ends = Arc::new((Event::new(), Event::new()));
    let stop = Arc::new(AtomicBool::new(false));
    let rounds = Arc::new(AtomicUsize::new(0));
    let play = |first: bool| {
        let (ends, stop, rounds) = (ends.clone(), stop.clone(), rounds.clone());
        spawn(Spawn::named("player"), async move {
            let (mine, other) = if first { (&ends.0, &ends.1) } else { (&ends.1, &ends.0) };
            while !stop.load(SeqCst) {
                mine.wait().await;
                mine.clear();
                machine::advance(Duration::from_micros(10));
                rounds.fetch_add(1, SeqCst);
                other.set();
                if need_resched() && preempt(Some(Mode::Kernel)) {
                    yield_now().await;
                }
            }
            other.set();
        })
    };
    let players = [play(true), play(false)];
    ends.0.set();
    let hog = spawn(Spawn::named("hog"), compute_until(Duration::from_millis(300)));
    run_all(core::slice::from_ref(&hog));
    stop.store(true, SeqCst);
    run_all(&players);
    // Three tasks; but only one of the two players is ready at any time.
    let share = hog.cpu_time().as_secs_f64() / 0.3;
    assert!((0.3..=0.55).contains(&share), "{share}");
    assert!(rounds.load(SeqCst) > 1000);
}

/// User mode that only its alarm ends, as the loop of a thread has it: with a look before and after.
async fn user_until_alarm() {
    if need_resched() && preempt(Some(Mode::Kernel)) {
        yield_now().await;
    }
    user_begin();
    machine::advance(STEP);
    user_end();
    if machine::alarm().is_some_and(|at| at <= machine::now()) && preempt(Some(Mode::User)) {
        yield_now().await;
    }
}

#[test]
fn a_task_that_never_calls_does_not_starve_what_its_last_call_woke() {
    machine::virtual_time();
    let event = Arc::new(Event::new());
    let ran_at = Arc::new(Mutex::new(None));
    let (waited, at) = (event.clone(), ran_at.clone());
    let woken = spawn(Spawn::named("woken"), async move {
        waited.wait().await;
        *at.lock() = Some(machine::now());
    });
    let woke_at = Arc::new(Mutex::new(None));
    let at = woke_at.clone();
    let hog = spawn(Spawn::named("hog"), async move {
        // Alone for long, so neither an alarm nor a slice is left over from another.
        for _ in 0..1000 {
            user_until_alarm().await;
        }
        event.set();
        *at.lock() = Some(machine::now());
        for _ in 0..1000 {
            user_until_alarm().await;
        }
    });
    run_all(&[woken, hog]);
    let delay = ran_at.lock().unwrap() - woke_at.lock().unwrap();
    assert!(delay <= Duration::from_millis(4), "{delay:?}");
}

#[test]
fn a_wake_beside_an_alarm_that_is_set_asks_for_nothing() {
    machine::virtual_time();
    let ends = Arc::new((Event::new(), Event::new()));
    let asked = Arc::new(AtomicUsize::new(0));
    let play = |first: bool| {
        let (ends, asked) = (ends.clone(), asked.clone());
        spawn(Spawn::named("player"), async move {
            let (mine, other) = if first { (&ends.0, &ends.1) } else { (&ends.1, &ends.0) };
            for _ in 0..100 {
                mine.wait().await;
                mine.clear();
                machine::advance(Duration::from_micros(10));
                other.set();
                asked.fetch_add(usize::from(need_resched()), SeqCst);
                user_until_alarm().await;
            }
            other.set();
        })
    };
    let players = [play(true), play(false)];
    ends.0.set();
    run_all(&players);
    // 12 ms pass: an alarm each 0.75 ms.
    let asked = asked.load(SeqCst);
    assert!((1..=20).contains(&asked), "{asked}");
}

#[test]
fn a_task_alone_has_no_alarm_but_the_ticks() {
    machine::virtual_time();
    let alarms = Arc::new(Mutex::new(Vec::new()));
    let seen = alarms.clone();
    let alone = spawn(Spawn::named("alone"), async move {
        for _ in 0..1000 {
            user_step().await;
            seen.lock().push(machine::alarm().unwrap());
        }
    });
    run_all(&[alone]);
    let mut alarms = core::mem::take(&mut *alarms.lock());
    alarms.dedup();
    // One in each period of 4.2 ms of these 50.
    assert!((11..=14).contains(&alarms.len()), "{}", alarms.len());
}

#[test]
fn two_tasks_share_by_an_alarm() {
    machine::virtual_time();
    let alarms = Arc::new(Mutex::new(Vec::new()));
    let tasks: Vec<_> = (0..2)
        .map(|_| {
            let seen = alarms.clone();
            spawn(Spawn::named("sharer"), async move {
                for _ in 0..100 {
                    user_step().await;
                    seen.lock().push((machine::now(), machine::alarm()));
                }
            })
        })
        .collect();
    run_all(&tasks);
    let alarms = alarms.lock();
    // While both were there, the alarm was never further away than a slice.
    for (now, alarm) in &alarms[..100] {
        let ahead = alarm.unwrap().saturating_since(*now);
        assert!(ahead <= Duration::from_millis(3), "{ahead:?}");
    }
}

#[test]
fn attributes_change_while_a_task_is_queued() {
    machine::virtual_time();
    let log = Arc::new(Mutex::new(String::new()));
    let tasks: Vec<_> = ['a', 'b', 'c']
        .into_iter()
        .map(|letter| {
            let log = log.clone();
            spawn(Spawn::named("task"), async move { log.lock().push(letter) })
        })
        .collect();
    tasks[2].set_policy(Policy::Fifo(3), 0);
    tasks[1].set_policy(Policy::Fifo(7), 0);
    tasks[1].set_policy(Policy::Fair, -5);
    assert_eq!((tasks[1].policy(), tasks[1].nice()), (Policy::Fair, -5));
    run_all(&tasks);
    assert!(log.lock().starts_with('c'), "{}", log.lock());
}

#[test]
fn time_is_charged_to_who_used_it() {
    machine::virtual_time();
    let this = machine_cpu::current();
    let before = cpu_stats(this);
    let task = spawn(Spawn::named("worker"), async {
        machine::advance(Duration::from_micros(300));
        for _ in 0..400 {
            user_step().await;
        }
        machine::advance(Duration::from_micros(200));
        timer::sleep(Duration::from_millis(70)).await;
    });
    run_all(core::slice::from_ref(&task));
    assert_eq!(task.cpu_time(), Duration::from_micros(20_500));
    assert_eq!(task.voluntary_switches(), 1);
    let after = cpu_stats(this);
    let busy = after.user + after.system - before.user - before.system;
    assert_eq!(busy, Duration::from_micros(20_500));
    assert_eq!(after.idle - before.idle, Duration::from_millis(70));
}

/// Runs a task of `user` parts user mode and `kernel` parts system calls; its times.
fn mixture(user: u64, kernel: u64) -> (Duration, Duration) {
    machine::virtual_time();
    let task = spawn(Spawn::named("mixture"), async move {
        let (mut last_user, mut last_system) = (Duration::ZERO, Duration::ZERO);
        let task = crate::current_task().unwrap();
        for _ in 0..2_000_000 / (user + kernel) {
            machine::advance(Duration::from_micros(user));
            // An alarm that is due ends user mode, and a call otherwise.
            let alarm = machine::alarm();
            if alarm.is_some_and(|alarm| alarm <= machine::now()) && preempt(Some(Mode::User)) {
                yield_now().await;
            }
            machine::advance(Duration::from_micros(kernel));
            let alarm = machine::alarm();
            if alarm.is_some_and(|alarm| alarm <= machine::now()) && preempt(Some(Mode::Kernel)) {
                yield_now().await;
            }
            let (user, system) = (task.user_time(), task.system_time());
            assert!(user >= last_user && system >= last_system);
            (last_user, last_system) = (user, system);
        }
    });
    run_all(core::slice::from_ref(&task));
    (task.user_time(), task.system_time())
}

#[test]
fn user_and_system_time_are_told_apart() {
    for (user, kernel) in [(50, 0), (30, 10), (20, 20), (1, 9), (0, 50)] {
        let (user_time, system_time) = mixture(user, kernel);
        let all = (user_time + system_time).as_secs_f64();
        assert_near(all, 2.0, 0.001);
        let (part, wanted) = (user_time.as_secs_f64() / all, user as f64 / (user + kernel) as f64);
        assert!((part - wanted).abs() < 0.08, "{part} of {user}:{kernel}");
    }
}

#[test]
fn the_list_says_who_waits_for_what() {
    machine::virtual_time();
    let event = Arc::new(Event::new());
    let waited = event.clone();
    let task = spawn(Spawn::named("lister-test"), async move {
        crate::wait::named("the bus", waited.wait()).await;
    });
    run_until(|| task.state() == State::Waiting);
    let mut found = None;
    crate::tasks(&mut |info| {
        if info.task == task {
            found = Some(info.clone());
        }
    });
    let info = found.unwrap();
    assert_eq!(
        (info.name.as_str(), info.wait, info.state),
        ("lister-test", "the bus", State::Waiting)
    );
    event.set();
    run_all(&[task]);
}

#[test]
fn a_task_can_be_woken_by_its_handle() {
    let seen = Arc::new(AtomicUsize::new(0));
    let count = seen.clone();
    let task = spawn(
        Spawn::named("polled"),
        core::future::poll_fn(move |_| {
            if count.fetch_add(1, SeqCst) == 2 {
                core::task::Poll::Ready(())
            } else {
                core::task::Poll::Pending
            }
        }),
    );
    while task.state() != State::Ended {
        task.wake();
        run_until(|| task.state() != State::Ready);
    }
    assert_eq!(seen.load(SeqCst), 3);
    task.wake();
}

#[test]
fn yielding_lets_another_run() {
    machine::virtual_time();
    let log = Arc::new(Mutex::new(String::new()));
    let tasks: Vec<_> = ['a', 'b']
        .into_iter()
        .map(|letter| {
            let log = log.clone();
            spawn(Spawn::named("yielder"), async move {
                for _ in 0..4 {
                    log.lock().push(letter);
                    machine::advance(Duration::from_micros(if letter == 'a' { 10 } else { 90 }));
                    yield_now().await;
                }
            })
        })
        .collect();
    run_all(&tasks);
    assert_eq!(log.lock().as_str(), "abababab");
}

#[test]
fn an_empty_affinity_is_all() {
    let set = CpuSet::only(CpuId::new(15)).without(CpuId::new(15));
    let task = spawn(Spawn { affinity: set, ..Spawn::named("free") }, async {});
    run_all(&[task]);
}
