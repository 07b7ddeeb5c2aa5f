//! Byte streams of the host: a program's standard input and outputs, or a terminal's wire.
//!
//! ```text
//!   Runner or pipe ──transmit──▶ Stream ──▶ a descriptor of the host
//!                  ◀──receive───        ◀──     │
//!                  ◀──IrqLine────────────── it became readable or writable
//! ```
//! A stream has no buffer of its own and never waits: it answers `EAGAIN`, and its line fires when
//! it is worth while to ask again.

mod terminal;

pub use terminal::{Runner, Terminal};

use abi::Result;
use alloc::sync::Arc;
use framework::irq::IrqLine;

use crate::tty::WindowSize;

/// What a host provides for each stream.
pub trait Stream: Send + Sync {
    /// Takes bytes that came; 0 is the end.
    ///
    /// # Errors
    /// - `EAGAIN`: there are none; the line fires when that changes.
    /// - `EIO`: the host's error.
    fn receive(&self, to: &mut [u8]) -> Result<usize>;

    /// Gives bytes to the host; returns how many it took, at least one.
    ///
    /// # Errors
    /// - `EAGAIN`: it takes none; the line fires when that changes.
    /// - `EPIPE`: nobody reads them any more.
    /// - `EIO`: the host's error.
    fn transmit(&self, from: &[u8]) -> Result<usize>;

    /// Gives all bytes to the host, holding the CPU until it has taken them: for the machine's last
    /// words.
    fn transmit_all(&self, from: &[u8]);

    /// The size of the window that shows the bytes, if there is one; the line fires when it changes.
    fn window_size(&self) -> Option<WindowSize>;
}

/// A stream and the line that fires for it.
pub struct Port {
    /// The stream.
    pub stream: Arc<dyn Stream>,
    /// Its interrupt.
    pub irq: IrqLine,
}

impl core::fmt::Debug for Port {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("Port").field(&self.irq).finish()
    }
}
