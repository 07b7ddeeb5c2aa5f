//! User mode on the library OS: small programs in machine code, and what their traps tell.
#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

use framework::{
    Frame, Instant, PAGE_SIZE, Protection, Trap, USER_END, UserContext, VirtAddr, VmSpace, cpu,
    time,
    user::{Exception, PageFault},
};
use std::{sync::Arc, time::Duration};

const CODE: VirtAddr = VirtAddr::new(0x40_0000);
const DATA: VirtAddr = VirtAddr::new(0x50_0000);
const READ: Protection = Protection::READ;
const BOTH: Protection = Protection::READ.union(Protection::WRITE);

/// A program, with a page of data and one of stack.
struct Guest {
    space: Arc<VmSpace>,
    context: UserContext,
}

fn map(space: &VmSpace, at: VirtAddr, protection: Protection) -> Frame {
    let frame = Frame::zeroed().unwrap();
    space.lock().map(at, frame.clone(), protection).unwrap();
    frame
}

fn context() -> UserContext {
    UserContext::new(CODE, VirtAddr::new(0x60_1000))
}

impl Guest {
    fn new(code: &[u8]) -> Self {
        let space = VmSpace::new().unwrap();
        map(&space, CODE, READ | Protection::EXECUTE).write(0, code);
        map(&space, DATA, BOTH);
        map(&space, VirtAddr::new(0x60_0000), BOTH);
        Self { space, context: context() }
    }

    /// Runs to the next trap that is none of the test's threads' noise.
    fn run(&mut self) -> Trap {
        run_on(&mut self.context, &self.space)
    }

    /// Runs to the next system call.
    fn call(&mut self) -> usize {
        assert_eq!(self.run(), Trap::Syscall, "{:x?}", self.context.regs());
        self.context.regs().rax.get()
    }
}

/// Runs to the next trap that is none of the test's threads' noise.
fn run_on(context: &mut UserContext, space: &VmSpace) -> Trap {
    loop {
        let trap = context.run(space);
        if !matches!(trap, Trap::Interrupt | Trap::Attention) {
            return trap;
        }
    }
}

fn exception(vector: u8) -> Trap {
    Trap::Exception(Exception { vector, error: 0 })
}

fn fault(at: usize, write: bool, execute: bool, present: bool) -> Trap {
    Trap::PageFault(PageFault { at: VirtAddr::new(at), write, execute, present })
}

const SYSCALL: [u8; 2] = [0x0f, 0x05];
const UD2: [u8; 2] = [0x0f, 0x0b];
const LOOP: [u8; 2] = [0xeb, 0xfe]; // jmp .

#[test]
fn a_system_call_has_its_registers_and_takes_a_result() {
    let mut guest = Guest::new(&[
        0xb8, 0x27, 0x01, 0x00, 0x00, // mov eax, 0x127
        0xbf, 0x01, 0x00, 0x00, 0x00, // mov edi, 1
        0x0f, 0x05, // syscall
        0x48, 0x89, 0xc7, // mov rdi, rax
        0x0f, 0x05, // syscall
    ]);
    guest.context.regs_mut().r15 = usize::MAX;
    assert_eq!(guest.call(), 0x127);
    let regs = guest.context.regs().clone();
    assert_eq!((regs.rdi, regs.rip, regs.r15), (1, CODE.get() + 12, usize::MAX));
    assert_eq!((regs.rcx, regs.r11), (regs.rip, regs.rflags));
    guest.context.set_result(0x1234_5678_9abc);
    guest.call();
    assert_eq!(guest.context.regs().rdi, 0x1234_5678_9abc);
}

#[test]
fn page_faults_say_what_was_tried() {
    let mut guest = Guest::new(&[
        0x48, 0x8b, 0x07, // mov rax, [rdi]
        0x48, 0x89, 0x07, // mov [rdi], rax
        0xff, 0xe7, // jmp rdi
    ]);
    let at = 0x7000_0000;
    guest.context.regs_mut().rdi = at;
    assert_eq!(guest.run(), fault(at, false, false, false));
    let frame = map(&guest.space, VirtAddr::new(at), READ);
    frame.write(0, &SYSCALL);
    assert_eq!(guest.run(), fault(at, true, false, true));
    assert_eq!(guest.context.regs().rax.get(), 0x050f);
    guest.context.set_result(0x0b0f);
    guest.space.lock().map(VirtAddr::new(at), frame.clone(), BOTH).unwrap();
    assert_eq!(guest.run(), fault(at, false, true, true));
    assert_eq!(guest.context.regs().rip, at);
    guest.space.lock().map(VirtAddr::new(at), frame, READ | Protection::EXECUTE).unwrap();
    assert_eq!(guest.run(), exception(6));
}

