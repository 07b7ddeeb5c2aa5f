//! Prints the trace: on the host by a process, on the bare machine by an image to boot.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![deny(unsafe_code)]

#[cfg(target_os = "none")]
mod bare {
    extern crate alloc;

    use framework::{boot::Boot, console, power};

    fn main(_boot: Boot) -> ! {
        contract::run(&mut |line| {
            console::write(alloc::format!("{line}\n").as_bytes());
        });
        power::off(0)
    }

    framework::entry!(main);
}

#[cfg(not(target_os = "none"))]
fn main() {
    contract::run(&mut |line| println!("{line}"));
}
