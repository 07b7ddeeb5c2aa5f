//! The system console: which terminal `/dev/console` is, from the command line.

use abi::Result;
use alloc::sync::Arc;

use crate::tty::{ControlFlags, Open, OpenAs, Termios, Tty};

/// The terminal behind `/dev/console`.
#[derive(Clone, Debug)]
pub struct Console {
    tty: Arc<Tty>,
}

impl Console {
    /// The console on `tty`.
    pub fn new(tty: Arc<Tty>) -> Self {
        Self { tty }
    }

    /// Opens `/dev/console`. It does not become the opener's controlling terminal, and job control
    /// does not stop its readers and writers.
    ///
    /// # Errors
    /// As [`Tty::open`].
    pub fn open(&self) -> Result<Open> {
        self.tty.open(OpenAs::Console)
    }

    /// The terminal itself.
    pub fn tty(&self) -> &Arc<Tty> {
        &self.tty
    }
}

/// The port number and settings of a `console=ttyS0,115200n8` argument's value; `None` if it names
/// no serial port.
///
/// Source: the kernel's admin-guide/serial-console
pub fn parse_serial(value: &str) -> Option<(u32, Termios)> {
    let (device, options) = value.split_once(',').unwrap_or((value, ""));
    let port = device.strip_prefix("ttyS")?.parse().ok()?;
    let digits = options.len() - options.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (speed, rest) = options.split_at(digits);
    let mut termios = Termios::default();
    termios.set_speed(speed.parse().unwrap_or(9600));
    termios.control_modes |= ControlFlags::CLOCAL;
    let mut rest = rest.chars();
    match rest.next() {
        Some('o') => termios.control_modes |= ControlFlags::PARENB | ControlFlags::PARODD,
        Some('e') => termios.control_modes |= ControlFlags::PARENB,
        _ => {}
    }
    if let Some(bits) = rest.next().and_then(|digit| digit.to_digit(10))
        && (5..=8).contains(&bits)
    {
        termios.control_modes -= ControlFlags::CSIZE;
        termios.control_modes |= ControlFlags::from_bits_retain((bits - 5) << 4);
    }
    Some((port, termios))
}

#[cfg(test)]
mod tests {
    use super::parse_serial;
    use crate::tty::ControlFlags;

    #[test]
    fn arguments_name_port_speed_and_frame() {
        let (port, termios) = parse_serial("ttyS0,115200n8").unwrap();
        assert_eq!((port, termios.output_speed, termios.input_speed), (0, 115_200, 115_200));
        assert!(termios.control_modes.contains(ControlFlags::B115200 | ControlFlags::CS8));
        let (port, termios) = parse_serial("ttyS1,4800e7r").unwrap();
        assert_eq!((port, termios.output_speed), (1, 4800));
        assert!(termios.control_modes.contains(ControlFlags::PARENB));
        assert_eq!((termios.control_modes & ControlFlags::CSIZE).bits(), 0o40);
        assert_eq!(parse_serial("ttyS0").unwrap().1.output_speed, 9600);
        assert!(parse_serial("tty0").is_none());
        assert!(parse_serial("ttyS").is_none());
    }
}
