//! CPUs: which one this is, data for each, starting, halting, kicking.

use crate::machine;

/// The most CPUs a machine may have.
pub const MAX_CPUS: usize = 16;

/// A CPU by its index, `0..count()`; 0 is the one that booted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CpuId(u8);

impl CpuId {
    /// The CPU with this index. Panics from [`MAX_CPUS`] on.
    pub const fn new(index: u8) -> Self {
        assert!((index as usize) < MAX_CPUS, "no such CPU");
        Self(index)
    }

    /// The CPU with this index. Panics from [`MAX_CPUS`] on.
    pub(crate) fn from_index(index: usize) -> Self {
        Self::new(u8::try_from(index).expect("a CPU's index is below MAX_CPUS"))
    }

    /// The index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The index as it is kept.
    pub(crate) const fn get(self) -> u8 {
        self.0
    }
}

/// The CPU this code runs on. It can change at every `.await` and nowhere else.
///
/// On the library OS any thread may ask: one that is no CPU yet becomes the lowest free one, so
/// that each test has its own (which need not be below [`count`]).
pub fn current() -> CpuId {
    machine::cpu::current()
}

/// How many CPUs run (1 until [`start_others`]).
pub fn count() -> usize {
    machine::cpu::count()
}

/// Starts all other CPUs; each calls `run`. Returns when they are counted in [`count`].
pub fn start_others(run: fn() -> !) {
    machine::cpu::start_others(run);
}

/// Halts this CPU until an interrupt or a kick, unless `ready()`, which is asked with interrupts
/// off, says there is something to do: no wake-up in between is lost.
pub fn halt_unless(ready: impl FnOnce() -> bool) {
    machine::cpu::halt_unless(ready);
}

/// Makes `cpu` leave user mode or its halt soon; callable from interrupts.
pub fn kick(cpu: CpuId) {
    machine::cpu::kick(cpu);
}

/// Tells a spinning loop's CPU (`pause`).
pub fn relax() {
    core::hint::spin_loop();
}

/// One value for each CPU, on cache lines of its own.
#[derive(Debug)]
pub struct PerCpu<T>([Padded<T>; MAX_CPUS]);

#[derive(Debug)]
#[repr(align(64))]
struct Padded<T>(T);

impl<T> PerCpu<T> {
    /// Makes a value for each CPU with `make`.
    pub fn new(mut make: impl FnMut(CpuId) -> T) -> Self {
        let mut index = 0;
        Self([(); MAX_CPUS].map(|()| {
            let id = CpuId(index);
            index += 1;
            Padded(make(id))
        }))
    }

    /// This CPU's value.
    pub fn get(&self) -> &T {
        self.of(current())
    }

    /// The value of `cpu`.
    pub fn of(&self, cpu: CpuId) -> &T {
        &self.0[cpu.index()].0
    }

    /// All values in the order of their CPUs, those of CPUs that do not run included.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|padded| &padded.0)
    }
}
