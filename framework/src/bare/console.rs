//! The console: the first serial port, by polling.

use super::port::read_u8;
use core::sync::atomic::{AtomicBool, Ordering};
use spin::Mutex;
use uart_16550::{BaudRate, Config, Uart16550, backend::PioBackend};

/// COM1.
pub(super) const BASE: u16 = 0x3f8;

/// `None` until the first use, and for good where no port answers.
static UART: Mutex<Option<Uart16550<PioBackend>>> = Mutex::new(None);

static TRIED: AtomicBool = AtomicBool::new(false);

/// How often the lock is tried before a writer goes on without it: its holder may be the code that
/// panicked, or a stopped CPU.
const PATIENCE: u32 = 10_000_000;

/// The lock is of no use any more.
static BROKEN: AtomicBool = AtomicBool::new(false);

/// Writes without the lock from now on: all other CPUs have been stopped, whatever they held.
pub(super) fn break_lock() {
    BROKEN.store(true, Ordering::Relaxed);
}

/// Whether the port is there.
pub(super) fn present() -> bool {
    write(b"");
    UART.lock().is_some()
}

pub(crate) fn write(bytes: &[u8]) {
    for _ in 0..PATIENCE {
        if BROKEN.load(Ordering::Relaxed) {
            break;
        }
        if let Some(mut uart) = UART.try_lock() {
            if !TRIED.swap(true, Ordering::Relaxed) {
                *uart = open();
            }
            if let Some(uart) = &mut *uart {
                send(uart, bytes);
            }
            return;
        }
        core::hint::spin_loop();
    }
    if let Some(mut uart) = port() {
        send(&mut uart, bytes);
    }
}

/// Waits, not for ever, until the port has sent all that it was given: the machine's end would take
/// it away.
pub(super) fn finish() {
    /// The line status register, and its bit that says the transmitter is idle.
    const STATUS: u16 = BASE + 5;
    const IDLE: u8 = 1 << 6;
    let mut left = PATIENCE / 10;
    // Where no port answers, all bits are set.
    while left > 0 && read_u8(STATUS) & IDLE == 0 {
        left -= 1;
        core::hint::spin_loop();
    }
}

fn port() -> Option<Uart16550<PioBackend>> {
    // SAFETY: these are the ports of COM1 or of nothing. A second user can garble what is sent.
    unsafe { Uart16550::new_port(BASE) }.ok()
}

fn open() -> Option<Uart16550<PioBackend>> {
    let mut uart = port()?;
    let config = Config { baud_rate: BaudRate::Baud115200, ..Config::DEFAULT };
    uart.init(config).ok()?;
    Some(uart)
}

/// Sends text; a line ends with CR and LF.
///
/// It goes out a byte at a time, each when the FIFO is empty: the serial driver's bursts leave room
/// for one, so neither can push the other's bytes out.
fn send(uart: &mut Uart16550<PioBackend>, bytes: &[u8]) {
    for &byte in bytes {
        if byte == b'\n' {
            uart.send_bytes_exact(b"\r");
        }
        uart.send_bytes_exact(&[byte]);
    }
}
