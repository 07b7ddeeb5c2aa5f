//! The bare image: the kernel as an ELF file that a boot loader starts.
#![no_std]
#![no_main]
#![deny(unsafe_code)]

use framework::{boot::Boot, console, cpu};
use kernel as _;

framework::entry!(main);

fn main(_boot: Boot) -> ! {
    console::write(b"Jinux\n");
    loop {
        cpu::relax();
    }
}
