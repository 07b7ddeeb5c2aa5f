//! Terminals: Linux's line discipline over serial lines and pseudo-terminals.
//!
//! ```text
//!   program ── Open ──▶ Tty { Line (the state machine), who waits, the session }
//!                        │  ▲
//!              transmit  ▼  │ receive
//!                   device task, or the pty::Master of another program
//! ```
//! [`Tty`] is the terminal; an [`Open`] is one opening of it, which a hang-up makes useless. All
//! operations are try-first: `EAGAIN` says to wait on [`Tty::queue`] and call again. One spin lock
//! guards a terminal's state; it is never held while waiting, waking or signalling.

mod buffer;
mod ctype;
mod echo;
mod erase;
mod flags;
mod input;
mod line;
mod open;
mod output;
mod packet;
pub mod pty;
pub(crate) mod ring;
mod session;
mod terminal;
mod termios;
#[cfg(test)]
mod tests;

pub use flags::{ControlFlags, InputFlags, LocalFlags, OutputFlags};
pub use line::LineError;
pub use open::{Open, ReadTimer};
pub use session::{Caller, NoSession, Session, Signal, Uncontrolled};
pub use terminal::{Flow, Flush, ModemLines, OpenAs, SetWhen, Tty};
pub use termios::{CONTROLS, Control, Termios, WindowSize};
