//! User mode: what a program may do, and the trap that ends it.

use crate::Say;
use alloc::sync::Arc;
use core::time::Duration;
use framework::{
    Frame, PAGE_SIZE, Protection, Rax, Regs, Trap, USER_END, UserContext, VirtAddr, VmSpace, cpu,
    time,
};

const CODE: VirtAddr = VirtAddr::new(0x40_0000);
const DATA: VirtAddr = VirtAddr::new(0x60_0000);
const READ_ONLY: VirtAddr = VirtAddr::new(0x61_0000);
const STACK_TOP: VirtAddr = VirtAddr::new(0x7fff_0000_1000);
/// Nothing is mapped there.
const NOWHERE: VirtAddr = VirtAddr::new(0x70_0000);

/// Puts a number that says where it was into each register, and a one into the carry flag.
const MARK_ALL: &[u8] = &[
    0x48, 0xc7, 0xc0, 0x01, 0x01, 0x00, 0x00, // mov $0x101,%rax
    0x48, 0xc7, 0xc3, 0x02, 0x01, 0x00, 0x00, // mov $0x102,%rbx
    0x48, 0xc7, 0xc2, 0x04, 0x01, 0x00, 0x00, // mov $0x104,%rdx
    0x48, 0xc7, 0xc6, 0x05, 0x01, 0x00, 0x00, // mov $0x105,%rsi
    0x48, 0xc7, 0xc7, 0x06, 0x01, 0x00, 0x00, // mov $0x106,%rdi
    0x48, 0xc7, 0xc5, 0x07, 0x01, 0x00, 0x00, // mov $0x107,%rbp
    0x49, 0xc7, 0xc0, 0x09, 0x01, 0x00, 0x00, // mov $0x109,%r8
    0x49, 0xc7, 0xc1, 0x0a, 0x01, 0x00, 0x00, // mov $0x10a,%r9
    0x49, 0xc7, 0xc2, 0x0b, 0x01, 0x00, 0x00, // mov $0x10b,%r10
    0x49, 0xc7, 0xc4, 0x0d, 0x01, 0x00, 0x00, // mov $0x10d,%r12
    0x49, 0xc7, 0xc5, 0x0e, 0x01, 0x00, 0x00, // mov $0x10e,%r13
    0x49, 0xc7, 0xc6, 0x0f, 0x01, 0x00, 0x00, // mov $0x10f,%r14
    0x49, 0xc7, 0xc7, 0x10, 0x01, 0x00, 0x00, // mov $0x110,%r15
    0xf9, // stc
    0x0f, 0x05, // syscall
];
const SYSCALL: &[u8] = &[0x0f, 0x05, 0x0f, 0x05];
const LOAD: &[u8] = &[0x48, 0x8b, 0x07, 0x0f, 0x05]; // mov (%rdi),%rax; syscall
const STORE: &[u8] = &[0x48, 0x89, 0x37, 0x0f, 0x05]; // mov %rsi,(%rdi); syscall
const JUMP: &[u8] = &[0xff, 0xe7]; // jmp *%rdi
const PUSH: &[u8] = &[0x57, 0x0f, 0x05]; // push %rdi; syscall
const DIVIDE: &[u8] = &[0x31, 0xc9, 0xf7, 0xf1]; // xor %ecx,%ecx; div %ecx
const UNDEFINED: &[u8] = &[0x0f, 0x0b];
const BREAKPOINT: &[u8] = &[0xcc, 0x90];
const HALT: &[u8] = &[0xf4];
const DISABLE: &[u8] = &[0xfa]; // cli
const READ_MSR: &[u8] = &[0xb9, 0x1b, 0x00, 0x00, 0x00, 0x0f, 0x32];
const SPIN: &[u8] = &[0xeb, 0xfe];
const LOAD_FS_GS: &[u8] = &[
    0x64, 0x48, 0x8b, 0x04, 0x25, 0x00, 0x00, 0x00, 0x00, // mov %fs:0,%rax
    0x65, 0x48, 0x8b, 0x1c, 0x25, 0x08, 0x00, 0x00, 0x00, // mov %gs:8,%rbx
    0x0f, 0x05,
];
const SET_XMM: &[u8] = &[0x66, 0x48, 0x0f, 0x6e, 0xdf, 0x0f, 0x05]; // movq %rdi,%xmm3
const GET_XMM: &[u8] = &[0x66, 0x48, 0x0f, 0x7e, 0xd8, 0x0f, 0x05]; // movq %xmm3,%rax
const SINGLE_STEP: usize = 0x100;

