//! Terminal settings: `struct termios` and `struct winsize`, typed.

use super::flags::{ControlFlags, InputFlags, LocalFlags, OutputFlags};

/// A control character's place in [`Termios::control`]; the values of Linux.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "termios(3) describes them")]
pub enum Control {
    Intr = 0,
    Quit = 1,
    Erase = 2,
    Kill = 3,
    Eof = 4,
    Time = 5,
    Min = 6,
    Start = 8,
    Stop = 9,
    Susp = 10,
    Eol = 11,
    Reprint = 12,
    Discard = 13,
    Werase = 14,
    Lnext = 15,
    Eol2 = 16,
}

/// The number of control characters.
pub const CONTROLS: usize = 19;

/// The settings of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Termios {
    /// Input modes.
    pub input: InputFlags,
    /// Output modes.
    pub output: OutputFlags,
    /// Control modes.
    pub control_modes: ControlFlags,
    /// Local modes.
    pub local: LocalFlags,
    /// The line discipline; always 0 (`N_TTY`).
    pub line: u8,
    /// The control characters; 0 switches one off. Index with [`Termios::get`].
    pub control: [u8; CONTROLS],
    /// Input speed in bits a second.
    pub input_speed: u32,
    /// Output speed in bits a second.
    pub output_speed: u32,
}

impl Termios {
    /// The settings a new pseudo-terminal starts with: there is no line to hang up at its end.
    pub fn of_pty() -> Self {
        let standard = Self::default();
        let control_modes = standard.control_modes - ControlFlags::HUPCL;
        Self { control_modes, ..standard }
    }
}

impl Default for Termios {
    /// The settings a new terminal starts with (`tty_std_termios`).
    fn default() -> Self {
        let mut control = [0; CONTROLS];
        control[..17].copy_from_slice(&[
            0x03, 0x1c, 0x7f, 0x15, 0x04, 0, 1, 0, 0x11, 0x13, 0x1a, 0, 0x12, 0x0f, 0x17, 0x16, 0,
        ]);
        Self {
            input: InputFlags::ICRNL | InputFlags::IXON,
            output: OutputFlags::OPOST | OutputFlags::ONLCR,
            control_modes: ControlFlags::B38400
                | ControlFlags::CS8
                | ControlFlags::CREAD
                | ControlFlags::HUPCL,
            local: LocalFlags::ISIG
                | LocalFlags::ICANON
                | LocalFlags::ECHO
                | LocalFlags::ECHOE
                | LocalFlags::ECHOK
                | LocalFlags::ECHOCTL
                | LocalFlags::ECHOKE
                | LocalFlags::IEXTEN,
            line: 0,
            control,
            input_speed: 38400,
            output_speed: 38400,
        }
    }
}

/// Speeds by the number in `CBAUD`: 0..=15, and 0o10001.. with the extension bit.
const SPEEDS: [u32; 16] =
    [0, 50, 75, 110, 134, 150, 200, 300, 600, 1200, 1800, 2400, 4800, 9600, 19200, 38400];
const FAST_SPEEDS: [u32; 16] = [
    0, 57600, 115_200, 230_400, 460_800, 500_000, 576_000, 921_600, 1_000_000, 1_152_000,
    1_500_000, 2_000_000, 2_500_000, 3_000_000, 3_500_000, 4_000_000,
];
/// The bit of `CBAUD` that picks the faster half of the table; alone it is `BOTHER`.
const EXTENDED: u32 = 0o10000;
/// How far `CIBAUD` lies above `CBAUD`.
const INPUT_SHIFT: u32 = 16;

/// The speed that `CBAUD` bits name; `other` for `BOTHER`.
fn speed_of(bits: u32, other: u32) -> u32 {
    let index = (bits & 0o17) as usize;
    match (bits & EXTENDED != 0, index) {
        (false, _) => SPEEDS[index],
        (true, 0) => other,
        (true, _) => FAST_SPEEDS[index],
    }
}

