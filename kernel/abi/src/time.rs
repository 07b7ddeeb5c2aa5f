//! Times as programs pass them.

use crate::{Errno, Result};
use core::time::Duration;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// `struct timespec`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
#[allow(missing_docs, reason = "timespec(3type)")]
pub struct Timespec {
    pub tv_sec: i64,
    pub tv_nsec: i64,
}

/// `struct timeval`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
#[allow(missing_docs, reason = "timeval(3type)")]
pub struct Timeval {
    pub tv_sec: i64,
    pub tv_usec: i64,
}

/// `struct itimerspec`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
#[allow(missing_docs, reason = "itimerspec(3type)")]
pub struct Itimerspec {
    pub it_interval: Timespec,
    pub it_value: Timespec,
}

/// `struct itimerval`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
#[allow(missing_docs, reason = "getitimer(2)")]
pub struct Itimerval {
    pub it_interval: Timeval,
    pub it_value: Timeval,
}

impl TryFrom<Timespec> for Duration {
    type Error = Errno;

    /// # Errors
    /// - `EINVAL`: negative seconds, or nanoseconds outside 0..10^9.
    fn try_from(time: Timespec) -> Result<Self> {
        let seconds = u64::try_from(time.tv_sec).map_err(|_| Errno::EINVAL)?;
        match u32::try_from(time.tv_nsec) {
            Ok(nanos @ 0..1_000_000_000) => Ok(Self::new(seconds, nanos)),
            _ => Err(Errno::EINVAL),
        }
    }
}

impl TryFrom<Timeval> for Duration {
    type Error = Errno;

    /// # Errors
    /// - `EINVAL`: negative seconds, or microseconds outside 0..10^6.
    fn try_from(time: Timeval) -> Result<Self> {
        let seconds = u64::try_from(time.tv_sec).map_err(|_| Errno::EINVAL)?;
        match u32::try_from(time.tv_usec) {
            Ok(micros @ 0..1_000_000) => Ok(Self::new(seconds, micros * 1000)),
            _ => Err(Errno::EINVAL),
        }
    }
}

impl From<Duration> for Timespec {
    fn from(time: Duration) -> Self {
        let tv_sec = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        Self { tv_sec, tv_nsec: i64::from(time.subsec_nanos()) }
    }
}

impl From<Duration> for Timeval {
    fn from(time: Duration) -> Self {
        let tv_sec = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        Self { tv_sec, tv_usec: i64::from(time.subsec_micros()) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Timespec, Timeval};
    use crate::Errno;
    use core::time::Duration;

    #[test]
    fn only_valid_times_convert() {
        let bad = [(-1, 0), (0, -1), (0, 1_000_000_000)];
        for (tv_sec, tv_nsec) in bad {
            assert_eq!(Duration::try_from(Timespec { tv_sec, tv_nsec }), Err(Errno::EINVAL));
        }
        let good = Timeval { tv_sec: 3, tv_usec: 999_999 };
        let duration = Duration::try_from(good).unwrap();
        assert_eq!(duration, Duration::from_micros(3_999_999));
        assert_eq!(Timeval::from(duration), good);
    }
}