fn map(space: &VmSpace, at: VirtAddr, contents: &[u8], right: Protection) {
    let frame = Frame::zeroed().expect("memory suffices");
    frame.write(0, contents);
    space.lock().map(at, frame, right).expect("memory suffices");
}

/// A space with `code`, a page of data, one that is only read, and a page of stack.
fn space(code: &[u8]) -> Arc<VmSpace> {
    let space = VmSpace::new().expect("memory suffices");
    map(&space, CODE, code, Protection::READ | Protection::EXECUTE);
    map(&space, DATA, &[0x11; 64], Protection::READ | Protection::WRITE);
    map(&space, READ_ONLY, &[0x22; 64], Protection::READ);
    map(&space, STACK_TOP - PAGE_SIZE, &[], Protection::READ | Protection::WRITE);
    space
}

/// Runs until something other than an interrupt ends user mode.
fn run_on(context: &mut UserContext, space: &VmSpace) -> Trap {
    loop {
        match context.run(space) {
            Trap::Interrupt | Trap::Attention => {}
            trap => return trap,
        }
    }
}

/// Runs `code` in a space of its own, with `rdi` and `rsi` set.
fn once(code: &[u8], rdi: usize, rsi: usize) -> (Trap, UserContext) {
    let space = space(code);
    let mut context = UserContext::new(CODE, STACK_TOP);
    context.regs_mut().rdi = rdi;
    context.regs_mut().rsi = rsi;
    let trap = run_on(&mut context, &space);
    (trap, context)
}

pub(crate) fn run(say: &mut Say<'_>) {
    registers(say);
    faults(say);
    exceptions(say);
    bad_contexts(say);
    floating_point(say);
    segments(say);
    changes_are_seen(say);
    two_spaces(say);
    interrupts(say);
}

fn registers(say: &mut Say<'_>) {
    let (trap, context) = once(MARK_ALL, 0, 0);
    say(format_args!("{trap:?}"));
    // What rcx and r11 hold after the instruction is the processor's business.
    let shown = Regs { rcx: 0, r11: 0, ..context.regs().clone() };
    say(format_args!("{shown:x?}"));

    let space = space(SYSCALL);
    let mut context = UserContext::new(CODE, STACK_TOP);
    let full = Regs {
        rax: Rax::new(usize::MAX),
        rbx: 2,
        rdx: 1 << 63,
        rsi: 5,
        rdi: 6,
        rbp: 7,
        r8: 9,
        r9: 10,
        r10: 11,
        r12: 13,
        r13: 14,
        r14: 15,
        r15: 16,
        ..context.regs().clone()
    };
    *context.regs_mut() = full.clone();
    for _ in 0..2 {
        let trap = run_on(&mut context, &space);
        let kept =
            Regs { rcx: 0, r11: 0, rip: full.rip, rflags: full.rflags, ..context.regs().clone() };
        say(format_args!("{trap:?} at {:x}, the rest kept: {}", context.regs().rip, kept == full));
    }
}

fn faults(say: &mut Say<'_>) {
    for (what, code, at) in [
        ("load", LOAD, DATA),
        ("load what is only read", LOAD, READ_ONLY),
        ("load from nowhere", LOAD, NOWHERE),
        ("load code", LOAD, CODE),
        ("store", STORE, DATA),
        ("store to what is only read", STORE, READ_ONLY),
        ("store to nowhere", STORE, NOWHERE),
        ("store to code", STORE, CODE),
        ("jump to data", JUMP, DATA),
        ("jump to nowhere", JUMP, NOWHERE),
        ("load zero", LOAD, VirtAddr::new(0)),
    ] {
        let (trap, context) = once(code, at.get(), 0x33);
        say(format_args!(
            "{what}: {trap:x?} at {:x}, rax {:x}",
            context.regs().rip,
            context.regs().rax.get()
        ));
    }
    let below = space(PUSH);
    let mut context = UserContext::new(CODE, STACK_TOP - PAGE_SIZE);
    say(format_args!("push below the stack: {:x?}", run_on(&mut context, &below)));
}