#[test]
fn every_user_address_can_be_mapped_and_no_other() {
    let mut guest = Guest::new(&[0x88, 0x07, 0x0f, 0x05]); // mov [rdi], al; syscall
    for at in [0x1_0000, 0x1000_0000, 0x5555_5555_4000, 0x7fff_0000_0000, USER_END.get() - 4096] {
        map(&guest.space, VirtAddr::new(at), BOTH);
        guest.context.regs_mut().rip = CODE.get();
        guest.context.regs_mut().rdi = at;
        guest.call();
    }
    for at in [0, 0x8000, USER_END.get(), 0x7fff_ffff_f000, 0xffff_8000_0000_0000] {
        guest.context.regs_mut().rip = CODE.get();
        guest.context.regs_mut().rdi = at;
        if (USER_END.get()..0x7fff_ffff_0000).contains(&at) {
            continue; // the window
        }
        assert_eq!(guest.run(), fault(at, true, false, false), "{at:#x}");
    }
    guest.context.regs_mut().rip = CODE.get();
    guest.context.regs_mut().rdi = 0x8000_0000_0000_0000;
    assert_eq!(guest.run(), exception(13));
    for bad in [USER_END.get(), USER_END.get() + 0x10, 0xffff_ffff_8000_0000] {
        guest.context.regs_mut().rip = bad;
        assert_eq!(guest.run(), fault(bad, false, true, false));
    }
    guest.context.regs_mut().rip = 0x8000_0000_0000;
    assert_eq!(guest.run(), exception(13));
}

#[test]
fn exceptions_have_their_vectors() {
    let programs: [(&[u8], u8, usize); 4] = [
        (&[0x31, 0xc9, 0xf7, 0xf1], 0, 2), // xor ecx, ecx; div ecx
        (&[0xcc], 3, 1),                   // int3
        (&[0x0f, 0x0b], 6, 0),             // ud2
        (&[0xf4], 13, 0),                  // hlt
    ];
    for (code, vector, rip) in programs {
        let mut guest = Guest::new(code);
        assert_eq!(guest.run(), exception(vector), "{code:x?}");
        assert_eq!(guest.context.regs().rip, CODE.get() + rip, "{code:x?}");
    }
    let mut guest = Guest::new(&[0xcd, 0x80]); // int 0x80
    assert_eq!(guest.run(), Trap::Exception(Exception { vector: 13, error: 0x402 }));
    assert_eq!(guest.context.regs().rip, CODE.get());
}

#[test]
fn single_steps_trap_one_by_one() {
    let mut guest = Guest::new(&[0x90, 0x90, 0x90, 0x0f, 0x05]);
    for step in 1..=3 {
        guest.context.regs_mut().rflags |= 0x100;
        assert_eq!(guest.run(), exception(1));
        assert_eq!(guest.context.regs().rip, CODE.get() + step);
    }
    guest.context.regs_mut().rflags &= !0x100;
    guest.call();
}

#[test]
fn flags_and_a_bad_stack_do_no_harm() {
    let mut guest = Guest::new(&[0xfd, 0x31, 0xe4, 0x0f, 0x05, 0x0f, 0x0b]); // std; xor esp, esp
    guest.context.regs_mut().rflags = 0xffff_ffff & !0x100;
    guest.call();
    assert_eq!(guest.context.regs().rsp, 0);
    assert!(guest.context.regs().rflags & 0x400 != 0, "DF is the program's");
    guest.context.regs_mut().rflags |= 0x4_0000; // AC
    assert_eq!(guest.run(), exception(6));
}