/// The control characters of the 1980s `struct termio`.
const TERMIO_CONTROLS: usize = 8;

impl Termios {
    /// Bytes of `struct termios`, as `TCGETS` gives it.
    pub const SIZE: usize = 36;
    /// Bytes of `struct termios2`, as `TCGETS2` gives it.
    pub const SIZE2: usize = 44;
    /// Bytes of `struct termio`, as `TCGETA` gives it.
    pub const TERMIO_SIZE: usize = 18;

    /// The control character at `place`.
    #[inline]
    pub fn get(&self, place: Control) -> u8 {
        self.control[place as usize]
    }

    /// Sets both speeds, to bits a second; an unusual one as `BOTHER`.
    pub fn set_speed(&mut self, speed: u32) {
        let place = |table: &[u32]| table.iter().position(|entry| *entry == speed);
        let bits = match (place(&SPEEDS), place(&FAST_SPEEDS)) {
            (Some(index), _) => index,
            (None, Some(index)) => EXTENDED as usize | index,
            (None, None) => EXTENDED as usize,
        };
        self.control_modes -= ControlFlags::CBAUD | ControlFlags::CIBAUD;
        self.control_modes |= ControlFlags::from_bits_retain(u32::try_from(bits).unwrap_or(0));
        (self.input_speed, self.output_speed) = (speed, speed);
    }

    /// The bytes of `struct termios2`; the first [`SIZE`](Self::SIZE) are `struct termios`.
    pub fn to_bytes(&self) -> [u8; Self::SIZE2] {
        let mut bytes = [0; Self::SIZE2];
        let flags =
            [self.input.bits(), self.output.bits(), self.control_modes.bits(), self.local.bits()];
        for (to, flag) in bytes.chunks_exact_mut(4).zip(flags) {
            to.copy_from_slice(&flag.to_le_bytes());
        }
        bytes[16] = self.line;
        bytes[17..36].copy_from_slice(&self.control);
        bytes[36..40].copy_from_slice(&self.input_speed.to_le_bytes());
        bytes[40..44].copy_from_slice(&self.output_speed.to_le_bytes());
        bytes
    }

    /// Reads `struct termios`: the speeds are those that `c_cflag` names, or the ones of `self`.
    #[must_use]
    pub fn with_bytes(&self, bytes: &[u8; Self::SIZE]) -> Self {
        let mut all = self.to_bytes();
        all[..Self::SIZE].copy_from_slice(bytes);
        Self::from_bytes2(&all)
    }

    /// Reads `struct termios2`.
    pub fn from_bytes2(bytes: &[u8; Self::SIZE2]) -> Self {
        let word = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let mut control = [0; CONTROLS];
        control.copy_from_slice(&bytes[17..36]);
        Self {
            input: InputFlags::from_bits_retain(word(0)),
            output: OutputFlags::from_bits_retain(word(4)),
            control_modes: ControlFlags::from_bits_retain(word(8)),
            local: LocalFlags::from_bits_retain(word(12)),
            line: bytes[16],
            control,
            input_speed: word(36),
            output_speed: word(40),
        }
        .with_speeds_of_flags()
    }

    /// The bytes of `struct termio`.
    pub fn to_termio(&self) -> [u8; Self::TERMIO_SIZE] {
        let mut bytes = [0; Self::TERMIO_SIZE];
        let all = self.to_bytes();
        for index in 0..4 {
            bytes[2 * index..2 * index + 2].copy_from_slice(&all[4 * index..4 * index + 2]);
        }
        bytes[8] = self.line;
        bytes[9..9 + TERMIO_CONTROLS].copy_from_slice(&self.control[..TERMIO_CONTROLS]);
        bytes
    }

