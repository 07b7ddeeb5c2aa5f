//! Tests of pipes: what Linux answers.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the numbers are small"
)]

use super::{PIPE_BUF, Piece, Pipe, PipeEnd, Privileged};
use crate::{
    AnonymousFs, Errno, Make, OpenFlags, OpenHow, Opened, Result, Sink, Source,
    testing::{World, root_caller},
};
use abi::Events;
use alloc::sync::Arc;
use framework::{Frame, Protection, VirtAddr, VmSpace};

const NON_BLOCKING: OpenFlags = OpenFlags::NON_BLOCKING;

fn pair(flags: OpenFlags) -> (PipeEnd, PipeEnd) {
    Pipe::pair(&AnonymousFs::pipes(), flags, &root_caller())
}

fn get(end: &PipeEnd, len: usize) -> Result<Vec<u8>> {
    let mut buffer = vec![0; len];
    let count = end.read(&mut Sink::kernel(&mut buffer))?;
    buffer.truncate(count);
    Ok(buffer)
}

fn put(end: &PipeEnd, bytes: &[u8]) -> Result<usize> {
    end.write(&mut Source::kernel(bytes))
}

#[test]
fn bytes_come_out_in_order() {
    let (reader, writer) = pair(OpenFlags::empty());
    assert_eq!(get(&reader, 10), Err(Errno::EAGAIN));
    assert_eq!(put(&writer, b"hello ").unwrap(), 6);
    assert_eq!(put(&writer, b"world").unwrap(), 5);
    assert_eq!(reader.pipe().len(), 11);
    assert_eq!(get(&reader, 8).unwrap(), b"hello wo");
    assert_eq!(get(&reader, 8).unwrap(), b"rld");
    assert_eq!(put(&reader, b"x"), Err(Errno::EBADF));
    assert_eq!(get(&writer, 1), Err(Errno::EBADF));
    put(&writer, b"last").unwrap();
    drop(writer);
    assert_eq!(reader.poll(), Events::IN | Events::RDNORM | Events::HUP);
    assert_eq!(get(&reader, 8).unwrap(), b"last");
    assert_eq!(get(&reader, 8).unwrap(), b"");
    assert_eq!(reader.poll(), Events::HUP);
}

/// A space with one page at its address.
fn space() -> (Arc<VmSpace>, VirtAddr) {
    let (space, at) = (VmSpace::new().unwrap(), VirtAddr::new(0x40_0000));
    let both = Protection::READ | Protection::WRITE;
    space.lock().map(at, Frame::zeroed().unwrap(), both).unwrap();
    (space, at)
}

#[test]
fn short_transfers_go_the_short_way() {
    let (reader, writer) = pair(OpenFlags::empty());
    let (space, at) = space();
    assert_eq!(reader.read_piece(&space, at, 1), Piece::NotReady);
    // The first byte needs a frame.
    assert_eq!(writer.write_piece(&space, at, 1), Piece::Other);
    put(&writer, b"x").unwrap();
    space.write(at, b"piece").unwrap();
    assert_eq!(writer.write_piece(&space, at, 5), Piece::Done(5));
    assert_eq!(reader.read_piece(&space, at, 100), Piece::Done(6));
    let mut back = [0; 6];
    space.read(at, &mut back).unwrap();
    assert_eq!(&back, b"xpiece");
    assert_eq!(reader.read_piece(&space, at, 0), Piece::Other);
    drop(writer);
    assert_eq!(reader.read_piece(&space, at, 1), Piece::Other);
    assert_eq!(get(&reader, 1).unwrap(), b"");
}

