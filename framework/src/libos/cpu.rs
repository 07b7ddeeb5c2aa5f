//! CPUs as host threads.
//!
//! A thread is given a CPU when it first asks which one it is, and gives it back when it ends: the
//! first thread is CPU 0, and each test of a test program is a CPU of its own, which no other test
//! wakes or steals from. A thread that finds all CPUs taken waits for one. A machine's own CPUs are
//! reserved when it starts; threads of devices then become CPUs beyond them, which run nothing.
//!
//! A kick is a token: it ends the halt or the user mode that is going on or, if there is none, the
//! next one.
//!
//! Programs run in threads of other processes (`user.rs`), while the CPU's own thread waits. What
//! both sides need of each other is here:
//!
//! ```text
//!   worker:  place_worker()            once: the thread stays on one host CPU, and programs beside it
//!            enter_user(id, runner)    from here on a kick also signals the runner; false: do not enter
//!            ... the runner runs ...   waits for it no longer than clock::until_alarm(id)
//!            leave_user(id)            before the CPU does anything else
//!   others:  kick(id)                  token, wake-up of a halt, signal to the runner
//! ```

use super::{affinity, clock, sim};
use crate::cpu::{CpuId, MAX_CPUS};
use core::{
    cell::Cell,
    sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
    time::Duration,
};
use std::{
    sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError},
    vec::Vec,
};

/// CPUs that run the kernel, those of plain threads and tests not counted.
static COUNT: AtomicUsize = AtomicUsize::new(1);

/// Which CPUs are taken, a bit for each.
static TAKEN: Mutex<u32> = Mutex::new(0);

/// Which CPUs belong to the machine, a bit for each; how many of them are to run.
static RESERVED: AtomicU32 = AtomicU32::new(0);

/// Told when a CPU is given back.
static RELEASED: Condvar = Condvar::new();

static CPUS: [Cpu; MAX_CPUS] = [const { Cpu::new() }; MAX_CPUS];

const NONE: u8 = u8::MAX;

thread_local! {
    static CURRENT: Cell<u8> = const { Cell::new(NONE) };
    static CLAIM: Cell<Option<Claim>> = const { Cell::new(None) };
}

/// What a CPU halts on.
#[repr(align(64))]
struct Cpu {
    /// The token; read by the fast path of `kick`, written under `halt`.
    kicked: AtomicBool,
    halt: Mutex<()>,
    wake: Condvar,
    /// Who runs the program that this CPU is in the user mode of.
    runner: Mutex<Option<Runner>>,
}

/// A thread of another process that runs programs for a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Runner {
    pub(super) pid: libc::pid_t,
    pub(super) tid: libc::pid_t,
}

impl Runner {
    /// Makes the runner trap soon. It must not have been reaped.
    pub(super) fn interrupt(self) {
        // SAFETY: the call touches no memory of ours.
        unsafe { libc::syscall(libc::SYS_tgkill, self.pid, self.tid, libc::SIGALRM) };
    }
}

impl Cpu {
    const fn new() -> Self {
        Self {
            kicked: AtomicBool::new(false),
            halt: Mutex::new(()),
            wake: Condvar::new(),
            runner: Mutex::new(None),
        }
    }
}

/// A taken CPU; given back on drop.
struct Claim(CpuId);

impl Drop for Claim {
    fn drop(&mut self) {
        *lock(&TAKEN) &= !(1 << self.0.index());
        RELEASED.notify_all();
    }
}

