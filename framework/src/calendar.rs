//! Dates of the Gregorian calendar, as clocks on machines tell them.

/// A date and time, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Date {
    /// From 1970 on.
    pub(crate) year: u64,
    /// 1 to 12.
    pub(crate) month: u64,
    /// 1 to 31.
    pub(crate) day: u64,
    /// 0 to 23.
    pub(crate) hour: u64,
    /// 0 to 59.
    pub(crate) minute: u64,
    /// 0 to 60.
    pub(crate) second: u64,
}

/// Seconds from the beginning of 1970; `None` for what is no date.
pub(crate) fn unix_time(date: &Date) -> Option<u64> {
    let Date { year, month, day, hour, minute, second } = *date;
    let valid = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !valid {
        return None;
    }
    // A year that begins in March has its leap day at the end.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leaps = year / 4 - year / 100 + year / 400;
    let days = 365 * year + leaps + (153 * month + 2) / 5 + day - 1;
    /// Days from 1 March of year 0 to 1 January 1970.
    const EPOCH: u64 = 719_468;
    Some((days.checked_sub(EPOCH)?) * 86400 + hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(year: u64, month: u64, day: u64, time: [u64; 3]) -> Option<u64> {
        let [hour, minute, second] = time;
        unix_time(&Date { year, month, day, hour, minute, second })
    }

    #[test]
    fn known_dates() {
        assert_eq!(at(1970, 1, 1, [0, 0, 0]), Some(0));
        assert_eq!(at(2000, 2, 29, [12, 0, 0]), Some(951_825_600));
        assert_eq!(at(2001, 9, 9, [1, 46, 40]), Some(1_000_000_000));
        assert_eq!(at(2024, 12, 31, [23, 59, 59]), Some(1_735_689_599));
        assert_eq!(at(2038, 1, 19, [3, 14, 8]), Some(1 << 31));
        assert_eq!(at(2100, 3, 1, [0, 0, 0]), Some(4_107_542_400));
    }

    #[test]
    fn what_is_no_date() {
        assert_eq!(at(1969, 12, 31, [0, 0, 0]), None);
        assert_eq!(at(2000, 0, 1, [0, 0, 0]), None);
        assert_eq!(at(2000, 13, 1, [0, 0, 0]), None);
        assert_eq!(at(2000, 1, 0, [0, 0, 0]), None);
        assert_eq!(at(2000, 1, 1, [24, 0, 0]), None);
    }

    #[test]
    fn days_follow_each_other() {
        let lengths = |leap| [31, 28 + leap, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let mut expected = 0;
        for year in 1970..2110 {
            let leap = u64::from(year % 4 == 0 && (year % 100 != 0 || year % 400 == 0));
            for (month, days) in (1..).zip(lengths(leap)) {
                for day in 1..=days {
                    assert_eq!(at(year, month, day, [0, 0, 0]), Some(expected));
                    expected += 86400;
                }
            }
        }
    }
}