#[test]
fn what_is_out_of_the_ordinary_goes_the_long_way() {
    let (reader, writer) = pair(OpenFlags::empty());
    let (space, at) = space();
    let end = at + framework::PAGE_SIZE;
    put(&writer, &[7; PIPE_BUF]).unwrap();
    get(&reader, PIPE_BUF - 2).unwrap();
    // Across two frames, and from and to memory that is not there.
    assert_eq!(writer.write_piece(&space, at + 1, PIPE_BUF), Piece::Other);
    assert_eq!(reader.read_piece(&space, end - 1, 2), Piece::Other);
    assert_eq!(writer.write_piece(&space, end, 1), Piece::Other);
    assert_eq!(reader.pipe().len(), 2);
    // A full one, and one nobody reads.
    put(&writer, &[7; 15 * PIPE_BUF]).unwrap();
    put(&writer, &[7; PIPE_BUF - 2]).unwrap();
    assert_eq!(writer.write_piece(&space, at, 1), Piece::Other);
    drop(reader);
    assert_eq!(writer.write_piece(&space, at, 1), Piece::Other);
    // Packets keep their ends.
    let (reader, writer) = pair(OpenFlags::DIRECT);
    put(&writer, b"ab").unwrap();
    assert_eq!(writer.write_piece(&space, at, 1), Piece::Other);
    assert_eq!(reader.read_piece(&space, at, 9), Piece::Other);
    assert_eq!(get(&reader, 9).unwrap(), b"ab");
}

#[test]
fn the_ring_goes_round() {
    let (reader, writer) = pair(NON_BLOCKING);
    let mut next = 0u32;
    let mut expected = 0u32;
    put(&writer, &[0xff; 3]).unwrap();
    get(&reader, 2).unwrap();
    for round in 0..200 {
        let block: Vec<u8> = (0..2500 + round)
            .map(|_| {
                next += 1;
                (next % 251) as u8
            })
            .collect();
        if put(&writer, &block) == Err(Errno::EAGAIN) {
            next -= block.len() as u32;
        }
        if round == 0 {
            assert_eq!(get(&reader, 1).unwrap(), [0xff]);
        }
        for byte in get(&reader, 1900).unwrap() {
            expected += 1;
            assert_eq!(byte, (expected % 251) as u8);
        }
    }
    assert!(reader.pipe().len() > 60_000);
}

#[test]
fn short_writes_are_whole_and_long_ones_go_on() {
    let (reader, writer) = pair(OpenFlags::empty());
    assert_eq!(put(&writer, &[1; 65536 - 100]).unwrap(), 65436);
    assert_eq!(put(&writer, &[2; 101]), Err(Errno::EAGAIN));
    assert_eq!(writer.poll(), Events::empty());
    let long = [3; PIPE_BUF + 1];
    let mut source = Source::kernel(&long);
    assert_eq!(writer.write(&mut source), Err(Errno::EAGAIN));
    assert_eq!(source.done(), 100);
    get(&reader, 8192).unwrap();
    assert_eq!(writer.write(&mut source).unwrap(), PIPE_BUF + 1);
    writer.set_flags(NON_BLOCKING);
    assert_eq!(writer.flags(), NON_BLOCKING | OpenFlags::WRITE_ONLY);
    assert_eq!(put(&writer, &[4; 20_000]).unwrap(), 4195);
    drop(reader);
    assert_eq!(put(&writer, b"x"), Err(Errno::EPIPE));
    assert_eq!(put(&writer, b"").unwrap(), 0);
    assert_eq!(writer.poll() & Events::ERR, Events::ERR);
}

#[test]
fn packets_keep_their_ends() {
    let (reader, writer) = pair(NON_BLOCKING | OpenFlags::DIRECT);
    put(&writer, b"first").unwrap();
    put(&writer, b"second").unwrap();
    assert_eq!(get(&reader, 3).unwrap(), b"fir");
    assert_eq!(get(&reader, 100).unwrap(), b"second");
    assert_eq!(put(&writer, &[7; PIPE_BUF + 10]).unwrap(), PIPE_BUF + 10);
    assert_eq!(get(&reader, 10_000).unwrap().len(), PIPE_BUF);
    writer.set_flags(NON_BLOCKING);
    put(&writer, b"ab").unwrap();
    put(&writer, b"cd").unwrap();
    assert_eq!(get(&reader, 100).unwrap().len(), 10);
    assert_eq!(get(&reader, 100).unwrap(), b"abcd");
    writer.set_flags(NON_BLOCKING | OpenFlags::DIRECT);
    let mut count = 0;
    while put(&writer, b"p").is_ok() {
        count += 1;
    }
    assert_eq!(count, 16);
}

