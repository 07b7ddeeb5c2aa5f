//! What a terminal asks of the processes around it; the kernel implements these traits.

use abi::{Errno, Result};
use core::any::Any;

use super::Tty;

/// A signal that terminals send; the numbers of Linux on x86-64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Signal {
    /// `SIGINT`.
    Interrupt = 2,
    /// `SIGQUIT`.
    Quit = 3,
    /// `SIGTSTP`.
    Stop = 20,
    /// `SIGTTIN`.
    BackgroundRead = 21,
    /// `SIGTTOU`.
    BackgroundWrite = 22,
    /// `SIGWINCH`.
    WindowChange = 28,
}

impl Signal {
    /// The signal's number.
    pub const fn number(self) -> u8 {
        self as u8
    }
}

/// The session that a terminal controls: made by the kernel, one for each [`Tty`].
///
/// The kernel gets its own type back by upcasting [`Tty::session`] to `Arc<dyn Any + ..>`.
/// The methods are called without a lock of this crate held, also from device tasks.
pub trait Session: Any + Send + Sync {
    /// Sends `signal` to every process of the foreground group, if there is one.
    fn signal_foreground(&self, signal: Signal);

    /// The line went away: `SIGHUP` and `SIGCONT` for the leader and the foreground group; the
    /// session has no terminal from now on.
    fn hang_up(&self);
}

/// The thread that makes a call, as job control sees it.
pub trait Caller {
    /// Whether `tty` controls the caller's session, has a foreground group, and it is not the
    /// caller's.
    fn in_background(&self, tty: &Tty) -> bool;

    /// Whether the caller blocks or ignores `signal`.
    fn ignores(&self, signal: Signal) -> bool;

    /// Whether the caller's process group is orphaned: nobody would continue it.
    fn is_orphaned(&self) -> bool;

    /// Sends `signal` to the caller's own process group.
    fn signal_own_group(&self, signal: Signal);
}

/// A caller whom no terminal controls: the kernel itself.
#[derive(Clone, Copy, Debug)]
pub struct Uncontrolled;

impl Caller for Uncontrolled {
    fn in_background(&self, _tty: &Tty) -> bool {
        false
    }
    fn ignores(&self, _signal: Signal) -> bool {
        true
    }
    fn is_orphaned(&self) -> bool {
        false
    }
    fn signal_own_group(&self, _signal: Signal) {}
}

/// A session without processes: signals go nowhere. For devices before the kernel takes them over,
/// and for tests.
#[derive(Clone, Copy, Debug)]
pub struct NoSession;

impl Session for NoSession {
    fn signal_foreground(&self, _signal: Signal) {}
    fn hang_up(&self) {}
}

/// Job control's question before a background process may read or change the terminal.
///
/// # Errors
/// - `EIO`: the group is orphaned, or a reader ignores `SIGTTIN`.
/// - `ERESTARTSYS`: the caller's group was sent `signal`.
pub(super) fn check_foreground(tty: &Tty, caller: &dyn Caller, signal: Signal) -> Result<()> {
    if !caller.in_background(tty) {
        return Ok(());
    }
    if caller.ignores(signal) {
        return if signal == Signal::BackgroundRead { Err(Errno::EIO) } else { Ok(()) };
    }
    if caller.is_orphaned() {
        return Err(Errno::EIO);
    }
    caller.signal_own_group(signal);
    Err(Errno::ERESTARTSYS)
}
