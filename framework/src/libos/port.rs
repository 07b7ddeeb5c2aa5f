//! I/O ports: a process has none, and they behave as ports with nothing behind them.

pub(crate) fn read_u8(_port: u16) -> u8 {
    0xff
}

pub(crate) fn write_u8(_port: u16, _value: u8) {}
