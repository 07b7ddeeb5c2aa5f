//! What the boot loader and the firmware handed over.

use crate::{cap::IoPorts, irq::IrqLine};
use alloc::string::String;

/// Everything there is exactly one of at boot; `main` owns it and hands the parts down.
#[derive(Debug)]
pub struct Boot {
    /// The command line, without a trailing NUL; bytes that are no UTF-8 are replaced.
    pub cmdline: String,
    /// The initial RAM disk.
    pub initrd: Option<Initrd>,
    /// The first serial port (COM1), if the machine has one.
    pub uart: Option<Uart>,
    /// The CPU's name, for `/proc/cpuinfo`.
    pub cpu_model: String,
}

/// The initial RAM disk; its memory is released when this is dropped.
#[derive(Debug)]
pub struct Initrd {}

impl Initrd {
    /// The image.
    pub fn bytes(&self) -> &[u8] {
        unimplemented!()
    }
}

/// The resources of a 16550 serial port.
#[derive(Debug)]
pub struct Uart {
    /// Its eight registers.
    pub ports: IoPorts,
    /// Its interrupt.
    pub irq: IrqLine,
}

/// Names the function that the framework calls once, on the first CPU, with everything the machine
/// has: `fn main(boot: Boot) -> !`.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        const _: () = {
            #[allow(unsafe_code, reason = "the name is the framework's own, and nobody else's")]
            #[unsafe(no_mangle)]
            extern "Rust" fn jinux_main(boot: $crate::boot::Boot) -> ! {
                $main(boot)
            }
        };
    };
}
