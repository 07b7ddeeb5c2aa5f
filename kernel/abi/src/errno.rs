//! Error numbers.

use core::fmt;
use framework::{Fault, OutOfMemory};

/// An error number of Linux (errno(3)), or one of the few the kernel keeps to itself (from 512 on).
///
/// The one error type from a page fault to the program's `rax`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Errno(u16);

/// The result of everything that can fail.
pub type Result<T, E = Errno> = core::result::Result<T, E>;

macro_rules! errnos {
    ($($name:ident),* $(,)?) => {
        #[allow(missing_docs, reason = "errno(3) describes them")]
        impl Errno {
            $(pub const $name: Self = Self::from_raw_sys(linux_raw_sys::errno::$name);)*
        }

        const NAMES: &[(Errno, &str)] = &[$((Errno::$name, stringify!($name))),*];
    };
}

errnos! {
    EPERM, ENOENT, ESRCH, EINTR, EIO, ENXIO, E2BIG, ENOEXEC, EBADF, ECHILD, EAGAIN, ENOMEM, EACCES,
    EFAULT, ENOTBLK, EBUSY, EEXIST, EXDEV, ENODEV, ENOTDIR, EISDIR, EINVAL, ENFILE, EMFILE, ENOTTY,
    ETXTBSY, EFBIG, ENOSPC, ESPIPE, EROFS, EMLINK, EPIPE, EDOM, ERANGE, EDEADLK, ENAMETOOLONG,
    ENOLCK, ENOSYS, ENOTEMPTY, ELOOP, ENOMSG, EIDRM, ENODATA, ETIME, EPROTO, EBADMSG, EOVERFLOW,
    EILSEQ, EUSERS, ENOTSOCK, EDESTADDRREQ, EMSGSIZE, EPROTOTYPE, ENOPROTOOPT, EPROTONOSUPPORT,
    ESOCKTNOSUPPORT, EOPNOTSUPP, EPFNOSUPPORT, EAFNOSUPPORT, EADDRINUSE, EADDRNOTAVAIL, ENETDOWN,
    ENETUNREACH, ENETRESET, ECONNABORTED, ECONNRESET, ENOBUFS, EISCONN, ENOTCONN, ESHUTDOWN,
    ETOOMANYREFS, ETIMEDOUT, ECONNREFUSED, EHOSTDOWN, EHOSTUNREACH, EALREADY, EINPROGRESS, ESTALE,
    EUCLEAN, EDQUOT, ECANCELED, EOWNERDEAD, ENOTRECOVERABLE, ELIBBAD,
}

impl Errno {
    /// Interrupted; restart unless a handler without `SA_RESTART` runs. Never reaches a program.
    pub const ERESTARTSYS: Self = Self(512);
    /// Interrupted; always restart, after a handler too. Never reaches a program.
    pub const ERESTARTNOINTR: Self = Self(513);
    /// Interrupted; restart only if no handler runs, else `EINTR`. Never reaches a program.
    pub const ERESTARTNOHAND: Self = Self(514);
    /// Interrupted; restart with what is left, through the thread's restart record, if no handler
    /// runs, else `EINTR`. Never reaches a program.
    pub const ERESTART_RESTARTBLOCK: Self = Self(516);
    /// Not in the cache; the caller's record holds the future that brings it. Never reaches a
    /// program.
    pub const MISS: Self = Self(600);

    #[allow(clippy::cast_possible_truncation, reason = "all of Linux's numbers are below 4096")]
    const fn from_raw_sys(number: u32) -> Self {
        Self(number as u16)
    }

    /// The error with a number that a host's Linux answered; `EIO` if that is none of its own.
    pub fn from_linux(number: i32) -> Self {
        match u16::try_from(number) {
            Ok(number @ 1..=511) => Self(number),
            _ => Self::EIO,
        }
    }

    /// The error that a call reports by `value` in `rax`, if it is one.
    pub fn from_return_value(value: usize) -> Option<Self> {
        let number = u16::try_from(value.wrapping_neg()).ok()?;
        (1..512).contains(&number).then_some(Self(number))
    }

    /// The number, positive.
    pub const fn number(self) -> u16 {
        self.0
    }

    /// Whether it says how an interrupted call goes on, which no program gets to see.
    pub const fn is_restart(self) -> bool {
        Self::ERESTARTSYS.0 <= self.0 && self.0 <= Self::ERESTART_RESTARTBLOCK.0
    }

    /// What a program finds in `rax`: the number's negative.
    pub const fn to_return_value(self) -> usize {
        (self.0 as usize).wrapping_neg()
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(errno, _)| errno == self) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "errno {}", self.0),
        }
    }
}

impl From<OutOfMemory> for Errno {
    fn from(_: OutOfMemory) -> Self {
        Self::ENOMEM
    }
}

impl From<Fault> for Errno {
    fn from(_: Fault) -> Self {
        Self::EFAULT
    }
}

#[cfg(test)]
mod tests {
    use super::Errno;

    #[test]
    fn numbers_of_a_host_are_taken_over() {
        assert_eq!(Errno::from_linux(2), Errno::ENOENT);
        assert_eq!([Errno::from_linux(0), Errno::from_linux(-1)], [Errno::EIO; 2]);
        assert_eq!(Errno::from_linux(600), Errno::EIO, "not the kernel's own");
    }

    #[test]
    fn only_the_restart_codes_restart() {
        for errno in [Errno::ERESTARTSYS, Errno::ERESTARTNOINTR, Errno::ERESTART_RESTARTBLOCK] {
            assert!(errno.is_restart());
        }
        assert!(!Errno::EINTR.is_restart() && !Errno::MISS.is_restart());
    }

    #[test]
    fn return_value_is_the_negative_number() {
        assert_eq!(Errno::ENOENT.to_return_value(), usize::MAX - 1);
        assert_eq!(Errno::from_return_value(usize::MAX - 1), Some(Errno::ENOENT));
        assert_eq!([0, 1, usize::MAX - 4096].map(Errno::from_return_value), [None; 3]);
        assert_eq!(format!("{:?}", Errno::EAGAIN), "EAGAIN");
    }
}
