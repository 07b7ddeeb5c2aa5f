//! What the boot loader and the firmware handed over.

#[cfg(target_os = "none")]
use crate::{PAGE_SIZE, PhysAddr, frame::pool, machine::memory};
use crate::{cap::IoPorts, irq::IrqLine};
use alloc::string::String;
#[cfg(not(target_os = "none"))]
use alloc::vec::Vec;

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
#[cfg(not(target_os = "none"))]
#[derive(Debug)]
pub struct Initrd(Vec<u8>);

#[cfg(not(target_os = "none"))]
impl Initrd {
    pub(crate) fn new(image: Vec<u8>) -> Self {
        Self(image)
    }

    /// The image.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The initial RAM disk; its memory is released when this is dropped.
#[cfg(target_os = "none")]
#[derive(Debug)]
pub struct Initrd {
    start: PhysAddr,
    len: usize,
}

#[cfg(target_os = "none")]
impl Initrd {
    /// The image at a physical range that was reserved at boot, and that nothing else uses.
    pub(crate) fn new(start: PhysAddr, len: u64) -> Self {
        Self { start, len: usize::try_from(len).expect("both are 64 bits") }
    }

    /// The image.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the range was reserved for this value at boot and is in the physical map; nobody
        // writes it.
        unsafe { core::slice::from_raw_parts(memory::pointer(self.start), self.len) }
    }
}

#[cfg(target_os = "none")]
impl Drop for Initrd {
    fn drop(&mut self) {
        // The pages at both ends were reserved whole, and are memory.
        let first = self.start.get() / PAGE_SIZE as u64;
        let end = (self.start.get() + self.len as u64).div_ceil(PAGE_SIZE as u64);
        if let (Ok(first), Ok(end)) = (u32::try_from(first), u32::try_from(end)) {
            pool::add(first, end);
        }
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