/// Locks a mutex whose contents hold at every moment, a panic of its holder included.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes `wanted`, or else the lowest free CPU, for this thread; waits until there is one.
#[cold]
fn claim(wanted: Option<CpuId>) -> CpuId {
    let mut taken = lock(&TAKEN);
    let id = loop {
        let others = *taken | RESERVED.load(Ordering::Relaxed);
        let free = wanted.map_or(others.trailing_ones() as usize, CpuId::index);
        if free < MAX_CPUS && *taken & (1 << free) == 0 {
            break CpuId::from_index(free);
        }
        taken = RELEASED.wait(taken).unwrap_or_else(PoisonError::into_inner);
    };
    *taken |= 1 << id.index();
    drop(taken);
    CPUS[id.index()].kicked.store(false, Ordering::Relaxed);
    clock::clear_alarm(id);
    CURRENT.set(id.get());
    // While the thread's locals are being destroyed there is nobody to give the CPU back; such a
    // thread is about to end, and loses it.
    let _ = CLAIM.try_with(|cell| cell.set(Some(Claim(id))));
    id
}

pub(crate) fn current() -> CpuId {
    match CURRENT.get() {
        NONE => claim(None),
        id => CpuId::new(id),
    }
}

pub(crate) fn count() -> usize {
    COUNT.load(Ordering::Acquire)
}

/// Keeps the first `count` CPUs for the machine's own threads.
pub(super) fn reserve(count: usize) {
    RESERVED.store((1 << count) - 1, Ordering::Relaxed);
}

/// Makes this thread the machine's first CPU.
pub(super) fn become_first() {
    claim(Some(CpuId::new(0)));
}

/// How many CPUs the machine is to have: those reserved, `JINUX_CPUS`, or as many as the host.
fn wanted() -> usize {
    match RESERVED.load(Ordering::Relaxed).count_ones() {
        0 => {}
        count => return count as usize,
    }
    let asked = std::env::var("JINUX_CPUS").ok().and_then(|text| text.parse().ok());
    let host = || std::thread::available_parallelism().map_or(1, core::num::NonZeroUsize::get);
    asked.unwrap_or_else(host).clamp(1, MAX_CPUS)
}

pub(crate) fn start_others(run: fn() -> !) {
    current();
    for index in count()..wanted() {
        let id = CpuId::from_index(index);
        let body = move || {
            claim(Some(id));
            COUNT.fetch_add(1, Ordering::AcqRel);
            // A CPU that panics takes the machine with it; the panic hook has reported it.
            let _ = std::panic::catch_unwind(|| run());
            super::power::off(crate::host::FAILED)
        };
        let spawned = std::thread::Builder::new().name(std::format!("cpu{index}")).spawn(body);
        if let Err(error) = spawned {
            log::error!("cpu {index} does not start: {error}");
            break;
        }
        while count() <= index {
            std::thread::yield_now();
        }
    }
}

