//! The FADT and what is taken from the DSDT: power and the PM timer (ACPI 6.5, 5.2.9 and 4.8).

use super::{HEADER, Memory, field, le, table};

/// The fixed hardware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fixed {
    /// The PM timer.
    pub(crate) pm_timer: Option<PmTimer>,
    /// PM1a and PM1b control: ports that take a sleep type.
    pub(crate) pm1: [Option<u16>; 2],
    /// The sleep types of state S5 for PM1a and PM1b, from the DSDT.
    pub(crate) s5: Option<[u8; 2]>,
    /// The sleep control register of hardware-reduced ACPI.
    pub(crate) sleep_control: Option<Register>,
    /// The register that resets the machine, and the value to write.
    pub(crate) reset: Option<(Register, u8)>,
    /// The RTC's register for the century.
    pub(crate) century: Option<u8>,
}

/// A counter of 3,579,545 Hz at an I/O port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PmTimer {
    /// Where to read it, 32 bits.
    pub(crate) port: u16,
    /// 32 bits count, else 24.
    pub(crate) wide: bool,
}

/// A register at an I/O port or in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Register {
    /// At a port.
    Port(u16),
    /// At a physical address.
    Memory(u64),
}

impl Register {
    /// Parses a generic address structure (ACPI 6.5, 5.2.3.2); address 0 means none.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let address = le(bytes.get(4..12)?);
        match bytes[0] {
            _ if address == 0 => None,
            0 => Some(Self::Memory(address)),
            1 => u16::try_from(address).ok().map(Self::Port),
            _ => None,
        }
    }
}

/// Bits of the FADT's flags.
const TIMER_IS_WIDE: u64 = 1 << 8;
const RESET_SUPPORTED: u64 = 1 << 10;
const HARDWARE_REDUCED: u64 = 1 << 20;

impl Fixed {
    pub(super) fn parse(memory: &impl Memory, fadt: &[u8]) -> Option<Self> {
        if fadt.len() < 116 {
            return None; // ACPI 1.0
        }
        let flags = field(fadt, 112, 4);
        let reduced = flags & HARDWARE_REDUCED != 0;
        let port = |at| u16::try_from(field(fadt, at, 4)).ok().filter(|&port| port != 0);
        let register = |at: usize| fadt.get(at..at + 12).and_then(Register::parse);
        let legacy = |at| if reduced { None } else { port(at) };
        let dsdt = table(memory, field(fadt, 140, 8)).or_else(|| table(memory, field(fadt, 40, 4)));
        let wide = flags & TIMER_IS_WIDE != 0;
        Some(Self {
            pm_timer: legacy(76).map(|port| PmTimer { port, wide }),
            pm1: [legacy(64), legacy(68)],
            s5: dsdt.and_then(|dsdt| find_s5(&dsdt[HEADER..])),
            sleep_control: if reduced { register(244) } else { None },
            reset: register(116)
                .filter(|_| flags & RESET_SUPPORTED != 0)
                .zip(fadt.get(128).copied()),
            century: Some(fadt[108]).filter(|&index| (0x0e..0x80).contains(&index)),
        })
    }
}

/// Finds `Name (_S5, Package { a, b, ... })` without interpreting the rest (ACPI 6.5, 20.2).
fn find_s5(aml: &[u8]) -> Option<[u8; 2]> {
    const NAME: u8 = 0x08;
    const PACKAGE: u8 = 0x12;
    let mut at = 0;
    while let Some(found) = aml.get(at..)?.windows(5).position(|w| w == b"_S5_\x12") {
        at += found + 5;
        let before = &aml[..at - 5];
        let named = matches!(before, [.., NAME] | [.., NAME, b'\\']);
        debug_assert_eq!(aml[at - 1], PACKAGE);
        if named && let Some(types) = package(&aml[at..]) {
            return Some(types);
        }
    }
    None
}

/// The first two small integers of a package whose length comes first.
fn package(aml: &[u8]) -> Option<[u8; 2]> {
    let lead = *aml.first()?;
    let rest = aml.get(1 + usize::from(lead >> 6)..)?;
    let (&elements, rest) = rest.split_first()?;
    let (a, rest) = small_integer(rest)?;
    let b = if elements >= 2 { small_integer(rest)?.0 } else { a };
    (elements >= 1).then_some([a, b])
}

/// An integer that fits a sleep type (3 bits), and what follows it.
fn small_integer(aml: &[u8]) -> Option<(u8, &[u8])> {
    match *aml {
        [value @ (0 | 1), ref rest @ ..] => Some((value, rest)),
        [0x0a, value @ 0..8, ref rest @ ..] => Some((value, rest)),
        _ => None,
    }
}
