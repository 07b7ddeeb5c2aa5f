//! Small integers that must not be confused: descriptors, process numbers, signals.

use crate::{Errno, Result};

/// A file descriptor as a program passes it; any value, also a bad one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fd(pub i32);

impl Fd {
    /// The working directory, for the `*at` calls (`AT_FDCWD`).
    pub const CWD: Self = Self(-100);

    /// The place in a descriptor table; `None` if negative.
    pub fn index(self) -> Option<usize> {
        usize::try_from(self.0).ok()
    }
}

/// The number of a thread, a process, a process group or a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pid(u32);

impl Pid {
    /// The group and the session of the kernel itself; no program has this number.
    pub const KERNEL: Self = Self(0);
    /// The first process.
    pub const INIT: Self = Self(1);

    /// The number `value`; `None` if it is not positive.
    pub const fn new(value: i32) -> Option<Self> {
        if value > 0 { Some(Self(value.unsigned_abs())) } else { None }
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The number as `pid_t`.
    pub const fn as_i32(self) -> i32 {
        self.0.cast_signed()
    }

    /// The number as a call returns it.
    pub const fn as_usize(self) -> usize {
        self.0 as usize
    }
}

/// A signal's number, 1 to 64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(u8);

macro_rules! signals {
    ($($name:ident = $number:literal),* $(,)?) => {
        #[allow(missing_docs, reason = "signal(7) describes them")]
        impl Signal {
            $(pub const $name: Self = Self($number);)*
        }

        const SIGNAL_NAMES: &[(Signal, &str)] = &[$((Signal::$name, concat!("SIG", stringify!($name)))),*];
    };
}

signals! {
    HUP = 1, INT = 2, QUIT = 3, ILL = 4, TRAP = 5, ABRT = 6, BUS = 7, FPE = 8, KILL = 9, USR1 = 10,
    SEGV = 11, USR2 = 12, PIPE = 13, ALRM = 14, TERM = 15, STKFLT = 16, CHLD = 17, CONT = 18,
    STOP = 19, TSTP = 20, TTIN = 21, TTOU = 22, URG = 23, XCPU = 24, XFSZ = 25, VTALRM = 26,
    PROF = 27, WINCH = 28, IO = 29, PWR = 30, SYS = 31, RTMIN = 32, RTMAX = 64,
}

impl Signal {
    /// The signal `number`.
    ///
    /// # Errors
    /// - `EINVAL`: not 1 to 64.
    pub fn new(number: i32) -> Result<Self> {
        match u8::try_from(number) {
            Ok(number @ 1..=64) => Ok(Self(number)),
            _ => Err(Errno::EINVAL),
        }
    }

    /// The number.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// The place in a table of 64.
    pub const fn index(self) -> usize {
        self.0 as usize - 1
    }

    /// Whether several may be pending at once.
    pub const fn is_realtime(self) -> bool {
        self.0 >= Self::RTMIN.0
    }
}

impl core::fmt::Debug for Signal {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match SIGNAL_NAMES.iter().find(|(signal, _)| signal == self) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "signal {}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Pid, Signal};
    use crate::Errno;

    #[test]
    fn numbers_out_of_range_are_refused() {
        assert_eq!(Signal::new(0), Err(Errno::EINVAL));
        assert_eq!(Signal::new(65), Err(Errno::EINVAL));
        assert_eq!(Signal::new(64), Ok(Signal::RTMAX));
        assert_eq!(format!("{:?}", Signal::SEGV), "SIGSEGV");
        assert_eq!(Pid::new(0), None);
        assert_eq!(Pid::new(1), Some(Pid::INIT));
    }
}
