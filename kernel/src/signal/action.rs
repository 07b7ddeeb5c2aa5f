//! What a process does on each signal (sigaction(2)).

use super::SignalSet;
use abi::Signal;
use alloc::sync::Arc;
use spin::Mutex;
use zerocopy::{FromBytes, Immutable, IntoBytes};

bitflags::bitflags! {
    /// `SA_*`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Flags: u64 {
        /// No signal to the parent when the child stops.
        const NOCLDSTOP = 1;
        /// Children do not become zombies.
        const NOCLDWAIT = 2;
        /// The handler gets three arguments.
        const SIGINFO = 4;
        /// `restorer` is valid.
        const RESTORER = 0x0400_0000;
        /// The handler runs on the alternate stack.
        const ONSTACK = 0x0800_0000;
        /// Interrupted calls go on.
        const RESTART = 0x1000_0000;
        /// The signal is not blocked while its handler runs.
        const NODEFER = 0x4000_0000;
        /// The action is reset to the default before the handler runs.
        const RESETHAND = 0x8000_0000;
    }
}

impl Flags {
    /// The flags that are kept; programs test unknown ones by reading the action back.
    pub const KNOWN: Self = Self::all();
}

/// `struct sigaction` as the kernel takes it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
pub struct Action {
    /// 0 for the default, 1 to ignore, else the handler's address.
    pub handler: usize,
    /// [`Flags`].
    pub flags: u64,
    /// Where the handler returns to.
    pub restorer: usize,
    /// Signals blocked while the handler runs.
    pub mask: u64,
}

/// `SIG_DFL`.
pub const DEFAULT: usize = 0;
/// `SIG_IGN`.
pub const IGNORE: usize = 1;

impl Action {
    /// The flags, unknown ones included.
    pub const fn flags(&self) -> Flags {
        Flags::from_bits_retain(self.flags)
    }

    /// Whether `signal` has no effect with this action.
    pub const fn ignores(&self, signal: Signal) -> bool {
        self.handler == IGNORE
            || self.handler == DEFAULT && matches!(Default::of(signal), Default::Ignore)
    }
}

/// The default action of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Default {
    /// The process ends.
    Terminate,
    /// The process ends, and would leave a core file.
    Core,
    /// Nothing.
    Ignore,
    /// The process stops.
    Stop,
    /// The process goes on.
    Continue,
}

impl Default {
    /// The default action of `signal` (signal(7)).
    pub const fn of(signal: Signal) -> Self {
        match signal {
            Signal::CHLD | Signal::URG | Signal::WINCH => Self::Ignore,
            Signal::CONT => Self::Continue,
            Signal::STOP | Signal::TSTP | Signal::TTIN | Signal::TTOU => Self::Stop,
            Signal::QUIT
            | Signal::ILL
            | Signal::TRAP
            | Signal::ABRT
            | Signal::BUS
            | Signal::FPE
            | Signal::SEGV
            | Signal::XCPU
            | Signal::XFSZ
            | Signal::SYS => Self::Core,
            _ => Self::Terminate,
        }
    }
}

/// The actions of a process.
#[derive(Debug)]
pub struct Actions(Mutex<[Action; 64]>);

impl Actions {
    /// All defaults.
    pub fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(
            [Action { handler: DEFAULT, flags: 0, restorer: 0, mask: 0 }; 64],
        )))
    }

    /// A copy, as fork makes it.
    pub fn duplicate(&self) -> Arc<Self> {
        Arc::new(Self(Mutex::new(*self.0.lock())))
    }

    /// The action of `signal`.
    pub fn get(&self, signal: Signal) -> Action {
        self.0.lock()[signal.index()]
    }

    /// Replaces the action of `signal`; returns the old one.
    pub fn set(&self, signal: Signal, action: Action) -> Action {
        core::mem::replace(&mut self.0.lock()[signal.index()], action)
    }

    /// Sets caught signals to the default, as execve does; with `ignored`, ignored ones too
    /// (`CLONE_CLEAR_SIGHAND`).
    pub fn reset(&self) {
        for action in self.0.lock().iter_mut() {
            let handler = if action.handler == IGNORE { IGNORE } else { DEFAULT };
            *action = Action { handler, flags: 0, restorer: 0, mask: 0 };
        }
    }

    /// The ignored and the caught signals.
    pub fn dispositions(&self) -> (SignalSet, SignalSet) {
        let (mut ignored, mut caught) = (SignalSet::EMPTY, SignalSet::EMPTY);
        let table = self.0.lock();
        for signal in SignalSet::from_bits(u64::MAX).iter() {
            match table[signal.index()].handler {
                DEFAULT => {}
                IGNORE => ignored.insert(signal),
                _ => caught.insert(signal),
            }
        }
        (ignored, caught)
    }
}
