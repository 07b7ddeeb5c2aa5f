//! Sets of CPUs.

use framework::{CpuId, cpu};

/// A set of CPUs, a bit for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CpuSet(u64);

impl CpuSet {
    /// Every CPU there can be.
    pub const ALL: Self = Self(u64::MAX >> (64 - cpu::MAX_CPUS));

    /// No CPU.
    pub const EMPTY: Self = Self(0);

    /// The set with these bits; those of CPUs that cannot be are dropped.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits & Self::ALL.0)
    }

    /// A bit for each CPU, the lowest for CPU 0.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The set of one CPU.
    pub const fn only(cpu: CpuId) -> Self {
        Self(1 << cpu.index())
    }

    /// The first `count` CPUs.
    pub const fn first(count: usize) -> Self {
        Self::from_bits(if count >= 64 { u64::MAX } else { (1 << count) - 1 })
    }

    /// Whether `cpu` is in it.
    pub const fn contains(self, cpu: CpuId) -> bool {
        self.0 & (1 << cpu.index()) != 0
    }

    /// Whether no CPU is in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// This set with `cpu`.
    #[must_use]
    pub const fn with(self, cpu: CpuId) -> Self {
        Self(self.0 | 1 << cpu.index())
    }

    /// This set without `cpu`.
    #[must_use]
    pub const fn without(self, cpu: CpuId) -> Self {
        Self(self.0 & !(1 << cpu.index()))
    }

    /// How many CPUs are in it.
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Its CPUs in ascending order.
    pub fn iter(self) -> impl Iterator<Item = CpuId> {
        let mut rest = self.0;
        core::iter::from_fn(move || {
            let lowest = u8::try_from(rest.trailing_zeros()).ok()?;
            rest &= rest.checked_sub(1)?;
            Some(CpuId::new(lowest))
        })
    }
}

impl Default for CpuSet {
    fn default() -> Self {
        Self::ALL
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn iterates_in_order() {
        let set = CpuSet::only(CpuId::new(3)).with(CpuId::new(0)).with(CpuId::new(15));
        let indices: Vec<usize> = set.iter().map(CpuId::index).collect();
        assert_eq!(indices, [0, 3, 15]);
        assert_eq!(set.len(), 3);
        assert_eq!(set.without(CpuId::new(3)).iter().count(), 2);
        assert_eq!(CpuSet::EMPTY.iter().count(), 0);
        assert_eq!(CpuSet::ALL.len(), cpu::MAX_CPUS);
    }

    #[test]
    fn drops_bits_of_cpus_that_cannot_be() {
        assert_eq!(CpuSet::from_bits(u64::MAX), CpuSet::ALL);
        assert!(CpuSet::from_bits(1 << 40).is_empty());
    }
}
