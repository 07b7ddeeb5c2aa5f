//! Device resources as unforgeable values, made at boot and handed down.

use crate::machine::port;

/// The right to `len` I/O ports from `base` on.
#[derive(Debug)]
pub struct IoPorts {
    base: u16,
    len: u16,
}

impl IoPorts {
    /// The right to these ports; whoever makes it sees to it that there is but one.
    #[cfg_attr(not(target_os = "none"), allow(dead_code, reason = "a process has no ports"))]
    pub(crate) const fn new(base: u16, len: u16) -> Self {
        Self { base, len }
    }

    /// Reads a byte from the port at `offset`. Panics outside the range.
    pub fn read_u8(&self, offset: u16) -> u8 {
        port::read_u8(self.port(offset))
    }

    /// Writes a byte to the port at `offset`. Panics outside the range.
    pub fn write_u8(&self, offset: u16, value: u8) {
        port::write_u8(self.port(offset), value);
    }

    fn port(&self, offset: u16) -> u16 {
        assert!(offset < self.len, "port {offset} of {self:?}");
        self.base + offset
    }
}
