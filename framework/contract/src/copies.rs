//! Copies from and to user memory: they stop at what is not there, and say where.

use crate::Say;
use framework::{Frame, PAGE_SIZE, Protection, USER_END, VirtAddr, VmSpace};

/// Two writable pages, a read-only one, nothing after.
const START: VirtAddr = VirtAddr::new(0x10_0000);

pub(crate) fn run(say: &mut Say<'_>) {
    let space = VmSpace::new().expect("memory suffices");
    for n in 0..3 {
        let frame = Frame::zeroed().expect("memory suffices");
        frame.write(PAGE_SIZE - 3, b"abc");
        let right = if n < 2 { Protection::READ | Protection::WRITE } else { Protection::READ };
        space.lock().map(START + n * PAGE_SIZE, frame, right).expect("memory suffices");
    }
    let border = START + PAGE_SIZE - 3;
    say(format_args!("across a border: {:?}", space.write(border, b"abcdef")));
    let mut six = [0; 6];
    say(format_args!("read back: {:?} {six:?}", space.read(border, &mut six)));

    let end = START + 3 * PAGE_SIZE;
    let mut buffer = [7; 100];
    say(format_args!("over the end: {:?}", space.read(end - 10, &mut buffer)));
    say(format_args!("before it was copied: {}", buffer[..10].iter().all(|byte| *byte == 0)));
    say(format_args!("into a read-only page: {:?}", space.write(end - PAGE_SIZE - 4, &[5; 10])));
    say(format_args!("zeroed: {:?}", space.zero(border, 6)));
    say(format_args!("read back: {:?} {six:?}", space.read(border, &mut six)));
    say(format_args!("at zero: {:?}", space.read(VirtAddr::new(0), &mut six)));
    say(format_args!("nothing at nowhere: {:?}", space.read(VirtAddr::new(0), &mut [])));
    say(format_args!("at the end of user memory: {:?}", space.read(USER_END - 2, &mut six)));
    say(format_args!("beyond: {:?}", space.write(USER_END, &six)));
    let kernel = VirtAddr::new(0xffff_8000_0000_0000);
    say(format_args!("in the kernel's half: {:?}", space.read(kernel, &mut six)));
    say(format_args!("at the top: {:?}", space.write(VirtAddr::new(usize::MAX - 2), &six)));

    strings(say, &space);
    words(say, &space);

    let peeked = space.peek(end - PAGE_SIZE, &mut six);
    say(format_args!("poke a read-only page: {:?}", space.poke(end - PAGE_SIZE, b"poke")));
    say(format_args!("peek: {peeked:?}, then {:?} {six:?}", space.peek(end - PAGE_SIZE, &mut six)));
}

fn strings(say: &mut Say<'_>, space: &VmSpace) {
    let mut to = [0; 16];
    let at = START + PAGE_SIZE - 5;
    say(format_args!("{:?}", space.write(at, b"string\0rest")));
    say(format_args!("a string over a border: {:?}", space.read_cstr(at, &mut to)));
    say(format_args!("{:?}", core::str::from_utf8(&to[..6])));
    say(format_args!("too long for 4 bytes: {:?}", space.read_cstr(at, &mut to[..4])));
    let end = START + 3 * PAGE_SIZE;
    say(format_args!("no end before memory's: {:?}", space.read_cstr(end - 3, &mut to)));
}

fn words(say: &mut Say<'_>, space: &VmSpace) {
    let at = START + 8;
    say(format_args!("{:?}", space.write(at, &7_u32.to_ne_bytes())));
    say(format_args!("load: {:?}", space.load_u32(at)));
    say(format_args!("exchange 7: {:?}", space.compare_exchange_u32(at, 7, 9)));
    say(format_args!("exchange 7 again: {:?}", space.compare_exchange_u32(at, 7, 8)));
    say(format_args!("load: {:?}", space.load_u32(at)));
    let read_only = START + 2 * PAGE_SIZE;
    say(format_args!("in a read-only page: {:?}", space.compare_exchange_u32(read_only, 0, 1)));
    say(format_args!("nowhere: {:?}", space.load_u32(VirtAddr::new(0x20_0000))));
}
