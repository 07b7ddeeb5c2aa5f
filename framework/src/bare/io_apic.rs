//! I/O APICs: which vector of which CPU an interrupt line leads to.
//!
//! Source: 82093AA data sheet; the version register of later ones is the same.

use super::mmio::Mmio;
use crate::acpi::{IoApic, Line};
use arrayvec::ArrayVec;
use spin::Mutex;

const SELECT: usize = 0;
const WINDOW: usize = 0x10;

const VERSION: u32 = 1;
const TABLE: u32 = 0x10;

const LOW: u32 = 1 << 13;
const LEVEL: u32 = 1 << 15;
const MASKED: u32 = 1 << 16;

/// One controller with its lines `first..first + count`.
struct Controller {
    registers: Mmio,
    first: u32,
    count: u32,
}

/// Only tasks use it: no handler touches a controller.
static CONTROLLERS: Mutex<ArrayVec<Controller, 8>> = Mutex::new(ArrayVec::new_const());

/// Takes over the controllers, with all lines masked.
pub(super) fn init(found: &[IoApic]) {
    let mut controllers = CONTROLLERS.lock();
    for io_apic in found {
        let registers = Mmio::map(u64::from(io_apic.at));
        let mut controller = Controller { registers, first: io_apic.first, count: 0 };
        controller.count = (controller.read(VERSION) >> 16 & 0xff) + 1;
        for line in 0..controller.count {
            controller.write(TABLE + 2 * line, MASKED);
        }
        if controllers.try_push(controller).is_err() {
            break;
        }
    }
}

/// Leads a line to `vector` of the CPU with this APIC id, and opens it; whether there is such a
/// line.
pub(super) fn route(line: Line, vector: u8, apic: u32) -> bool {
    let mut controllers = CONTROLLERS.lock();
    let Some(controller) = controllers.iter_mut().find(|controller| {
        (controller.first..controller.first + controller.count).contains(&line.gsi)
    }) else {
        return false;
    };
    let entry = TABLE + 2 * (line.gsi - controller.first);
    let low = if line.low { LOW } else { 0 };
    let level = if line.level { LEVEL } else { 0 };
    controller.write(entry + 1, apic << 24);
    controller.write(entry, u32::from(vector) | low | level);
    true
}

impl Controller {
    fn read(&mut self, register: u32) -> u32 {
        self.registers.write_u32(SELECT, register);
        self.registers.read_u32(WINDOW)
    }

    fn write(&mut self, register: u32, value: u32) {
        self.registers.write_u32(SELECT, register);
        self.registers.write_u32(WINDOW, value);
    }
}
