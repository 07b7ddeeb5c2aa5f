//! Programs that attack the stub they run in: only their own process ends.
#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

use framework::{
    Frame, PAGE_SIZE, Protection, Trap, USER_END, UserContext, VirtAddr, VmSpace, cpu, time,
    user::MACHINE_CHECK,
};
use std::{sync::Arc, time::Duration};

const CODE: usize = 0x40_0000;
/// The stub's window: its code, and the block it shares with the kernel.
const WINDOW: usize = USER_END.get();
const BLOCK: usize = WINDOW + 0x1_0000;
const SYSCALL: [u8; 2] = [0x0f, 0x05];

struct Guest {
    space: Arc<VmSpace>,
    context: UserContext,
}

impl Guest {
    fn new(code: &[u8]) -> Self {
        let space = VmSpace::new().unwrap();
        let frame = Frame::zeroed().unwrap();
        frame.write(0, code);
        let all = Protection::all();
        space.lock().map(VirtAddr::new(CODE), frame, all).unwrap();
        let context = UserContext::new(VirtAddr::new(CODE), VirtAddr::new(CODE + PAGE_SIZE));
        Self { space, context }
    }

    fn run(&mut self) -> Trap {
        loop {
            match self.context.run(&self.space) {
                Trap::Interrupt | Trap::Attention => {}
                trap => return trap,
            }
        }
    }

    fn is_lost(&mut self) -> bool {
        matches!(self.run(), Trap::Exception(exception) if exception.vector == MACHINE_CHECK)
    }
}

/// Another program still runs.
fn others_are_well() {
    let mut guest = Guest::new(&SYSCALL);
    guest.context.set_result(5);
    assert_eq!(guest.run(), Trap::Syscall);
}

/// `mov reg, value` for rax, rdi, rsi, rdx, r10, r8, r9, rbx, rsp.
fn load(code: &mut Vec<u8>, register: [u8; 2], value: usize) {
    code.extend(register);
    code.extend(value.to_le_bytes());
}

const RAX: [u8; 2] = [0x48, 0xb8];
const RDI: [u8; 2] = [0x48, 0xbf];
const RSI: [u8; 2] = [0x48, 0xbe];
const RDX: [u8; 2] = [0x48, 0xba];
const R10: [u8; 2] = [0x49, 0xba];
const R8: [u8; 2] = [0x49, 0xb8];
const RBX: [u8; 2] = [0x48, 0xbb];
const RSP: [u8; 2] = [0x48, 0xbc];
const R11: [u8; 2] = [0x49, 0xbb];

/// `jmp r11` to an address.
fn jump(code: &mut Vec<u8>, to: usize) {
    load(code, R11, to);
    code.extend([0x41, 0xff, 0xe3]);
}

/// Where the window has `syscall` instructions: found by looking, as an attacker does.
fn syscalls() -> Vec<usize> {
    // Copies the window's first page to where the test can read it.
    let mut code = Vec::new();
    load(&mut code, RSI, WINDOW);
    load(&mut code, RDI, 0x50_0000);
    code.extend([0xb9, 0x00, 0x10, 0x00, 0x00, 0xf3, 0xa4]); // mov ecx, 4096; rep movsb
    code.extend(SYSCALL);
    let mut guest = Guest::new(&code);
    let frame = Frame::zeroed().unwrap();
    let both = Protection::READ | Protection::WRITE;
    guest.space.lock().map(VirtAddr::new(0x50_0000), frame.clone(), both).unwrap();
    assert_eq!(guest.run(), Trap::Syscall);
    let mut bytes = [0; PAGE_SIZE];
    frame.read(0, &mut bytes);
    let found: Vec<usize> = (0..PAGE_SIZE - 2)
        .filter(|at| bytes[*at..*at + 2] == SYSCALL)
        .map(|at| WINDOW + at)
        .collect();
    assert!(found.len() > 10);
    found
}

#[test]
fn every_instruction_of_the_stub_refuses_other_calls() {
    for at in syscalls() {
        // uname, into our own memory
        let mut code = Vec::new();
        load(&mut code, RAX, 63);
        load(&mut code, RDI, CODE + 2048);
        jump(&mut code, at);
        assert!(Guest::new(&code).is_lost(), "{at:#x}");
    }
    others_are_well();
}

#[test]
fn the_window_cannot_be_taken_away() {
    for at in syscalls() {
        for (address, len) in [(WINDOW, 0x2_0000), (0, 0x7fff_ffff_f000), (WINDOW - 0x1000, 0x2000)]
        {
            let mut code = Vec::new();
            load(&mut code, RAX, 11);
            load(&mut code, RDI, address);
            load(&mut code, RSI, len);
            jump(&mut code, at);
            assert!(Guest::new(&code).is_lost());
        }
    }
    others_are_well();
}