#[test]
fn a_loop_ends_by_a_kick() {
    let mut guest = Guest::new(&LOOP);
    let me = cpu::current();
    for _ in 0..20 {
        let kicker = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(2));
            cpu::kick(me);
        });
        assert_eq!(guest.context.run(&guest.space), Trap::Interrupt);
        kicker.join().unwrap();
        assert_eq!(guest.context.regs().rip, CODE.get());
    }
    cpu::kick(me);
    let start = time::now();
    assert_eq!(guest.context.run(&guest.space), Trap::Attention);
    assert!(time::now() - start < Duration::from_millis(500), "a kick before is not lost");
}

#[test]
fn a_loop_ends_by_the_alarm() {
    let mut guest = Guest::new(&LOOP);
    for _ in 0..10 {
        let due = time::now().saturating_add(Duration::from_millis(5));
        time::set_alarm(Some(due));
        assert_eq!(guest.context.run(&guest.space), Trap::Interrupt);
        assert!(time::now() >= due);
    }
    time::set_alarm(Some(Instant::from_nanos(0)));
    assert_eq!(guest.context.run(&guest.space), Trap::Attention);
}

#[test]
fn two_contexts_share_a_stub_and_keep_their_registers() {
    // movq rax, xmm3; add rax, 1; movq xmm3, rax; rdfsbase rdi; rdgsbase rsi; syscall; jmp back
    let mut guest = Guest::new(&[
        0x66, 0x48, 0x0f, 0x7e, 0xd8, 0x48, 0x83, 0xc0, 0x01, 0x66, 0x48, 0x0f, 0x6e, 0xd8, 0xf3,
        0x48, 0x0f, 0xae, 0xc7, 0xf3, 0x48, 0x0f, 0xae, 0xce, 0x0f, 0x05, 0xeb, 0xe4,
    ]);
    let mut contexts = [100usize, 2_000_000].map(|start| {
        let mut context = context();
        context.regs_mut().fs_base = 0x7000_0000 + start;
        context.regs_mut().gs_base = start;
        let mut state = vec![0; UserContext::fpu_size()];
        context.fpu_read(&mut state);
        state[160 + 3 * 16..][..8].copy_from_slice(&start.to_le_bytes());
        if state.len() > 512 {
            state[512] = 3;
        }
        context.fpu_write(&state).unwrap();
        (start, context)
    });
    for round in 1..50 {
        for (start, context) in &mut contexts {
            assert_eq!(run_on(context, &guest.space), Trap::Syscall);
            let regs = context.regs().clone();
            assert_eq!(
                (regs.rax.get(), regs.rdi, regs.rsi),
                (*start + round, 0x7000_0000 + *start, *start)
            );
        }
    }
    // A copy goes on where its original is; one that is reset begins again.
    let mut copy = contexts[0].1.duplicate().unwrap();
    assert_eq!(run_on(&mut copy, &guest.space), Trap::Syscall);
    assert_eq!(copy.regs().rax.get(), 150);
    copy.fpu_reset();
    guest.context = copy;
    assert_eq!(guest.call(), 1);
    assert_eq!(contexts[0].1.regs().rax.get(), 149);
}

#[test]
fn all_fpu_registers_survive_preemption() {
    if UserContext::fpu_size() < 832 {
        return; // no AVX
    }
    let mut guest = Guest::new(&LOOP);
    let mut state = vec![0; UserContext::fpu_size()];
    guest.context.fpu_read(&mut state);
    for (index, byte) in state[160..416].iter_mut().chain(Vec::new()).enumerate() {
        *byte = u8::try_from(index % 251).unwrap();
    }
    for (index, byte) in state[576..832].iter_mut().enumerate() {
        *byte = u8::try_from(index % 241).unwrap();
    }
    state[512] = 7;
    guest.context.fpu_write(&state).unwrap();
    for _ in 0..20 {
        time::set_alarm(Some(time::now().saturating_add(Duration::from_millis(1))));
        assert_eq!(guest.context.run(&guest.space), Trap::Interrupt);
    }
    let mut after = vec![0; state.len()];
    guest.context.fpu_read(&mut after);
    assert_eq!(after[160..416], state[160..416]);
    assert_eq!(after[576..832], state[576..832]);
}