#[test]
fn the_size_changes_and_keeps_what_is_there() {
    let (reader, writer) = pair(NON_BLOCKING);
    let pipe = reader.pipe();
    put(&writer, &[9; 5000]).unwrap();
    get(&reader, 4990).unwrap();
    let bytes: Vec<u8> = (0..60_000).map(|i| (i % 253) as u8).collect();
    put(&writer, &bytes).unwrap();
    assert_eq!(pipe.set_size(4096, Privileged::No), Err(Errno::EBUSY));
    assert_eq!(pipe.set_size(70_000, Privileged::No), Ok(131_072));
    assert_eq!(pipe.set_size(2 << 20, Privileged::No), Err(Errno::EPERM));
    assert_eq!(pipe.set_size(1 << 30, Privileged::No), Err(Errno::EPERM));
    assert_eq!(pipe.set_size(usize::MAX / 2, Privileged::Yes), Err(Errno::EINVAL));
    put(&writer, &bytes).unwrap();
    assert_eq!(get(&reader, 10).unwrap(), [9; 10]);
    assert_eq!(get(&reader, 60_000).unwrap(), bytes);
    assert_eq!(get(&reader, 60_000).unwrap(), bytes);
    assert_eq!(pipe.set_size(0, Privileged::No), Ok(4096));
    assert_eq!(put(&writer, &bytes).unwrap(), 4096);
    assert_eq!(pipe.size(), 4096);
}

fn fifo() -> World {
    let world = World::new();
    world.walk(&root_caller()).make(&world.root, b"/fifo", Make::Fifo, 0o666).unwrap();
    world
}

fn open(world: &World, flags: OpenFlags) -> Result<PipeEnd> {
    let how = OpenHow { flags, ..OpenHow::default() };
    match world.walk(&root_caller()).open(&world.root, b"/fifo", &how)? {
        Opened::Fifo(end) => Ok(end),
        other => panic!("{other:?}"),
    }
}

#[test]
fn opening_a_fifo_waits_for_the_other_side() {
    let world = fifo();
    assert_eq!(open(&world, NON_BLOCKING | OpenFlags::WRITE_ONLY).unwrap_err(), Errno::ENXIO);
    let reader = open(&world, OpenFlags::empty()).unwrap();
    assert_eq!(reader.opened(), Err(Errno::EAGAIN));
    let writer = open(&world, OpenFlags::WRITE_ONLY).unwrap();
    assert_eq!((reader.opened(), writer.opened()), (Ok(()), Ok(())));
    put(&writer, b"through").unwrap();
    assert_eq!(get(&reader, 10).unwrap(), b"through");
    drop((reader, writer));
    let writer = open(&world, OpenFlags::WRITE_ONLY).unwrap();
    assert_eq!(writer.opened(), Err(Errno::EAGAIN));
    drop(open(&world, NON_BLOCKING).unwrap());
    assert_eq!(writer.opened(), Ok(()), "a reader was there, if only for a moment");
    let both = open(&world, OpenFlags::READ_WRITE).unwrap();
    assert_eq!(both.opened(), Ok(()));
}

#[test]
fn a_reader_without_writers_sees_the_end_but_no_hang_up() {
    let world = fifo();
    let reader = open(&world, NON_BLOCKING).unwrap();
    assert_eq!(get(&reader, 1).unwrap(), b"");
    assert_eq!(reader.poll(), Events::empty(), "nobody has ever written");
    drop(open(&world, NON_BLOCKING | OpenFlags::WRITE_ONLY).unwrap());
    assert_eq!(reader.poll(), Events::HUP);
}

#[test]
fn what_is_in_a_fifo_goes_with_its_last_user() {
    let world = fifo();
    let both = open(&world, OpenFlags::READ_WRITE).unwrap();
    put(&both, b"lost").unwrap();
    drop(both);
    let reader = open(&world, NON_BLOCKING).unwrap();
    assert_eq!(get(&reader, 10).unwrap(), b"");
}
