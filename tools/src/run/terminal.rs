//! The host's terminal in raw mode, and its way back on every way out.

use anyhow::{Context, Result};
use framework::irq::SoftwareLine;
use rustix::{
    stdio,
    termios::{OptionalActions, Termios, tcgetattr, tcsetattr},
};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGWINCH},
    iterator::Signals,
    low_level::emulate_default_handler,
};
use std::{
    panic,
    sync::{Mutex, PoisonError},
    thread,
};

/// How the terminal was before, while it is raw.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// The terminal in raw mode: every key is the guest's. Restored when this is dropped, when the
/// process panics, and when a signal ends it that can be caught.
pub(super) struct Raw(());

impl Raw {
    /// Puts the terminal on standard input in raw mode; `window` fires when its size changes.
    ///
    /// # Errors
    /// The terminal refuses.
    pub(super) fn enter(window: SoftwareLine) -> Result<Self> {
        let before = tcgetattr(stdio::stdin()).context("reading the terminal's settings")?;
        let mut raw = before.clone();
        raw.make_raw();
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
        let hook = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            restore();
            hook(info);
        }));
        let mut signals = Signals::new([SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGWINCH])
            .context("catching signals")?;
        let body = move || {
            for signal in &mut signals {
                if signal == SIGWINCH {
                    window.fire();
                } else {
                    restore();
                    // It ends the process, as if nobody had caught the signal.
                    let _ = emulate_default_handler(signal);
                }
            }
        };
        thread::Builder::new().name("signals".into()).spawn(body).context("starting a thread")?;
        tcsetattr(stdio::stdin(), OptionalActions::Now, &raw)
            .context("changing the terminal's settings")?;
        framework::host::set_console_raw(true);
        Ok(Self(()))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives the terminal back as it was.
fn restore() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    framework::host::set_console_raw(false);
    if let Some(before) = before {
        // Whoever took the terminal away has its settings too.
        let _ = tcsetattr(stdio::stdin(), OptionalActions::Now, &before);
    }
}