#[test]
fn a_child_shares_until_it_writes() {
    let code = [0x8a, 0x17, 0x88, 0x07, 0x0f, 0x05]; // mov dl, [rdi]; mov [rdi], al; syscall
    let mut parent = Guest::new(&code);
    parent.context.regs_mut().rdi = DATA.get();
    parent.context.set_result(7);
    parent.call();
    let space = VmSpace::new().unwrap();
    let all = VirtAddr::new(0)..USER_END;
    parent.space.lock().share_copy_on_write(&mut space.lock(), all).unwrap();
    let mut child = Guest { space, context: context() };
    child.context.regs_mut().rdi = DATA.get();
    child.context.set_result(8);
    assert_eq!(child.run(), fault(DATA.get(), true, false, true));
    assert_eq!(child.context.regs().rdx, 7);
    let page = child.space.lock().query(DATA).unwrap();
    child.space.lock().map(DATA, page.frame.duplicate().unwrap(), BOTH).unwrap();
    drop(page);
    child.call();
    parent.context.regs_mut().rip = CODE.get();
    assert_eq!(parent.run(), fault(DATA.get(), true, false, true), "the parent's is shared too");
    parent.space.lock().protect(DATA..DATA + PAGE_SIZE, BOTH);
    parent.call();
    assert_eq!(parent.context.regs().rdx, 7);
    let mut byte = [0];
    child.space.read(DATA, &mut byte).unwrap();
    assert_eq!(byte, [8]);
}

#[test]
fn what_is_taken_away_is_gone() {
    let mut guest = Guest::new(&[0x88, 0x07, 0x0f, 0x05]); // mov [rdi], al; syscall
    guest.context.regs_mut().rdi = DATA.get();
    let page = DATA..DATA + PAGE_SIZE;
    for round in 0..50 {
        guest.context.regs_mut().rip = CODE.get();
        guest.call();
        guest.space.lock().protect(page.clone(), READ);
        guest.context.regs_mut().rip = CODE.get();
        assert_eq!(guest.run(), fault(DATA.get(), true, false, true));
        guest.space.lock().unmap(page.clone());
        assert_eq!(guest.run(), fault(DATA.get(), true, false, false));
        let frame = map(&guest.space, DATA, BOTH);
        guest.context.set_result(round);
        guest.call();
        let mut byte = [0];
        frame.read(0, &mut byte);
        assert_eq!(usize::from(byte[0]), round, "the new frame was written");
        assert!(guest.space.lock().query(DATA).unwrap().dirty);
    }
}

#[test]
fn a_kick_does_not_keep_what_was_taken_away() {
    let mut guest = Guest::new(&[0x88, 0x07, 0x0f, 0x05]); // mov [rdi], al; syscall
    guest.context.regs_mut().rdi = DATA.get();
    guest.call();
    guest.space.lock().unmap(DATA..DATA + PAGE_SIZE);
    cpu::kick(cpu::current());
    assert_eq!(guest.context.run(&guest.space), Trap::Attention);
    guest.context.regs_mut().rip = CODE.get();
    assert_eq!(guest.run(), fault(DATA.get(), true, false, false));
}

#[test]
fn ten_thousand_pages_apart() {
    // mov [rdi], rdi; add rdi, 0x2000; dec ecx; jnz back; syscall
    let mut guest = Guest::new(&[
        0x48, 0x89, 0x3f, 0x48, 0x81, 0xc7, 0x00, 0x20, 0x00, 0x00, 0xff, 0xc9, 0x75, 0xf2, 0x0f,
        0x05,
    ]);
    const PAGES: usize = 10_000;
    let base = 0x1_0000_0000;
    let frames: Vec<Frame> = (0..PAGES)
        .map(|page| map(&guest.space, VirtAddr::new(base + page * 2 * PAGE_SIZE), BOTH))
        .collect();
    guest.context.regs_mut().rdi = base;
    guest.context.regs_mut().rcx = PAGES;
    guest.call();
    for (page, frame) in frames.iter().enumerate() {
        let mut word = [0; 8];
        frame.read(0, &mut word);
        assert_eq!(usize::from_le_bytes(word), base + page * 2 * PAGE_SIZE);
    }
    guest.space.lock().unmap(VirtAddr::new(base)..VirtAddr::new(base + PAGES * 2 * PAGE_SIZE));
    assert!(frames.iter().all(Frame::is_unique));
    guest.context.regs_mut().rip = CODE.get();
    guest.context.regs_mut().rdi = base + 0x2000;
    assert_eq!(guest.run(), fault(base + 0x2000, true, false, false));
}