pub(crate) fn halt_unless(ready: impl FnOnce() -> bool) {
    let id = current();
    let cpu = &CPUS[id.index()];
    if ready() {
        return;
    }
    if sim::active()
        && let Some(left) = clock::until_alarm(id)
    {
        clock::clear_alarm(id);
        return sim::advance(left);
    }
    let mut halt = lock(&cpu.halt);
    while !cpu.kicked.swap(false, Ordering::SeqCst) {
        let Some(left) = clock::until_alarm(id) else {
            halt = cpu.wake.wait(halt).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        if left == Duration::ZERO {
            clock::clear_alarm(id);
            return;
        }
        halt = cpu.wake.wait_timeout(halt, left).unwrap_or_else(PoisonError::into_inner).0;
    }
}

pub(crate) fn kick(id: CpuId) {
    let cpu = &CPUS[id.index()];
    if cpu.kicked.swap(true, Ordering::SeqCst) {
        return; // an earlier kick is still on its way
    }
    // The halting thread holds the lock from its look at the token until it waits.
    drop(lock(&cpu.halt));
    cpu.wake.notify_one();
    if let Some(runner) = *lock(&cpu.runner) {
        runner.interrupt();
    }
}

/// Whether a kick has come since the last look at it: its token is taken.
pub(super) fn take_attention(id: CpuId) -> bool {
    CPUS[id.index()].kicked.swap(false, Ordering::SeqCst)
}

/// Whether a kick has come, whose token is left.
pub(super) fn has_attention(id: CpuId) -> bool {
    CPUS[id.index()].kicked.load(Ordering::SeqCst)
}

/// Says that `runner` is about to run a program for this CPU, so that kicks signal it. False if a
/// kick came before, whose token is taken: then user mode is not to be entered.
pub(super) fn enter_user(id: CpuId, runner: Runner) -> bool {
    // A kick first leaves the token and then looks for a runner, so one of the two is seen.
    *lock(&CPUS[id.index()].runner) = Some(runner);
    let enter = !take_attention(id);
    if !enter {
        leave_user(id);
    }
    enter
}

/// Says that the CPU's runner has trapped or died. No kick signals it any more.
pub(super) fn leave_user(id: CpuId) {
    *lock(&CPUS[id.index()].runner) = None;
}

/// Binds this CPU's thread to one of the host's CPUs, the first time; returns which, if it is bound.
///
/// A worker and its programs share a host CPU because they never run at the same time, and waking a
/// thread on another one costs many times more.
pub(super) fn place_worker() -> Option<usize> {
    thread_local! {
        static PLACE: Cell<Option<Option<usize>>> = const { Cell::new(None) };
    }
    PLACE.get().unwrap_or_else(|| {
        let place = place(current());
        PLACE.set(Some(place));
        place
    })
}

#[cold]
fn place(id: CpuId) -> Option<usize> {
    /// The host's CPUs that this process may use, the one it started on first.
    static ALLOWED: OnceLock<Vec<usize>> = OnceLock::new();
    let allowed = ALLOWED.get_or_init(|| {
        let mut allowed = affinity::get();
        let first = affinity::current();
        let at = allowed.iter().position(|cpu| Some(*cpu) == first).unwrap_or(0);
        allowed.rotate_left(at);
        allowed
    });
    // Counted from CPU 0 of the machine, whichever asks first.
    let cpu = *allowed.get(id.index() % allowed.len().max(1))?;
    affinity::set(0, cpu).then_some(cpu)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{self, Instant};

    #[test]
    fn threads_have_distinct_cpus_and_give_them_back() {
        let mine = current();
        assert_eq!(mine, current());
        for _ in 0..2 * MAX_CPUS {
            let other = std::thread::spawn(current).join().unwrap();
            assert_ne!(mine, other);
        }
    }

    #[test]
    fn a_kick_before_or_during_a_halt_ends_it() {
        let me = current();
        kick(me);
        halt_unless(|| false);
        let kicker = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(10));
            kick(me);
        });
        halt_unless(|| false);
        kicker.join().unwrap();
    }

    #[test]
    fn nothing_is_lost_between_the_question_and_the_halt() {
        let me = current();
        halt_unless(|| {
            kick(me);
            false
        });
    }

    #[test]
    fn a_ready_cpu_does_not_halt() {
        halt_unless(|| true);
    }

    #[test]
    fn an_alarm_ends_a_halt_once() {
        let start = time::now();
        time::set_alarm(Some(start.saturating_add(Duration::from_millis(5))));
        halt_unless(|| false);
        assert!(time::now() - start >= Duration::from_millis(5));
        assert_eq!(clock::until_alarm(current()), None);
        time::set_alarm(Some(Instant::from_nanos(0)));
        halt_unless(|| false);
    }

    #[test]
    fn two_threads_play_ping_pong() {
        static TURN: AtomicUsize = AtomicUsize::new(0);
        fn play(mine: usize, other: CpuId) {
            for _ in 0..2000 {
                while TURN.load(Ordering::SeqCst) != mine {
                    halt_unless(|| TURN.load(Ordering::SeqCst) == mine);
                }
                TURN.store(1 - mine, Ordering::SeqCst);
                kick(other);
            }
        }
        let first = current();
        let (send, receive) = std::sync::mpsc::channel();
        let second = std::thread::spawn(move || {
            send.send(current()).unwrap();
            play(1, first);
        });
        play(0, receive.recv().unwrap());
        second.join().unwrap();
    }
}
