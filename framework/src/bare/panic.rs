//! The panic handler.
use core::fmt;

pub(crate) fn set_report(_report: fn(&mut dyn fmt::Write)) {
    unimplemented!()
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}
