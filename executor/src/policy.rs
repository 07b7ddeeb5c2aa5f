//! Scheduling policies and the weight of a nice value.
//!
//! Source: sched(7)

use core::ops::RangeInclusive;

/// The most favourable nice value.
pub const MIN_NICE: i8 = -20;

/// The least favourable nice value.
pub const MAX_NICE: i8 = 19;

/// Real-time priorities, higher is better.
pub(crate) const RT_PRIORITIES: RangeInclusive<u8> = 1..=99;

/// How a task competes for CPU time, as in sched(7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// A share of the CPU by nice value (`SCHED_OTHER`).
    #[default]
    Fair,
    /// Like `Fair`, but waking up never preempts (`SCHED_BATCH`).
    Batch,
    /// What is left over: a weight below the lowest nice value's (`SCHED_IDLE`).
    Idle,
    /// Real-time: runs until it waits, yields or a higher priority (1..=99) is ready.
    Fifo(u8),
    /// Real-time, in turns of 100 ms with others of its priority (1..=99).
    RoundRobin(u8),
}

impl Policy {
    /// The real-time priority; `None` for the others.
    pub const fn priority(self) -> Option<u8> {
        match self {
            Self::Fifo(priority) | Self::RoundRobin(priority) => Some(priority),
            Self::Fair | Self::Batch | Self::Idle => None,
        }
    }

    /// Two bytes: which one, and the priority clamped into its range.
    pub(crate) const fn pack(self) -> u16 {
        let (which, priority) = match self {
            Self::Fair => (0, 0),
            Self::Batch => (1, 0),
            Self::Idle => (2, 0),
            Self::Fifo(priority) => (3, priority),
            Self::RoundRobin(priority) => (4, priority),
        };
        let priority = match priority {
            0 if which >= 3 => *RT_PRIORITIES.start(),
            above if above > *RT_PRIORITIES.end() => *RT_PRIORITIES.end(),
            fitting => fitting,
        };
        u16::from_le_bytes([which, priority])
    }

    /// The policy that [`Policy::pack`] packed.
    pub(crate) const fn unpack(packed: u16) -> Self {
        let [which, priority] = packed.to_le_bytes();
        match which {
            1 => Self::Batch,
            2 => Self::Idle,
            3 => Self::Fifo(priority),
            4 => Self::RoundRobin(priority),
            _ => Self::Fair,
        }
    }

    /// What beats what: a ready task preempts a running one of lower rank.
    pub(crate) const fn rank(self) -> u8 {
        match self {
            Self::Idle => 1,
            Self::Fair | Self::Batch => 2,
            Self::Fifo(priority) | Self::RoundRobin(priority) => 2 + priority,
        }
    }

    /// The share of a fair task with this policy and nice value.
    pub(crate) fn weight(self, nice: i8) -> u32 {
        match self {
            Self::Idle => IDLE_WEIGHT,
            _ => weight(nice),
        }
    }
}

/// The weight of nice 0.
pub(crate) const NICE_0: u32 = 1024;

const IDLE_WEIGHT: u32 = 3;

/// One nice step is 10 % of CPU time between two tasks, so a factor of 1.25; the values are the
/// ones Linux promises to programs that compute with them.
const WEIGHTS: [u32; 40] = [
    88761, 71755, 56483, 46273, 36291, 29154, 23254, 18705, 14949, 11916, 9548, 7620, 6100, 4904,
    3906, 3121, 2501, 1991, 1586, 1277, 1024, 820, 655, 526, 423, 335, 272, 215, 172, 137, 110, 87,
    70, 56, 45, 36, 29, 23, 18, 15,
];

/// The weight of a nice value, clamped into its range.
pub(crate) fn weight(nice: i8) -> u32 {
    let steps = nice.clamp(MIN_NICE, MAX_NICE) - MIN_NICE;
    WEIGHTS[usize::from(steps.unsigned_abs())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_those_of_linux() {
        assert_eq!(weight(0), NICE_0);
        assert_eq!(weight(-20), 88761);
        assert_eq!(weight(19), 15);
        assert_eq!(weight(100), 15);
        assert_eq!(Policy::Idle.weight(-20), 3);
    }

    #[test]
    fn packs_and_unpacks() {
        for policy in
            [Policy::Fair, Policy::Batch, Policy::Idle, Policy::Fifo(1), Policy::RoundRobin(99)]
        {
            assert_eq!(Policy::unpack(policy.pack()), policy);
        }
        assert_eq!(Policy::unpack(Policy::Fifo(0).pack()), Policy::Fifo(1));
        assert_eq!(Policy::unpack(Policy::Fifo(200).pack()), Policy::Fifo(99));
    }

    #[test]
    fn ranks_order_the_classes() {
        assert!(Policy::Idle.rank() < Policy::Batch.rank());
        assert_eq!(Policy::Fair.rank(), Policy::Batch.rank());
        assert!(Policy::Fair.rank() < Policy::Fifo(1).rank());
        assert!(Policy::Fifo(1).rank() < Policy::RoundRobin(2).rank());
    }
}