    /// Reads `struct termio`, which sets the low halves of the modes and eight characters.
    #[must_use]
    pub fn with_termio(&self, bytes: &[u8; Self::TERMIO_SIZE]) -> Self {
        let mut all = self.to_bytes();
        for index in 0..4 {
            all[4 * index..4 * index + 2].copy_from_slice(&bytes[2 * index..2 * index + 2]);
        }
        all[16] = bytes[8];
        all[17..17 + TERMIO_CONTROLS].copy_from_slice(&bytes[9..9 + TERMIO_CONTROLS]);
        Self::from_bytes2(&all)
    }

    /// Sets the speeds to those that `c_cflag` names; `BOTHER` keeps what is there.
    fn with_speeds_of_flags(mut self) -> Self {
        let bits = self.control_modes.bits();
        self.output_speed = speed_of(bits & ControlFlags::CBAUD.bits(), self.output_speed);
        let input = (bits & ControlFlags::CIBAUD.bits()) >> INPUT_SHIFT;
        self.input_speed =
            if input == 0 { self.output_speed } else { speed_of(input, self.input_speed) };
        self
    }

    pub(super) fn has_input(&self, flags: InputFlags) -> bool {
        self.input.contains(flags)
    }

    pub(super) fn has_output(&self, flags: OutputFlags) -> bool {
        self.output.contains(flags)
    }

    pub(super) fn has_local(&self, flags: LocalFlags) -> bool {
        self.local.contains(flags)
    }
}

/// The size of a terminal's window (`struct winsize`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WindowSize {
    /// Rows of characters.
    pub rows: u16,
    /// Columns of characters.
    pub columns: u16,
    /// Width in pixels.
    pub width_pixels: u16,
    /// Height in pixels.
    pub height_pixels: u16,
}

impl WindowSize {
    /// The bytes of `struct winsize`.
    pub fn to_bytes(self) -> [u8; 8] {
        let mut bytes = [0; 8];
        let fields = [self.rows, self.columns, self.width_pixels, self.height_pixels];
        for (to, field) in bytes.chunks_exact_mut(2).zip(fields) {
            to.copy_from_slice(&field.to_le_bytes());
        }
        bytes
    }

    /// Reads `struct winsize`.
    pub fn from_bytes(bytes: [u8; 8]) -> Self {
        let field = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        Self { rows: field(0), columns: field(2), width_pixels: field(4), height_pixels: field(6) }
    }
}

#[cfg(test)]
mod tests {
    use super::{ControlFlags, Termios, WindowSize};

    #[test]
    fn bytes_survive_a_round_trip() {
        let termios = Termios::default();
        let bytes = termios.to_bytes();
        assert_eq!(Termios::from_bytes2(&bytes), termios);
        let mut short = [0; Termios::SIZE];
        short.copy_from_slice(&bytes[..Termios::SIZE]);
        assert_eq!(termios.with_bytes(&short), termios);
        assert_eq!(termios.with_termio(&termios.to_termio()), termios);
        // c_iflag, c_oflag, c_cflag, c_lflag of a new pty on Linux.
        assert_eq!(bytes[..4], 0o2400u32.to_le_bytes());
        assert_eq!(bytes[4..8], 0o5u32.to_le_bytes());
        assert_eq!(bytes[12..16], 0o105073u32.to_le_bytes());
    }

    #[test]
    fn flags_name_the_speed() {
        let mut termios = Termios::default();
        termios.control_modes.remove(ControlFlags::CBAUD);
        termios.control_modes.insert(ControlFlags::B115200);
        let termios = Termios::from_bytes2(&termios.to_bytes());
        assert_eq!((termios.input_speed, termios.output_speed), (115_200, 115_200));
    }

    #[test]
    fn unknown_bits_are_kept() {
        let mut bytes = Termios::default().to_bytes();
        bytes[3] = 0x80;
        assert_eq!(Termios::from_bytes2(&bytes).to_bytes(), bytes);
    }

    #[test]
    fn window_size_is_four_shorts() {
        let bytes = [24, 0, 80, 0, 1, 2, 3, 4];
        assert_eq!(WindowSize::from_bytes(bytes).to_bytes(), bytes);
        assert_eq!(WindowSize::from_bytes(bytes).columns, 80);
    }
}
