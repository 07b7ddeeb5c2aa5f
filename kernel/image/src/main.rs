//! The bare image: the kernel as an ELF file that a boot loader starts.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use framework as _;
