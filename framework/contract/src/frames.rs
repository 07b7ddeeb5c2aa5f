//! Frames: zeroed when they are new, counted, given back.

use crate::Say;
use alloc::vec::Vec;
use framework::{Frame, PAGE_SIZE, frame};

pub(crate) fn run(say: &mut Say<'_>) {
    let mut buffer = [1; PAGE_SIZE];
    let frame = Frame::zeroed().expect("memory suffices");
    frame.read(0, &mut buffer);
    say(format_args!("a new frame is all zeros: {}", buffer.iter().all(|byte| *byte == 0)));

    frame.write(100, b"frame");
    frame.fill(200, 3, b'x');
    frame.read(98, &mut buffer[..8]);
    say(format_args!("written at 100: {:?}", &buffer[..8]));
    frame.read(199, &mut buffer[..5]);
    say(format_args!("filled from 200: {:?}", &buffer[..5]));

    let other = frame.clone();
    say(format_args!("cloned: {} references, unique: {}", frame.references(), frame.is_unique()));
    other.write(100, b"F");
    frame.read(100, &mut buffer[..5]);
    say(format_args!("a clone is the same memory: {:?}", &buffer[..5]));
    drop(other);
    say(format_args!("dropped: {} references, unique: {}", frame.references(), frame.is_unique()));

    let copy = frame.duplicate().expect("memory suffices");
    copy.write(100, b"C");
    frame.read(100, &mut buffer[..5]);
    copy.read(100, &mut buffer[5..10]);
    say(format_args!("a duplicate is other memory: {:?} {:?}", &buffer[..5], &buffer[5..10]));
    say(format_args!("addresses differ: {}", copy.address() != frame.address()));
    drop((frame, copy));

    let many: Vec<Frame> = (0..500).map_while(|_| Frame::zeroed().ok()).collect();
    let mut addresses: Vec<u64> = many.iter().map(|frame| frame.address().get()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    say(format_args!("{} frames at {} places", many.len(), addresses.len()));
    let aligned = addresses.iter().all(|address| address % PAGE_SIZE as u64 == 0);
    say(format_args!("each at the start of a page: {aligned}"));
    let before = frame::stats().free;
    drop(many);
    say(format_args!("given back: {}", frame::stats().free >= before + 500));
}
