//! Device resources as unforgeable values, made at boot and handed down.

/// The right to `len` I/O ports from `base` on.
#[derive(Debug)]
pub struct IoPorts {
    base: u16,
    len: u16,
}

impl IoPorts {
    /// Reads a byte from the port at `offset`. Panics outside the range.
    pub fn read_u8(&self, _offset: u16) -> u8 {
        let _ = (self.base, self.len);
        unimplemented!()
    }

    /// Writes a byte to the port at `offset`. Panics outside the range.
    pub fn write_u8(&self, _offset: u16, _value: u8) {
        unimplemented!()
    }
}
