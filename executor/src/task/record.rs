//! What the scheduler knows of one task.

use super::{Runnable, TaskRef, name::Name};
use crate::{CpuSet, Policy};
use core::{
    sync::atomic::{
        AtomicI8, AtomicU8, AtomicU16, AtomicU32, AtomicU64,
        Ordering::{Acquire, Relaxed, Release},
        fence,
    },
    task::Waker,
};
use framework::CpuId;
use spin::{Mutex, RwLock};

pub(crate) use crate::queue::NIL;

/// Where a task is. Stored as a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Place {
    /// In no queue: it waits.
    Waiting,
    /// It runs, or is between two places.
    Running,
    /// On the way to a CPU, in its inbox.
    Inbox,
    /// In a CPU's next slot.
    Next,
    /// In a CPU's fair queue.
    Fair,
    /// In a real-time list of a CPU.
    RealTime,
    /// Its future is done.
    Ended,
}

impl Place {
    const ALL: [Self; 7] = [
        Self::Waiting,
        Self::Running,
        Self::Inbox,
        Self::Next,
        Self::Fair,
        Self::RealTime,
        Self::Ended,
    ];
}

/// Where a task runs. Stored as a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Mode {
    /// In its program.
    User,
    /// In the kernel.
    Kernel,
}

impl Mode {
    pub(crate) const fn from_bits(bits: u8) -> Self {
        if bits == Self::User as u8 { Self::User } else { Self::Kernel }
    }
}

/// One task. Every field is an atomic because anybody may look; who may write says each group.
#[derive(Debug)]
pub(crate) struct Record {
    index: u32,
    refs: AtomicU32,
    id: AtomicU64,

    /// The links belong to the list the task is in.
    pub(crate) next: AtomicU32,
    pub(crate) left: AtomicU32,
    pub(crate) right: AtomicU32,
    /// The weight it was put into the fair queue with.
    pub(crate) weight: AtomicU32,
    /// Virtual time received; while the task waits, its lag.
    pub(crate) vruntime: AtomicU64,
    /// Virtual time by which it should have received its slice.
    pub(crate) deadline: AtomicU64,
    /// The least `vruntime` of its subtree.
    pub(crate) min_vruntime: AtomicU64,
    /// Set by whoever puts the task into a list, taken by whoever takes it out.
    runnable: Mutex<Option<Runnable>>,

    /// Set when spawned, cleared when the future is done.
    waker: RwLock<Option<Waker>>,
    policy: AtomicU16,
    nice: AtomicI8,
    affinity: AtomicU64,

    /// These are written by the CPU that runs the task or puts it somewhere.
    place: AtomicU8,
    cpu: AtomicU8,
    /// Where the last tick found it: what its time counts as.
    mode: AtomicU8,
    reason: AtomicU16,
    user_ns: AtomicU64,
    system_ns: AtomicU64,
    voluntary: AtomicU64,
    involuntary: AtomicU64,
    pub(crate) name: Name,
}

impl Record {
    pub(super) const fn new(index: u32) -> Self {
        Self {
            index,
            refs: AtomicU32::new(0),
            id: AtomicU64::new(0),
            next: AtomicU32::new(NIL),
            left: AtomicU32::new(NIL),
            right: AtomicU32::new(NIL),
            weight: AtomicU32::new(0),
            vruntime: AtomicU64::new(0),
            deadline: AtomicU64::new(0),
            min_vruntime: AtomicU64::new(0),
            runnable: Mutex::new(None),
            waker: RwLock::new(None),
            policy: AtomicU16::new(0),
            nice: AtomicI8::new(0),
            affinity: AtomicU64::new(0),
            place: AtomicU8::new(Place::Ended as u8),
            cpu: AtomicU8::new(0),
            mode: AtomicU8::new(Mode::User as u8),
            reason: AtomicU16::new(0),
            user_ns: AtomicU64::new(0),
            system_ns: AtomicU64::new(0),
            voluntary: AtomicU64::new(0),
            involuntary: AtomicU64::new(0),
            name: Name::new(),
        }
    }

    /// Makes a free record a new task's on this CPU, with one reference.
    pub(super) fn claim(&self, id: u64) {
        for counter in [
            &self.vruntime,
            &self.deadline,
            &self.user_ns,
            &self.system_ns,
            &self.voluntary,
            &self.involuntary,
        ] {
            counter.store(0, Relaxed);
        }
        self.reason.store(0, Relaxed);
        self.id.store(id, Relaxed);
        self.set_place(Place::Waiting);
        self.set_cpu(framework::cpu::current());
        self.refs.store(1, Release);
    }

    pub(crate) const fn index(&self) -> u32 {
        self.index
    }

    pub(crate) fn id(&self) -> u64 {
        self.id.load(Relaxed)
    }

