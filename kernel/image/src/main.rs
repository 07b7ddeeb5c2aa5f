//! The bare image: the kernel as an ELF file that a boot loader starts.
#![no_std]
#![no_main]
#![deny(unsafe_code)]

framework::entry!(kernel::main);
