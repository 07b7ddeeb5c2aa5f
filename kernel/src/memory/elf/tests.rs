//! Reads good, bad and mutated files.

use super::{FileHeader, HEADER_SIZE, Image, ProgramHeader};
use abi::{Errno, Result};
use proptest::prelude::{any, prop};
use zerocopy::{FromZeros, IntoBytes};

/// A position-independent program: code, data with bss, and an interpreter.
fn file() -> Vec<u8> {
    let mut header = FileHeader::new_zeroed();
    header.magic = *b"\x7fELF";
    header.class = 2;
    header.data = 1;
    header.kind = 3.into();
    header.machine = 62.into();
    header.entry = 0x1040.into();
    header.program_headers = 64.into();
    header.program_header_size = 56.into();
    header.program_header_count = 4.into();
    let segment = |kind: u32, flags: u32, offset: u64, address: u64, sizes: (u64, u64)| {
        let mut header = ProgramHeader::new_zeroed();
        header.kind = kind.into();
        header.flags = flags.into();
        header.offset = offset.into();
        header.address = address.into();
        header.file_size = sizes.0.into();
        header.memory_size = sizes.1.into();
        header.align = 4096.into();
        header
    };
    let headers = [
        segment(1, 5, 0, 0, (0x2000, 0x2000)),
        segment(1, 6, 0x2ff0, 0x3ff0, (0x20, 0x5000)),
        segment(3, 4, 0x200, 0x200, (12, 12)),
        segment(0x6474_e551, 6, 0, 0, (0, 0)),
    ];
    let mut bytes = vec![0; 0x3010];
    bytes[..64].copy_from_slice(header.as_bytes());
    for (index, header) in headers.iter().enumerate() {
        let at = 64 + index * HEADER_SIZE;
        bytes[at..at + HEADER_SIZE].copy_from_slice(header.as_bytes());
    }
    bytes[0x200..0x20c].copy_from_slice(b"/lib/ld.so.1");
    bytes[0x20b] = 0;
    bytes
}

fn read(bytes: &[u8]) -> Result<Image> {
    Image::read(&mut |offset, to| {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let len = to.len().min(bytes.len() - start);
        to[..len].copy_from_slice(&bytes[start..start + len]);
        Ok(len)
    })
}

#[test]
fn reads_a_program() {
    let image = read(&file()).expect("good");
    assert!(image.relocatable && !image.executable_stack);
    assert_eq!(image.entry, 0x1040);
    assert_eq!(image.headers_address, Some(64));
    assert_eq!(image.segments.len(), 2);
    assert_eq!(image.interpreter.as_deref(), Some(&b"/lib/ld.so."[..]));
    assert_eq!(image.extent(), (0, 0x9000));
}

#[test]
fn refuses_what_is_none() {
    assert_eq!(read(b""), Err(Errno::ENOEXEC));
    assert_eq!(read(b"#!/bin/sh\n"), Err(Errno::ENOEXEC));
    for (at, value) in [(4, 1), (5, 2), (16, 1), (18, 3), (54, 32), (56, 0)] {
        let mut bytes = file();
        bytes[at] = value;
        assert_eq!(read(&bytes), Err(Errno::ENOEXEC), "byte {at}");
    }
    let mut cut = file();
    cut.truncate(100);
    assert_eq!(read(&cut), Err(Errno::ENOEXEC));
    let mut wild = file();
    // The first segment's memory size.
    wild[64 + 40..64 + 48].fill(0xff);
    assert_eq!(read(&wild), Err(Errno::EINVAL));
}

proptest::proptest! {
    /// Whatever the bytes, reading ends with an image within bounds or an error.
    #[test]
    fn mutations_never_panic(
        changes in prop::collection::vec((0_usize..300, any::<u8>()), 1..12),
        length in 0_usize..0x3010,
        cut in any::<bool>(),
    ) {
        let mut bytes = file();
        for (at, value) in changes {
            bytes[at] = value;
        }
        if cut {
            bytes.truncate(length);
        }
        if let Ok(image) = read(&bytes) {
            let (low, high) = image.extent();
            assert!(low <= high && image.align.is_power_of_two());
            assert!(image.segments.len() <= 1170);
            assert!(image.interpreter.is_none_or(|path| path.len() < 4096));
        }
    }
}