    pub(super) fn retain(&self) {
        self.refs.fetch_add(1, Relaxed);
    }

    /// Adds a reference unless the record is free.
    pub(super) fn try_retain(&self) -> bool {
        self.refs.fetch_update(Acquire, Relaxed, |refs| (refs > 0).then_some(refs + 1)).is_ok()
    }

    /// Takes a reference away; true if it was the last.
    pub(super) fn release(&self) -> bool {
        let last = self.refs.fetch_sub(1, Release) == 1;
        if last {
            fence(Acquire);
        }
        last
    }

    /// Leaves the task here while it is in a list.
    pub(crate) fn put(&self, runnable: Runnable) {
        *self.runnable.lock() = Some(runnable);
    }

    /// Takes the task that [`Record::put`] left.
    pub(crate) fn take(&self) -> Runnable {
        self.runnable.lock().take().expect("a task in a list was put into its record")
    }

    pub(super) fn set_waker(&self, waker: Option<Waker>) {
        let old = core::mem::replace(&mut *self.waker.write(), waker);
        drop(old);
    }

    /// The future is done.
    pub(crate) fn end(&self) {
        self.set_place(Place::Ended);
        self.set_waker(None);
    }

    /// Wakes the task. Only its end takes the lock for writing, so a failure to read means there
    /// is nothing left to wake.
    pub(super) fn wake(&self) {
        if let Some(guard) = self.waker.try_read()
            && let Some(waker) = guard.as_ref()
        {
            waker.wake_by_ref();
        }
    }

    pub(crate) fn policy(&self) -> Policy {
        Policy::unpack(self.policy.load(Relaxed))
    }

    pub(crate) fn set_policy(&self, policy: Policy) {
        self.policy.store(policy.pack(), Relaxed);
    }

    pub(crate) fn nice(&self) -> i8 {
        self.nice.load(Relaxed)
    }

    pub(crate) fn set_nice(&self, nice: i8) {
        self.nice.store(nice.clamp(crate::MIN_NICE, crate::MAX_NICE), Relaxed);
    }

    pub(crate) fn affinity(&self) -> CpuSet {
        CpuSet::from_bits(self.affinity.load(Relaxed))
    }

    pub(crate) fn set_affinity(&self, cpus: CpuSet) {
        self.affinity.store(cpus.bits(), Relaxed);
    }

    pub(crate) fn place(&self) -> Place {
        Place::ALL[usize::from(self.place.load(Relaxed))]
    }

    pub(crate) fn set_place(&self, place: Place) {
        self.place.store(place as u8, Relaxed);
    }

    /// The CPU it runs on, waits for, or ran on last.
    pub(crate) fn cpu(&self) -> CpuId {
        CpuId::new(self.cpu.load(Relaxed))
    }

    pub(crate) fn set_cpu(&self, cpu: CpuId) {
        // MAX_CPUS fits.
        self.cpu.store(u8::try_from(cpu.index()).unwrap_or(0), Relaxed);
    }

    pub(super) fn reason_number(&self) -> u16 {
        self.reason.load(Relaxed)
    }

    /// It waits for nothing that it said before.
    pub(crate) fn forget_reason(&self) {
        self.set_reason(0);
    }

    pub(super) fn set_reason(&self, number: u16) {
        self.reason.store(number, Relaxed);
    }

    /// User and system time in nanoseconds.
    pub(crate) fn times(&self) -> (u64, u64) {
        (self.user_ns.load(Relaxed), self.system_ns.load(Relaxed))
    }

    pub(crate) fn mode(&self) -> Mode {
        Mode::from_bits(self.mode.load(Relaxed))
    }

    pub(crate) fn set_mode(&self, mode: Mode) {
        self.mode.store(mode as u8, Relaxed);
    }

    /// Adds CPU time; only the CPU that runs the task calls it.
    pub(crate) fn add_time(&self, mode: Mode, ns: u64) {
        match mode {
            Mode::User => add(&self.user_ns, ns),
            Mode::Kernel => add(&self.system_ns, ns),
        }
    }

    /// Voluntary and involuntary switches away from it.
    pub(crate) fn switches(&self) -> (u64, u64) {
        (self.voluntary.load(Relaxed), self.involuntary.load(Relaxed))
    }

    pub(crate) fn count_switch(&self, voluntary: bool) {
        add(if voluntary { &self.voluntary } else { &self.involuntary }, 1);
    }

    /// A handle to it.
    pub(crate) fn handle(&'static self) -> TaskRef {
        self.retain();
        TaskRef::adopt(self)
    }
}

/// Adds to a counter that only one CPU writes at a time.
pub(crate) fn add(counter: &AtomicU64, by: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(by), Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_small() {
        // With the 40 bytes of a cell this is what a blocked task costs beside its future.
        assert!(size_of::<Record>() <= 160, "{}", size_of::<Record>());
    }
}