#[test]
fn more_mappings_than_the_host_has() {
    // As above, but reads: every page is the same frame.
    let mut guest = Guest::new(&[
        0x48, 0x8b, 0x07, 0x48, 0x81, 0xc7, 0x00, 0x20, 0x00, 0x00, 0xff, 0xc9, 0x75, 0xf2, 0x0f,
        0x05,
    ]);
    const PAGES: usize = 70_000;
    let base = 0x1_0000_0000;
    let frame = Frame::zeroed().unwrap();
    for page in 0..PAGES {
        let at = VirtAddr::new(base + page * 2 * PAGE_SIZE);
        guest.space.lock().map(at, frame.clone(), READ).unwrap();
    }
    guest.context.regs_mut().rdi = base;
    guest.context.regs_mut().rcx = PAGES;
    guest.call();
    assert_eq!(guest.context.regs().rdi, base + PAGES * 2 * PAGE_SIZE);
}

#[test]
fn spaces_come_and_go() {
    for round in 0..300usize {
        let mut guest = Guest::new(&[0x48, 0x8b, 0x07, 0x0f, 0x05]); // mov rax, [rdi]; syscall
        guest.context.regs_mut().rdi = DATA.get();
        guest.space.write(DATA, &round.to_le_bytes()).unwrap();
        assert_eq!(guest.call(), round);
    }
}

#[test]
fn more_spaces_than_stubs() {
    let code = [0x48, 0xff, 0x07, 0x48, 0x8b, 0x07, 0x0f, 0x05, 0xeb, 0xf6]; // inc [rdi]; mov rax, [rdi]; syscall
    let mut guests: Vec<Guest> = (0..2500).map(|_| Guest::new(&code)).collect();
    for round in 1..=2 {
        for guest in &mut guests {
            guest.context.regs_mut().rdi = DATA.get();
            assert_eq!(guest.call(), round);
        }
    }
}

#[test]
fn another_cpu_is_told_to_forget() {
    // Writes to a page in a loop until it faults.
    let mut guest = Guest::new(&[0x48, 0xff, 0x07, 0xeb, 0xfb]); // inc qword [rdi]; jmp back
    guest.context.regs_mut().rdi = DATA.get();
    let space = guest.space.clone();
    for _ in 0..10 {
        let frame = space.lock().query(DATA).unwrap().frame;
        let space = space.clone();
        let other = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(3));
            space.lock().unmap(DATA..DATA + PAGE_SIZE);
            let mut counts = [[0; 8]; 2];
            frame.read(0, &mut counts[0]);
            std::thread::sleep(Duration::from_millis(3));
            frame.read(0, &mut counts[1]);
            assert_eq!(counts[0], counts[1], "the program wrote to a page it no longer has");
            assert!(frame.is_unique());
        });
        assert_eq!(guest.run(), fault(DATA.get(), true, false, false));
        other.join().unwrap();
        map(&guest.space, DATA, BOTH);
    }
}

#[test]
fn a_program_runs_on_two_cpus_at_once() {
    let guest = Guest::new(&[0xf0, 0x48, 0xff, 0x07, 0x0f, 0x05, 0xeb, 0xf8]); // lock inc [rdi]; syscall
    const TIMES: usize = 500;
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let space = &guest.space;
            scope.spawn(move || {
                let mut context = context();
                context.regs_mut().rdi = DATA.get();
                for _ in 0..TIMES {
                    assert_eq!(run_on(&mut context, space), Trap::Syscall);
                    assert_eq!(context.regs().rip, CODE.get() + 6);
                }
            });
        }
    });
    let mut count = [0; 8];
    guest.space.read(DATA, &mut count).unwrap();
    assert_eq!(usize::from_le_bytes(count), 2 * TIMES);
}

#[test]
fn undefined_code_at_page_ends() {
    let mut guest = Guest::new(&[]);
    let last = CODE + (PAGE_SIZE - 2);
    guest.space.lock().query(CODE).unwrap().frame.write(PAGE_SIZE - 2, &UD2);
    guest.context.regs_mut().rip = last.get();
    assert_eq!(guest.run(), exception(6));
    guest.context.regs_mut().rip = last.get() + 1;
    assert_eq!(guest.run(), fault(CODE.get() + PAGE_SIZE, false, true, false));
}
