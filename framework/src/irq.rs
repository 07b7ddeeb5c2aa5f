//! Interrupts as wake-ups.
//!
//! ```text
//!   interrupt ──▶ Line::fire: count, set pending, wake ──▶ IrqLine::wait completes
//! ```
//! [`Line::fire`] runs in the interrupt handler: it takes no lock and frees nothing, so the waker
//! stays in its slot until the next one replaces it.

use crate::{cpu, machine};
use alloc::{string::String, vec::Vec};
use core::{
    cell::UnsafeCell,
    future::poll_fn,
    sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
    task::{Context, Poll, Waker},
};

/// The right to one interrupt line; made at boot, handed to the driver of the device behind it.
#[derive(Debug)]
pub struct IrqLine {
    number: u32,
    line: &'static Line,
}

impl IrqLine {
    /// The right to `line`; whoever makes it sees to it that there is but one.
    pub(crate) fn new(number: u32, line: &'static Line) -> Self {
        Self { number, line }
    }

    /// A line that has no device: what the second part is told fires it. For software devices and
    /// tests, which are never taken down: its memory is not given back.
    #[cfg(not(target_os = "none"))]
    pub fn software(number: u32) -> (Self, SoftwareLine) {
        let line: &'static Line = alloc::boxed::Box::leak(alloc::boxed::Box::new(Line::new()));
        machine::irq::add(number, line);
        (Self::new(number, line), SoftwareLine(line))
    }

    /// The line's number (a GSI on bare metal), for messages and `/proc/interrupts`.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Completes when the line has fired since the last completion.
    ///
    /// One task at a time can wait for a line; the last one to do so is woken.
    ///
    /// # Cancel safety
    /// Dropping it loses nothing: an interrupt that came stays pending.
    pub async fn wait(&self) {
        poll_fn(|context| self.line.poll(context)).await;
    }
}

/// The end of an [`IrqLine`] where a device would be.
#[cfg(not(target_os = "none"))]
#[derive(Clone, Copy, Debug)]
pub struct SoftwareLine(&'static Line);

#[cfg(not(target_os = "none"))]
impl SoftwareLine {
    /// Interrupts.
    pub fn fire(self) {
        self.0.fire();
    }
}

/// Interrupts of one line so far, on each CPU, for `/proc/interrupts`.
#[derive(Clone, Debug)]
pub struct Count {
    /// What fires: a line's number, or a name such as `LOC`.
    pub name: String,
    /// What it is for.
    pub what: String,
    /// Times it fired, by CPU.
    pub per_cpu: Vec<u64>,
}

/// Counts of all lines in use, timer and inter-processor interrupts included.
pub fn counts() -> Vec<Count> {
    machine::irq::counts()
}

/// How often something happened on each CPU.
#[derive(Debug)]
pub(crate) struct Counter([AtomicU64; cpu::MAX_CPUS]);

impl Counter {
    pub(crate) const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; cpu::MAX_CPUS])
    }

    /// Counts once more on this CPU; only its interrupts do, so no locked instruction is needed.
    pub(crate) fn count(&self) {
        let counter = &self.0[cpu::current().index()];
        counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// The counts of the CPUs that run, the one that asks included.
    pub(crate) fn read(&self) -> Vec<u64> {
        self.0[..cpu::count().max(cpu::current().index() + 1)]
            .iter()
            .map(|counter| counter.load(Ordering::Relaxed))
            .collect()
    }
}

/// What an interrupt handler knows of a line.
#[derive(Debug)]
pub(crate) struct Line {
    /// The line fired, and nobody has been told.
    pending: AtomicBool,
    /// Who is to be told.
    waker: WakerSlot,
    /// How often it fired.
    pub(crate) fired: Counter,
}

impl Line {
    pub(crate) const fn new() -> Self {
        Self { pending: AtomicBool::new(false), waker: WakerSlot::new(), fired: Counter::new() }
    }

    /// The interrupt came.
    pub(crate) fn fire(&self) {
        self.fired.count();
        self.pending.store(true, Ordering::SeqCst);
        self.waker.wake();
    }