#[test]
fn a_jump_into_the_window_is_the_end() {
    // Anywhere, with anything in the registers.
    for offset in (0..0x300).step_by(7).chain([0x2000, 0x4000, 0x1_0000, 0x1_4000, 0x1_fff0]) {
        let mut code = Vec::new();
        load(&mut code, RBX, BLOCK);
        load(&mut code, RSP, BLOCK + 0x8000);
        load(&mut code, R8, 3);
        jump(&mut code, WINDOW + offset);
        let mut guest = Guest::new(&code);
        // Some places show the kernel a trap that it takes for a true one.
        let trap = guest.run();
        assert!(matches!(trap, Trap::Exception(_) | Trap::PageFault(_)), "{offset:#x}: {trap:?}");
    }
    others_are_well();
}

#[test]
fn a_forged_context_is_not_believed() {
    // Says that the registers are in the kernel, behind the block's end, in its fields, at odd
    // places; then hands over as the stub does.
    for context in [0, 8, BLOCK, BLOCK + 0xffff, BLOCK + 0xfff8, BLOCK + 0x4001, usize::MAX & !7] {
        let mut code = Vec::new();
        load(&mut code, RBX, BLOCK);
        load(&mut code, RAX, context);
        code.extend([0x48, 0x89, 0x43, 0x20]); // mov [rbx + 32], rax
        load(&mut code, RAX, 1);
        code.extend([0x87, 0x03]); // xchg [rbx], eax
        code.extend([0xeb, 0xfe]); // jmp .
        let mut guest = Guest::new(&code);
        time::set_alarm(Some(time::now().saturating_add(Duration::from_millis(30))));
        assert!(guest.is_lost(), "{context:#x}");
    }
    others_are_well();
}

#[test]
fn forged_fpu_pointers_are_not_believed() {
    for pointer in [0, BLOCK + 0xfff0, BLOCK - 64, BLOCK + 0x100, usize::MAX & !63] {
        let mut code = Vec::new();
        load(&mut code, RBX, BLOCK);
        load(&mut code, RAX, BLOCK + 0x6000);
        code.extend([0x48, 0x89, 0x43, 0x20]); // mov [rbx + 32], rax
        load(&mut code, RDI, BLOCK + 0x6000);
        load(&mut code, RDX, pointer);
        code.extend([0x48, 0x89, 0x97, 0xe0, 0x00, 0x00, 0x00]); // mov [rdi + 224], rdx
        load(&mut code, RAX, 1);
        code.extend([0x87, 0x03, 0xeb, 0xfe]); // xchg [rbx], eax; jmp .
        let mut guest = Guest::new(&code);
        assert!(guest.is_lost(), "{pointer:#x}");
    }
    others_are_well();
}

#[test]
fn a_program_that_blocks_kicks_is_ended() {
    // A context of its own making, with all signals blocked and a loop at its end: rt_sigreturn.
    let spin = CODE + 0x800;
    let at = syscalls();
    let mut lost = 0;
    for site in at {
        let mut code = Vec::new();
        load(&mut code, RDI, BLOCK + 0x6000);
        for (offset, value) in [(168u32, spin), (184, 0x002b_0000_0000_0033), (296, usize::MAX)] {
            load(&mut code, RAX, value);
            code.extend([0x48, 0x89, 0x87]); // mov [rdi + offset], rax
            code.extend(offset.to_le_bytes());
        }
        load(&mut code, RSP, BLOCK + 0x6000);
        load(&mut code, RAX, 15);
        load(&mut code, R10, 8);
        jump(&mut code, site);
        code.resize(0x800, 0x90);
        code.extend([0xeb, 0xfe]);
        let mut guest = Guest::new(&code);
        time::set_alarm(Some(time::now().saturating_add(Duration::from_millis(30))));
        lost += usize::from(guest.is_lost());
        time::set_alarm(None);
    }
    assert!(lost > 10);
    others_are_well();
}

#[test]
fn a_flood_of_kicks_is_only_slow() {
    let mut guest = Guest::new(&[0xff, 0xc0, 0x0f, 0x05, 0xeb, 0xfa]); // inc eax; syscall; jmp back
    let me = cpu::current();
    let flood = std::thread::spawn(move || {
        let end = std::time::Instant::now() + Duration::from_millis(300);
        while std::time::Instant::now() < end {
            cpu::kick(me);
        }
    });
    for count in 1..200 {
        assert_eq!(guest.run(), Trap::Syscall);
        assert_eq!(guest.context.regs().rax.get(), count);
    }
    flood.join().unwrap();
}

#[test]
fn a_context_is_not_lost_with_its_stub() {
    // The space of a lost program can still be used: it gets another stub.
    let mut code = Vec::new();
    load(&mut code, RAX, 63);
    jump(&mut code, WINDOW + 0x200);
    let mut guest = Guest::new(&code);
    while !guest.is_lost() {}
    guest.space.write(VirtAddr::new(CODE), &SYSCALL).unwrap();
    guest.context.regs_mut().rip = CODE;
    guest.context.set_result(77);
    assert_eq!(guest.run(), Trap::Syscall);
    assert_eq!(guest.context.regs().rax.get(), 77);
}