fn exceptions(say: &mut Say<'_>) {
    for (what, code) in [
        ("divide by zero", DIVIDE),
        ("undefined", UNDEFINED),
        ("breakpoint", BREAKPOINT),
        ("halt", HALT),
        ("disable interrupts", DISABLE),
        ("read a machine register", READ_MSR),
    ] {
        let (trap, context) = once(code, 0, 0);
        say(format_args!("{what}: {trap:?} at {:x}", context.regs().rip));
    }
    let space = space(SET_XMM);
    let mut context = UserContext::new(CODE, STACK_TOP);
    context.regs_mut().rflags |= SINGLE_STEP;
    say(format_args!("a step: {:?} at {:x}", run_on(&mut context, &space), context.regs().rip));
}

/// What a program may ask the kernel to put into its registers.
fn bad_contexts(say: &mut Say<'_>) {
    let space = space(SYSCALL);
    let mut context = UserContext::new(CODE, STACK_TOP);
    context.regs_mut().rflags = usize::MAX & !SINGLE_STEP & !0x4_4000;
    let trap = run_on(&mut context, &space);
    // Of the flags a program cannot change: I/O privilege off, interrupts on, virtual mode off.
    let flags = context.regs().rflags & 0x1a_3200;
    say(format_args!("all flags: {trap:?}, {flags:x}"));
    for rip in [0x8000_0000_0000, 0xffff_8000_0000_0000, usize::MAX, USER_END.get()] {
        let mut context = UserContext::new(VirtAddr::new(rip), STACK_TOP);
        let died = matches!(run_on(&mut context, &space), Trap::PageFault(_) | Trap::Exception(_));
        say(format_args!("entered at {rip:x}: a fault of the program: {died}"));
    }
    let mut context = UserContext::new(CODE, VirtAddr::new(0x1234_5678_9abc_def0));
    let trap = run_on(&mut context, &space);
    say(format_args!("a wild stack nobody uses: {trap:?}, {:x}", context.regs().rsp));
}

fn floating_point(say: &mut Say<'_>) {
    let (set, get) = (space(SET_XMM), space(GET_XMM));
    let mut one = UserContext::new(CODE, STACK_TOP);
    let mut two = UserContext::new(CODE, STACK_TOP);
    one.regs_mut().rdi = 0x1111;
    two.regs_mut().rdi = 0x2222;
    say(format_args!("{:?} {:?}", run_on(&mut one, &set), run_on(&mut two, &set)));
    let mut copy = one.duplicate().expect("memory suffices");
    let mut fresh = UserContext::new(CODE, STACK_TOP);
    for context in [&mut one, &mut two, &mut copy, &mut fresh] {
        context.regs_mut().rip = CODE.get();
        let trap = run_on(context, &get);
        say(format_args!("{trap:?} xmm3 = {:x}", context.regs().rax.get()));
    }
    one.fpu_reset();
    one.regs_mut().rip = CODE.get();
    say(format_args!("reset: {:?} xmm3 = {:x}", run_on(&mut one, &get), one.regs().rax.get()));
    let mut state = alloc::vec![0; UserContext::fpu_size()];
    two.fpu_read(&mut state);
    // The registers begin at byte 160 of the area, 16 bytes each (SDM 1, 10.5.1).
    say(format_args!("read: {:x?}", &state[160 + 3 * 16..160 + 3 * 16 + 4]));
    state[160 + 3 * 16] = 0x77;
    say(format_args!("write: {:?}", two.fpu_write(&state)));
    two.regs_mut().rip = CODE.get();
    say(format_args!("written: {:?} xmm3 = {:x}", run_on(&mut two, &get), two.regs().rax.get()));
}

