//! From the ticks of one clock to those of another by a multiplication and a shift.

/// A ratio of frequencies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scale {
    /// Multiplier.
    pub(crate) mult: u32,
    /// Shift, at most 63.
    pub(crate) shift: u32,
}

impl Scale {
    /// Turns everything into 0: of a clock that is not known yet.
    pub(crate) const ZERO: Self = Self { mult: 0, shift: 0 };

    /// From ticks of `from` Hz to ticks of `to` Hz, with the largest multiplier that 32 bits hold.
    ///
    /// `None` where a frequency is 0 or the ratio is out of all proportion.
    pub(crate) fn new(from: u64, to: u64) -> Option<Self> {
        if from == 0 || to == 0 {
            return None;
        }
        (0..64).rev().find_map(|shift| {
            let scaled = (u128::from(to) << shift) + u128::from(from / 2);
            let mult = u32::try_from(scaled / u128::from(from)).ok()?;
            // Half of 32 bits of precision is the least that can be called a clock.
            (mult >= 1 << 16).then_some(Self { mult, shift })
        })
    }

    /// The rate in Hz that KVM's clock tells as a scale to nanoseconds: `(ticks << shift) * mult >>
    /// 32`, or a shift to the right where it is negative.
    pub(crate) fn kvm_clock_hz(mult: u32, shift: i8) -> Option<u64> {
        let hz = (u128::from(1_000_000_000u32) << 32).checked_div(u128::from(mult))?;
        let by = u32::from(shift.unsigned_abs());
        let hz =
            if shift < 0 { hz.checked_mul(1u128.checked_shl(by)?)? } else { hz.checked_shr(by)? };
        u64::try_from(hz).ok().filter(|&hz| hz != 0)
    }

    /// Converts a number of ticks; the end of time is the largest number.
    #[inline]
    pub(crate) fn apply(self, ticks: u64) -> u64 {
        let product = u128::from(ticks) * u128::from(self.mult);
        u64::try_from(product >> self.shift).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{prop_assert, proptest};

    const NS: u64 = 1_000_000_000;

    #[test]
    fn a_clock_runs_for_584_years() {
        for hz in [1_000_000, 999_999_999, NS, 2_445_400_000, 5_800_000_000] {
            let scale = Scale::new(hz, NS).unwrap();
            let year = hz * 31_557_600;
            let years = (u64::MAX / year).min(584);
            let ns = scale.apply(year * years);
            let exact = u128::from(years) * 31_557_600 * u128::from(NS);
            let error = u128::from(ns).abs_diff(exact);
            assert!(error < exact >> 31, "{hz} Hz: {error} ns off in {years} years");
        }
        assert_eq!(Scale::new(1_000_000, NS).unwrap().apply(u64::MAX), u64::MAX);
    }

    #[test]
    fn the_rate_of_the_kvm_clock() {
        assert_eq!(Scale::kvm_clock_hz(1 << 31, 0), Some(2 * NS));
        assert_eq!(Scale::kvm_clock_hz(1 << 31, 1), Some(NS));
        assert_eq!(Scale::kvm_clock_hz(1 << 31, -1), Some(4 * NS));
        assert_eq!(Scale::kvm_clock_hz(3_579_139_413, -1).map(|hz| hz / 1_000_000), Some(2400));
        assert_eq!(Scale::kvm_clock_hz(0, 0), None);
        assert_eq!(Scale::kvm_clock_hz(1, -128), None);
        assert_eq!(Scale::kvm_clock_hz(1, 127), None);
    }

    #[test]
    fn nonsense_has_no_scale() {
        assert_eq!(Scale::new(0, NS), None);
        assert_eq!(Scale::new(NS, 0), None);
        assert_eq!(Scale::new(1, u64::MAX), None);
        assert_eq!(Scale::new(u64::MAX, 1), None);
        assert_eq!(Scale::ZERO.apply(u64::MAX), 0);
    }

    proptest! {
        #[test]
        fn time_never_goes_back(hz in 1_000_000..6_000_000_000u64, at in 0..u64::MAX - 1) {
            let scale = Scale::new(hz, NS).unwrap();
            prop_assert!(scale.apply(at) <= scale.apply(at + 1));
        }

        #[test]
        fn there_and_back_is_close(hz in 1_000_000..6_000_000_000u64, ns in 0..1u64 << 50) {
            let there = Scale::new(NS, hz).unwrap();
            let back = Scale::new(hz, NS).unwrap();
            let error = back.apply(there.apply(ns)).abs_diff(ns);
            prop_assert!(error <= (ns >> 29) + NS / hz + 2);
        }
    }
}
