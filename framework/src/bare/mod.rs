//! x86_64 without an operating system: boot, traps, interrupts, timers.