fn segments(say: &mut Say<'_>) {
    let space = space(LOAD_FS_GS);
    let mut context = UserContext::new(CODE, STACK_TOP);
    context.regs_mut().fs_base = DATA.get();
    context.regs_mut().gs_base = READ_ONLY.get();
    let trap = run_on(&mut context, &space);
    say(format_args!("{trap:?} fs:0 {:x} gs:8 {:x}", context.regs().rax.get(), context.regs().rbx));
    context.regs_mut().rip = CODE.get();
    context.regs_mut().fs_base = READ_ONLY.get();
    context.regs_mut().gs_base = DATA.get();
    let trap = run_on(&mut context, &space);
    say(format_args!("{trap:?} fs:0 {:x} gs:8 {:x}", context.regs().rax.get(), context.regs().rbx));
}

/// What the kernel does to a space while a program is between two instructions.
fn changes_are_seen(say: &mut Say<'_>) {
    let space = space(LOAD);
    let mut context = UserContext::new(CODE, STACK_TOP);
    let mut load = |what: &str, at: VirtAddr| {
        context.regs_mut().rip = CODE.get();
        context.regs_mut().rdi = at.get();
        let trap = run_on(&mut context, &space);
        say(format_args!("{what}: {trap:x?} rax {:x}", context.regs().rax.get()));
    };
    load("as mapped", DATA);
    space.lock().unmap(DATA..DATA + PAGE_SIZE);
    load("unmapped", DATA);
    map(&space, DATA, &[0x44; 8], Protection::READ);
    load("mapped again", DATA);
    map(&space, DATA, &[0x55; 8], Protection::READ | Protection::WRITE);
    load("mapped over", DATA);
    let written = space.poke(DATA, &[0x66; 8]);
    load("written by the kernel", DATA);
    space.lock().move_pages(DATA..DATA + PAGE_SIZE, NOWHERE).expect("memory suffices");
    load("moved away", DATA);
    load("moved here", NOWHERE);
    say(format_args!("{written:?}"));
}

fn two_spaces(say: &mut Say<'_>) {
    let (left, right) = (space(STORE), space(STORE));
    let mut context = UserContext::new(CODE, STACK_TOP);
    for (space, value) in [(&left, 1), (&right, 2), (&left, 3)] {
        context.regs_mut().rip = CODE.get();
        context.regs_mut().rdi = DATA.get();
        context.regs_mut().rsi = value;
        let trap = run_on(&mut context, space);
        let mut words = [[0; 8]; 2];
        let read = (left.read(DATA, &mut words[0]), right.read(DATA, &mut words[1]));
        say(format_args!("{trap:?} {read:?} {} {}", words[0][0], words[1][0]));
    }
    let child = VmSpace::new().expect("memory suffices");
    {
        let (mut from, mut to) = (left.lock(), child.lock());
        from.share_copy_on_write(&mut to, CODE..STACK_TOP).expect("memory suffices");
    }
    for space in [&left, &child] {
        context.regs_mut().rip = CODE.get();
        let trap = run_on(&mut context, space);
        say(format_args!("a store to what is shared: {trap:x?}"));
    }
}

fn interrupts(say: &mut Say<'_>) {
    let space = space(SPIN);
    let mut context = UserContext::new(CODE, STACK_TOP);
    time::set_alarm(Some(time::now().saturating_add(Duration::from_millis(2))));
    // An interrupt of some device may come first, but the loop never ends by itself.
    let trap = loop {
        match context.run(&space) {
            Trap::Attention => {}
            trap => break trap,
        }
    };
    say(format_args!("an alarm ends a loop: {trap:?} at {:x}", context.regs().rip));
    cpu::kick(cpu::current());
    let trap = context.run(&space);
    let ended = matches!(trap, Trap::Attention | Trap::Interrupt);
    say(format_args!("a kick ends it, too: {ended}"));
}
