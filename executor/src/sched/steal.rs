//! Balance: CPUs with nothing to do take from those with too much.

use super::cpu::{self, Cpu, IDLE_CPUS};
use crate::{CpuSet, task::Runnable};
use arrayvec::ArrayVec;
use core::sync::atomic::Ordering::Relaxed;
use framework::{
    CpuId,
    sim::{self, Choice},
};

/// The most tasks one theft takes.
const MOST: usize = 8;

/// How often a busy CPU compares its load with the others'.
const BALANCE_NS: u64 = 8_000_000;

/// How often a busy CPU wakes an idle one to take from it.
const CALL_NS: u64 = 1_000_000;

impl Cpu {
    /// Takes half of what waits for the busiest CPU. True if it got anything.
    pub(super) fn steal(&self, this: CpuId) -> bool {
        match busiest(this, 1) {
            Some(victim) => self.take_from(victim, this, MOST),
            None => false,
        }
    }

    fn take_from(&self, victim: CpuId, this: CpuId, most: usize) -> bool {
        let victim = cpu::of(victim);
        let mut taken = ArrayVec::<Runnable, MOST>::new();
        let now = self.clock.mark();
        {
            let Some(mut queue) = victim.try_lock() else { return false };
            let half = usize::try_from(queue.len().div_ceil(2)).unwrap_or(MOST).min(most);
            while taken.len() < half
                && let Some(runnable) = queue.steal(this, now)
            {
                taken.push(runnable);
            }
        }
        let any = !taken.is_empty();
        let mut queue = self.lock();
        for runnable in taken {
            runnable.metadata().record().set_cpu(this);
            queue.wake(runnable, self.current(), false, now);
        }
        any
    }

    /// Called now and then by a CPU whose task shares it.
    pub(super) fn balance(&self, this: CpuId) {
        let now = self.clock.mark();
        let since = now.saturating_sub(self.balanced.load(Relaxed));
        if self.ready() > 0 && since >= CALL_NS {
            let idle = CpuSet::from_bits(IDLE_CPUS.load(Relaxed)).and(cpu::machine(this));
            if let Some(idle) = idle.without(this).iter().next() {
                self.balanced.store(now, Relaxed);
                cpu::of(idle).attention.store(true, Relaxed);
                framework::cpu::kick(idle);
                return;
            }
        }
        if since >= BALANCE_NS {
            self.balanced.store(now, Relaxed);
            if let Some(victim) = busiest(this, self.ready() + 2) {
                self.take_from(victim, this, 1);
            }
        }
    }
}

/// The CPU for which most tasks wait, if they are at least `least`.
fn busiest(this: CpuId, least: u32) -> Option<CpuId> {
    let others = cpu::machine(this).without(this);
    let loaded = |id: &CpuId| cpu::of(*id).ready() >= least;
    let n = u32::try_from(others.iter().filter(loaded).count()).unwrap_or(0);
    if let Some(n) = sim::choose(Choice::Victim, n) {
        return others.iter().filter(loaded).nth(usize::try_from(n).unwrap_or(0));
    }
    others.iter().filter(loaded).max_by_key(|id| cpu::of(*id).ready())
}
