//! The end of the kernel: message, backtrace, report, and the machine goes off.

use super::{backtrace, console, cpu, power};
use core::{
    arch::asm,
    fmt::{self, Write},
    panic::PanicInfo,
    sync::atomic::{AtomicUsize, Ordering},
};
use spin::Once;

/// The status the machine goes off with, as a Rust program's.
const STATUS: u8 = 101;

type Report = fn(&mut dyn fmt::Write);

static REPORT: Once<Report> = Once::new();

/// The CPU that panics, counted from 1; 0 if none does.
static PANICS: AtomicUsize = AtomicUsize::new(0);

pub(crate) fn set_report(report: Report) {
    REPORT.call_once(|| report);
}

/// The console, whoever holds it.
struct Console;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        console::write(text.as_bytes());
        Ok(())
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    // SAFETY: nothing on this CPU goes on after this, so nothing waits for its interrupts.
    unsafe { asm!("cli", options(nomem, nostack)) };
    let me = cpu::current().index() + 1;
    match PANICS.compare_exchange(0, me, Ordering::SeqCst, Ordering::SeqCst) {
        Ok(_) => {}
        Err(first) if first == me => {
            // The report itself failed.
            let _ = writeln!(Console, "\npanic in a panic: {info}");
            power::off(STATUS);
        }
        Err(_) => cpu::stop(),
    }
    cpu::stop_others();
    console::break_lock();
    // The console does not fail.
    let _ = writeln!(Console, "\nkernel {info}\ncpu {} of {}", me - 1, cpu::count());
    let _ = backtrace::print(&mut Console, frame_pointer());
    if let Some(report) = REPORT.get() {
        report(&mut Console);
    }
    power::off(STATUS)
}

#[inline(always)]
fn frame_pointer() -> usize {
    let value;
    // SAFETY: copies a register.
    unsafe { asm!("mov {}, rbp", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}