    fn poll(&self, context: &Context<'_>) -> Poll<()> {
        if self.pending.swap(false, Ordering::SeqCst) {
            return Poll::Ready(());
        }
        self.waker.register(context.waker());
        if self.pending.swap(false, Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// A waker that an interrupt handler may wake at any moment.
///
/// Whoever changes `state` from [`IDLE`] has the slot to itself. A wake-up that finds it taken
/// leaves [`MISSED`] behind, and the one that has it wakes in its place.
#[derive(Debug)]
struct WakerSlot {
    state: AtomicU8,
    waker: UnsafeCell<Option<Waker>>,
}

const IDLE: u8 = 0;
const TAKEN: u8 = 1;
const MISSED: u8 = 2;

// SAFETY: `waker` is touched only by the one that has taken the slot.
unsafe impl Sync for WakerSlot {}

impl WakerSlot {
    const fn new() -> Self {
        Self { state: AtomicU8::new(IDLE), waker: UnsafeCell::new(None) }
    }

    fn take(&self) -> bool {
        self.state.compare_exchange(IDLE, TAKEN, Ordering::Acquire, Ordering::Acquire).is_ok()
    }

    /// Gives the slot back; whether a wake-up was missed meanwhile.
    fn give_back(&self) -> bool {
        self.state.swap(IDLE, Ordering::AcqRel) == MISSED
    }

    /// Puts a waker in; the one before is dropped here, outside interrupts.
    fn register(&self, waker: &Waker) {
        if !self.take() {
            // The line fires on another CPU in this moment.
            waker.wake_by_ref();
            return;
        }
        // SAFETY: the slot is ours.
        let slot = unsafe { &mut *self.waker.get() };
        let before = match slot {
            Some(present) if present.will_wake(waker) => None,
            _ => slot.replace(waker.clone()),
        };
        if self.give_back() {
            waker.wake_by_ref();
        }
        drop(before);
    }

    /// Wakes without taking the waker out: dropping it might free memory.
    fn wake(&self) {
        while !self.take() {
            match self.state.compare_exchange(TAKEN, MISSED, Ordering::AcqRel, Ordering::Acquire) {
                Err(IDLE) => {} // given back just now
                _ => return,
            }
        }
        loop {
            // SAFETY: the slot is ours.
            if let Some(waker) = unsafe { &*self.waker.get() } {
                waker.wake_by_ref();
            }
            if !self.give_back() || !self.take() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::{pin::pin, sync::atomic::AtomicUsize};
    use std::{sync::Arc, task::Wake};

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn irq_line() -> IrqLine {
        IrqLine::software(4).0
    }

    #[test]
    fn software_lines_are_counted() {
        let (_irq, device) = IrqLine::software(77);
        device.fire();
        let counts = counts();
        let count = counts.iter().find(|count| count.name == "77").unwrap();
        assert_eq!(count.per_cpu.iter().sum::<u64>(), 1);
    }

    #[test]
    fn an_interrupt_before_the_wait_is_not_lost() {
        let irq = irq_line();
        let mut context = Context::from_waker(Waker::noop());
        irq.line.fire();
        assert!(pin!(irq.wait()).poll(&mut context).is_ready());
        assert!(pin!(irq.wait()).poll(&mut context).is_pending());
        assert_eq!(irq.number(), 4);
    }

    #[test]
    fn an_interrupt_wakes_the_one_who_waits() {
        let irq = irq_line();
        let count = Arc::new(Count::default());
        let waker = count.clone().into();
        let mut context = Context::from_waker(&waker);
        let mut wait = pin!(irq.wait());
        assert!(wait.as_mut().poll(&mut context).is_pending());
        irq.line.fire();
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
        assert!(wait.poll(&mut context).is_ready());
    }

    #[test]
    fn a_dropped_wait_leaves_the_interrupt() {
        let irq = irq_line();
        let mut context = Context::from_waker(Waker::noop());
        assert!(pin!(irq.wait()).poll(&mut context).is_pending());
        irq.line.fire();
        assert!(pin!(irq.wait()).poll(&mut context).is_ready());
    }

    #[test]
    fn no_wake_up_is_lost_between_threads() {
        const ROUNDS: usize = 20_000;
        let irq = Arc::new(irq_line());
        let seen = Arc::new(AtomicUsize::new(0));
        let (device, answered) = (irq.clone(), seen.clone());
        let device = std::thread::spawn(move || {
            for round in 0..ROUNDS {
                device.line.fire();
                while answered.load(Ordering::SeqCst) <= round {
                    std::thread::yield_now();
                }
            }
        });
        struct Unpark(std::thread::Thread);
        impl Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        let waker = Arc::new(Unpark(std::thread::current())).into();
        let mut context = Context::from_waker(&waker);
        for _ in 0..ROUNDS {
            let mut wait = pin!(irq.wait());
            while wait.as_mut().poll(&mut context).is_pending() {
                std::thread::park();
            }
            seen.fetch_add(1, Ordering::SeqCst);
        }
        device.join().unwrap();
        assert_eq!(irq.line.fired.0.iter().map(|n| n.load(Ordering::Relaxed)).sum::<u64>(), 20_000);
    }
}
