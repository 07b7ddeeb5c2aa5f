//! Terminals and sessions: the controlling terminal, its foreground group, job control.
//!
//! ```text
//!   process::Session ──tty──▶ io::tty::Tty ──session()──▶ Control ──▶ Session, foreground Group
//! ```
//! The two point at each other; both ends change under the lock of [`Control`], which is taken
//! before that of the session's terminal.

mod job;

use crate::{
    process::{Group, Session},
    signal,
    thread::Thread,
};
use abi::{Errno, Result, Signal};
use alloc::sync::{Arc, Weak};
use core::any::Any;
use io::tty::{Signal as TtySignal, Tty};
use spin::Mutex;

/// Which session a terminal controls.
#[derive(Debug, Default)]
pub struct Control {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    session: Weak<Session>,
    foreground: Weak<Group>,
}

impl Control {
    /// Controls nobody yet.
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// The control of `tty`.
    pub fn of(tty: &Tty) -> Option<Arc<Self>> {
        let session: Arc<dyn Any + Send + Sync> = Arc::clone(tty.session()) as _;
        session.downcast().ok()
    }

    /// The session it controls.
    pub fn session(&self) -> Option<Arc<Session>> {
        self.state.lock().session.upgrade()
    }

    /// The foreground group.
    pub fn foreground(&self) -> Option<Arc<Group>> {
        self.state.lock().foreground.upgrade()
    }

    /// Changes the foreground group.
    pub fn set_foreground(&self, group: &Arc<Group>) {
        self.state.lock().foreground = Arc::downgrade(group);
    }

    /// Makes `tty`, whose control this is, the terminal of `session`.
    fn take(&self, tty: &Arc<Tty>, session: &Arc<Session>, foreground: &Arc<Group>) {
        let mut state = self.state.lock();
        state.session = Arc::downgrade(session);
        state.foreground = Arc::downgrade(foreground);
        session.set_tty(Some(Arc::clone(tty)));
    }

    /// Lets go of the session; returns it and the foreground group.
    fn release(&self) -> (Option<Arc<Session>>, Option<Arc<Group>>) {
        let old = core::mem::take(&mut *self.state.lock());
        let session = old.session.upgrade();
        if let Some(session) = &session {
            session.set_tty(None);
        }
        (session, old.foreground.upgrade())
    }
}

impl io::tty::Session for Control {
    fn signal_foreground(&self, signal: TtySignal) {
        if let (Some(group), Some(signal)) = (self.foreground(), number(signal)) {
            signal::send_to_group(&group, signal);
        }
    }

    fn hang_up(&self) {
        let (session, foreground) = self.release();
        if let Some(leader) = session.and_then(|session| session.leader()) {
            for signal in [Signal::HUP, Signal::CONT] {
                // A full queue refuses only real-time signals.
                let _ = signal::post_to_process(&leader, signal::Info::kernel(signal));
            }
        }
        if let Some(group) = foreground {
            signal::send_to_group(&group, Signal::HUP);
            signal::send_to_group(&group, Signal::CONT);
        }
    }
}

fn number(signal: TtySignal) -> Option<Signal> {
    Signal::new(i32::from(signal.number())).ok()
}

impl Thread {
    /// The controlling terminal of the thread's session.
    pub fn controlling_tty(&self) -> Option<Arc<Tty>> {
        self.process().session().tty()
    }

    /// Makes `tty` the controlling terminal if the thread's process leads a session without one,
    /// and the terminal controls no other.
    pub fn adopt_tty(&self, tty: &Arc<Tty>) {
        let session = self.process().session();
        let Some(control) = Control::of(tty) else { return };
        if self.process().is_session_leader()
            && session.tty().is_none()
            && control.session().is_none()
        {
            control.take(tty, &session, &self.process().group());
        }
    }

    /// `TIOCSCTTY`: makes `tty` the controlling terminal; with `steal`, even if it controls another
    /// session.
    ///
    /// # Errors
    /// - `EPERM`: no session leader, or it has another terminal, or the terminal is taken.
    pub fn set_controlling_tty(&self, tty: &Arc<Tty>, steal: Steal) -> Result<()> {
        let session = self.process().session();
        let control = Control::of(tty).ok_or(Errno::EIO)?;
        if session.tty().is_some_and(|own| Arc::ptr_eq(&own, tty)) {
            return Ok(());
        }
        if !self.process().is_session_leader() || session.tty().is_some() {
            return Err(Errno::EPERM);
        }
        if control.session().is_some() {
            let privileged = self.caller().capable(fs::Capabilities::SYS_ADMIN);
            if steal == Steal::No || !privileged {
                return Err(Errno::EPERM);
            }
            control.release();
        }
        control.take(tty, &session, &self.process().group());
        Ok(())
    }

    /// `TIOCNOTTY`: gives up the controlling terminal; a leader's foreground group gets `SIGHUP`
    /// and `SIGCONT`.
    ///
    /// # Errors
    /// - `ENOTTY`: it is not the controlling one.
    pub fn drop_controlling_tty(&self, tty: &Arc<Tty>) -> Result<()> {
        let session = self.process().session();
        if !session.tty().is_some_and(|own| Arc::ptr_eq(&own, tty)) {
            return Err(Errno::ENOTTY);
        }
        if self.process().is_session_leader() {
            session.hang_up();
        }
        Ok(())
    }
}

impl Session {
    /// Gives up the controlling terminal, as when the leader ends: the foreground group gets
    /// `SIGHUP` and `SIGCONT`.
    pub fn hang_up(&self) {
        let Some(control) = self.tty().and_then(|tty| Control::of(&tty)) else { return };
        let (_, foreground) = control.release();
        if let Some(group) = foreground {
            signal::send_to_group(&group, Signal::HUP);
            signal::send_to_group(&group, Signal::CONT);
        }
    }
}

/// Whether a terminal may be taken from another session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steal {
    /// It may, by the superuser.
    Yes,
    /// It may not.
    No,
}
