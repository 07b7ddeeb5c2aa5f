//! The clock is the time stamp counter, the alarm the local APIC's timer.
//!
//! `set_alarm` leaves a timer alone that fires too early for the new alarm: setting it costs more
//! than an early interrupt now and then, which sets it again.

use super::{apic, calibrate, cpu, interrupt};
use crate::{
    cpu::MAX_CPUS,
    scale::Scale,
    time::{Instant, TscClock},
};
use core::{
    arch::{asm, x86_64::_rdtsc},
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
    time::Duration,
};

pub(super) const NS: u64 = 1_000_000_000;

/// A scale that is set once at boot.
struct Setting {
    mult: AtomicU32,
    shift: AtomicU32,
}

impl Setting {
    const fn new(scale: Scale) -> Self {
        Self { mult: AtomicU32::new(scale.mult), shift: AtomicU32::new(scale.shift) }
    }

    fn set(&self, scale: Scale) {
        self.mult.store(scale.mult, Ordering::Relaxed);
        self.shift.store(scale.shift, Ordering::Relaxed);
    }

    #[inline]
    fn get(&self) -> Scale {
        Scale { mult: self.mult.load(Ordering::Relaxed), shift: self.shift.load(Ordering::Relaxed) }
    }
}

/// The counter's value at boot.
static BASE: AtomicU64 = AtomicU64::new(0);
/// From the counter to nanoseconds; until it is known, it is always the moment of boot.
static TO_NS: Setting = Setting::new(Scale::ZERO);
/// From nanoseconds to what the timer counts.
static TO_TIMER: Setting = Setting::new(Scale::ZERO);
/// The latest counter value that any CPU has seen while others were started.
static LATEST: AtomicU64 = AtomicU64::new(0);
/// How far a CPU's counter was behind another's, in ticks.
static BEHIND: AtomicU64 = AtomicU64::new(0);
/// The UNIX time at boot, in nanoseconds.
static WALL: AtomicU64 = AtomicU64::new(0);

const NEVER: u64 = u64::MAX;

/// A CPU's alarm and its timer, in nanoseconds since boot; touched by that CPU alone.
#[repr(align(64))]
struct Alarm {
    /// When the alarm is due.
    due: AtomicU64,
    /// When the timer fires, at or before `due`.
    timer: AtomicU64,
}

static ALARMS: [Alarm; MAX_CPUS] =
    [const { Alarm { due: AtomicU64::new(NEVER), timer: AtomicU64::new(NEVER) } }; MAX_CPUS];

/// Reads the time stamp counter.
#[inline]
pub(super) fn tsc() -> u64 {
    // SAFETY: every x86_64 has the instruction, and nothing forbids it in the kernel.
    unsafe { _rdtsc() }
}

/// Makes this moment that of boot.
pub(super) fn start() {
    BASE.store(tsc(), Ordering::Relaxed);
}

/// Starts the clock and this CPU's timer; `wall` is the UNIX time now.
pub(super) fn init(rates: calibrate::Rates, wall: Duration) {
    let to_ns = Scale::new(rates.tsc, NS).unwrap_or(Scale::ZERO);
    let timer = if apic::has_deadline() { rates.tsc } else { rates.apic };
    TO_NS.set(to_ns);
    TO_TIMER.set(Scale::new(NS, timer).unwrap_or(Scale::ZERO));
    let wall = wall.saturating_sub(Duration::from_nanos(now().as_nanos()));
    WALL.store(u64::try_from(wall.as_nanos()).unwrap_or(0), Ordering::Relaxed);
    apic::enable_timer(interrupt::TIMER);
}

#[inline]
pub(crate) fn now() -> Instant {
    // A counter that another CPU has a little behind is taken as not having moved.
    let passed = tsc().saturating_sub(BASE.load(Ordering::Relaxed));
    Instant::from_nanos(TO_NS.get().apply(passed))
}

pub(crate) fn boot_wall_clock() -> Duration {
    Duration::from_nanos(WALL.load(Ordering::Relaxed))
}

/// Compares this CPU's counter with those of the CPUs that do the same at this time: what is read
/// after another's value was seen must not be less.
pub(super) fn compare_counters() {
    let latest = LATEST.load(Ordering::SeqCst);
    // SAFETY: a fence, which keeps the counter from being read before the load is done.
    unsafe { asm!("lfence", options(nostack, preserves_flags)) };
    let now = tsc();
    BEHIND.fetch_max(latest.saturating_sub(now), Ordering::SeqCst);
    LATEST.fetch_max(now, Ordering::SeqCst);
}

/// Whether the CPUs' counters agree, as far as they have been compared.
pub(super) fn counters_agree() -> bool {
    BEHIND.load(Ordering::SeqCst) == 0
}

pub(crate) fn tsc_clock() -> Option<TscClock> {
    let Scale { mult, shift } = TO_NS.get();
    let base_tsc = BASE.load(Ordering::Relaxed);
    (mult != 0 && counters_agree()).then_some(TscClock { base_tsc, base_ns: 0, mult, shift })
}

pub(crate) fn set_alarm(at: Option<Instant>) {
    let alarm = &ALARMS[cpu::current().index()];
    let due = at.map_or(NEVER, |at| at.as_nanos().min(NEVER - 1));
    alarm.due.store(due, Ordering::Relaxed);
    // The timer may fire right here and see to it; then this does no harm.
    if due < alarm.timer.load(Ordering::Relaxed) {
        set_timer(alarm, due);
    }
}

pub(crate) fn alarm_is_set() -> bool {
    ALARMS[cpu::current().index()].due.load(Ordering::Relaxed) != NEVER
}

/// This CPU's timer fired, interrupts are off; whether the alarm was due.
pub(super) fn timer_fired() -> bool {
    let alarm = &ALARMS[cpu::current().index()];
    alarm.timer.store(NEVER, Ordering::Relaxed);
    let due = alarm.due.load(Ordering::Relaxed);
    if due == NEVER {
        return false;
    }
    let is_due = now().as_nanos() >= due;
    if is_due {
        alarm.due.store(NEVER, Ordering::Relaxed);
    } else {
        set_timer(alarm, due);
    }
    is_due
}

/// Sets the timer to fire at `at`, or earlier if that is too far away for it.
fn set_timer(alarm: &Alarm, at: u64) {
    alarm.timer.store(at, Ordering::Relaxed);
    let left = at.saturating_sub(now().as_nanos());
    let ticks = TO_TIMER.get().apply(left);
    if apic::has_deadline() {
        apic::set_deadline(tsc().saturating_add(ticks).max(1));
    } else {
        apic::set_count(u32::try_from(ticks).unwrap_or(u32::MAX).max(1));
    }
}
