//! Archives are built here, byte by byte, and unpacked to a tmpfs.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the numbers are small"
)]

use super::{Cause, Error, unpack};
use crate::{
    DeviceNumber, Errno, Kind, LookupFlags, Role,
    ramfs::Options,
    testing::{World, root_caller},
};
use proptest::{collection, prelude::*};
use std::collections::BTreeMap;

/// An archive in the making.
#[derive(Default)]
struct Archive(Vec<u8>);

#[derive(Clone, Copy)]
struct Fields {
    inode: u32,
    mode: u32,
    links: u32,
    special: (u32, u32),
}

impl Archive {
    fn pad(&mut self) {
        while !self.0.len().is_multiple_of(4) {
            self.0.push(0);
        }
    }

    fn entry(mut self, name: &str, fields: Fields, data: &[u8]) -> Self {
        let Fields { inode, mode, links, special } = fields;
        let numbers = [
            inode,
            mode,
            5,
            6,
            links,
            1234,
            data.len() as u32,
            8,
            1,
            special.0,
            special.1,
            name.len() as u32 + 1,
            0,
        ];
        self.0.extend(b"070701");
        for number in numbers {
            self.0.extend(format!("{number:08X}").bytes());
        }
        self.0.extend(name.bytes());
        self.0.push(0);
        self.pad();
        self.0.extend(data);
        self.pad();
        self
    }

    fn file(self, name: &str, data: &[u8]) -> Self {
        self.entry(name, Fields { inode: 1, mode: 0o100_640, links: 1, special: (0, 0) }, data)
    }

    fn directory(self, name: &str) -> Self {
        self.entry(name, Fields { inode: 1, mode: 0o040_755, links: 2, special: (0, 0) }, b"")
    }

    fn finish(self) -> Vec<u8> {
        let fields = Fields { inode: 0, mode: 0, links: 1, special: (0, 0) };
        self.entry("TRAILER!!!", fields, b"").0
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut crc = !0u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 != 0 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    // With a file name in the header, as gzip(1) writes it.
    let mut out = b"\x1f\x8b\x08\x08\0\0\0\0\0\x03initrd\0".to_vec();
    out.extend(miniz_oxide::deflate::compress_to_vec(bytes, 6));
    out.extend((!crc).to_le_bytes());
    out.extend((bytes.len() as u32).to_le_bytes());
    out
}

fn load(image: &[u8]) -> (World, Result<super::Unpacked, Error>) {
    let world = World::new();
    let result = unpack(image, &world.root, &root_caller());
    (world, result)
}

#[test]
fn every_kind_of_file_is_made() {
    let device = Fields { inode: 3, mode: 0o020_666, links: 1, special: (1, 3) };
    let link = Fields { inode: 4, mode: 0o120_777, links: 1, special: (0, 0) };
    let fifo = Fields { inode: 5, mode: 0o010_600, links: 1, special: (0, 0) };
    let image = Archive::default()
        .directory(".")
        .directory("dir")
        .file("dir/file", b"hello")
        .file("./empty", b"")
        .entry("dev/null", device, b"")
        .entry("link", link, b"dir/file")
        .entry("fifo", fifo, b"")
        .finish();
    let (world, result) = load(&image);
    assert_eq!(result.unwrap().entries, 7);
    assert_eq!(world.read("/link"), b"hello");
    let metadata = world.lookup("/dir/file").unwrap().metadata().unwrap();
    assert_eq!((metadata.mode, metadata.uid, metadata.gid), (0o640, 5, 6));
    assert_eq!(metadata.times.modified.seconds, 1234);
    let directory = world.lookup("/dir").unwrap().metadata().unwrap();
    assert_eq!(directory.times.modified.seconds, 1234);
    let null = world.lookup("/dev/null").unwrap();
    assert!(matches!(null.inode().unwrap().role(),
        Role::Device(number) if *number == DeviceNumber::new(1, 3)));
    assert_eq!(null.metadata().unwrap().mode, 0o666);
    assert_eq!(world.lookup("/fifo").unwrap().inode().unwrap().kind(), Kind::Fifo);
    assert_eq!(world.read("/empty"), b"");
}

#[test]
fn names_of_one_file_are_links() {
    let names = Fields { inode: 77, mode: 0o100_755, links: 3, special: (0, 0) };
    let image = Archive::default()
        .entry("a", names, b"")
        .entry("b", names, b"")
        .entry("c", names, b"shared")
        .finish();
    let (world, result) = load(&image);
    result.unwrap();
    assert_eq!(world.read("/a"), b"shared");
    assert_eq!(world.number("/a"), world.number("/c"));
    assert_eq!(world.lookup("/b").unwrap().inode().unwrap().links(), 3);
}

#[test]
fn archives_follow_each_other_plain_and_packed() {
    let mut image = Archive::default().file("one", b"1").file("both", b"old").finish();
    image.extend([0; 512]);
    let mut packed = Archive::default().directory("d").file("both", b"new!").finish();
    packed.extend([0; 200]);
    packed.extend(Archive::default().file("d/two", b"2").finish());
    packed.extend([0; 77]);
    image.extend(gzip(&packed));
    image.extend([0; 3]);
    image.extend(gzip(&Archive::default().file("three", &[3; 100_000]).finish()));
    let (world, result) = load(&image);
    assert_eq!(result.unwrap().bytes, 1 + 3 + 4 + 1 + 100_000);
    assert_eq!(world.read("/both"), b"new!");
    assert_eq!(world.read("/d/two"), b"2");
    assert_eq!(world.read("/three"), [3; 100_000]);
}

#[test]
fn errors_name_the_cause_and_the_place() {
    let good = Archive::default().file("first", b"abc").finish();
    let second = 110 + 6 + 4;
    let mut bad = good.clone();
    bad[second] = b'9';
    let error = |cause, offset| Error { cause, offset, member: None };
    assert_eq!(load(&bad).1, Err(error(Cause::BadMagic, second as u64)));
    let mut bad = good.clone();
    bad[20] = b'x';
    assert_eq!(load(&bad).1, Err(error(Cause::BadNumber, 0)));
    assert_eq!(load(&good[..130]).1, Err(error(Cause::Truncated, 130)));
    assert_eq!(load(b"\0\0\0\0BZh9").1, Err(error(Cause::UnknownFormat, 4)));
    let mut packed = gzip(&good);
    let end = packed.len();
    packed[end - 6] ^= 1;
    assert_eq!(load(&packed).1.unwrap_err().cause, Cause::BadGzipChecksum);
    assert_eq!(load(&packed[..end - 20]).1.unwrap_err().cause, Cause::Truncated);
    assert_eq!(load(&packed[..4]).1, Err(error(Cause::BadGzipHeader, 0)));
    let inner = load(&gzip(&bad)).1.unwrap_err();
    assert_eq!(
        inner.to_string(),
        "a field of the cpio header is not a hexadecimal number at byte 0 of the gzip member at byte 0"
    );
    let mut sum = Archive::default().file("f", b"ab").finish();
    sum[5] = b'2';
    assert_eq!(load(&sum).1.unwrap_err().cause, Cause::BadChecksum);
    sum[109 - 1..110].copy_from_slice(b"C3");
    assert!(load(&sum).1.is_ok());
}

#[test]
fn a_full_file_system_is_an_error() {
    let world = World::with(Options { pages: Some(4), ..Options::default() });
    let image = gzip(&Archive::default().file("big", &[1; 1 << 20]).finish());
    let error = unpack(&image, &world.root, &root_caller()).unwrap_err();
    assert_eq!(error.cause, Cause::File(Errno::ENOSPC));
}

#[test]
fn what_is_there_is_replaced() {
    let link = Fields { inode: 4, mode: 0o120_777, links: 1, special: (0, 0) };
    let image = Archive::default()
        .file("target", b"keep")
        .entry("x", link, b"target")
        .file("x", b"plain")
        .directory("d")
        .directory("d")
        .finish();
    let (world, result) = load(&image);
    result.unwrap();
    assert_eq!(world.read("/target"), b"keep");
    assert_eq!(world.read("/x"), b"plain");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_tree_survives(
        files in collection::btree_map("[a-c]{1,2}(/[d-f]{1,2}){0,2}/[x-z]", collection::vec(any::<u8>(), 0..9000), 0..12),
        packed: bool,
    ) {
        let archive = files.iter().fold(Archive::default(), |archive, (name, data)| archive.file(name, data));
        let image = archive.finish();
        let (world, result) = load(&if packed { gzip(&image) } else { image });
        prop_assert_eq!(result.unwrap().entries, files.len() as u64);
        for (name, data) in &files {
            prop_assert_eq!(&world.read(&format!("/{name}")), data);
        }
    }

    #[test]
    fn corruption_is_an_error_or_harmless_but_never_a_panic(
        changes in collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
        packed: bool,
    ) {
        let image = Archive::default().directory("d").file("d/f", &[7; 300]).file("g", b"x").finish();
        let mut image = if packed { gzip(&image) } else { image };
        for (index, byte) in changes {
            let at = index.index(image.len());
            image[at] = byte;
        }
        let (_, result) = load(&image);
        if let Err(error) = result {
            prop_assert!(!error.to_string().is_empty());
        }
    }

    #[test]
    fn every_cut_is_noticed(cut: prop::sample::Index, packed: bool) {
        let image = Archive::default().directory("d").file("d/f", &[7; 300]).finish();
        let image = if packed { gzip(&image) } else { image };
        let cut = cut.index(image.len() - 4) + 1;
        prop_assume!(packed || cut < image.len() - 4);
        let (_, result) = load(&image[..cut]);
        let cause = result.unwrap_err().cause;
        prop_assert!(matches!(cause, Cause::Truncated | Cause::BadGzipHeader | Cause::UnknownFormat));
    }

    #[test]
    fn noise_never_panics(noise in collection::vec(any::<u8>(), 0..2000)) {
        let _ = load(&noise).1;
        let mut packed = b"\x1f\x8b\x08\0\0\0\0\0\0\0".to_vec();
        packed.extend(&noise);
        let _ = load(&packed).1;
        let archive = Archive::default().file("f", &noise).finish();
        let _ = load(&[&archive[..], &noise[..]].concat()).1;
    }
}

#[test]
fn names_stay_below_the_root() {
    let world = World::new();
    world.mkdir("/jail");
    let jail = world.lookup("/jail").unwrap();
    let image = Archive::default().file("../../escaped", b"x").file("/abs", b"y").finish();
    unpack(&image, &jail, &root_caller()).unwrap();
    let names: BTreeMap<_, _> = world.names("/jail").into_iter().map(|name| (name, ())).collect();
    assert!(names.contains_key("escaped") && names.contains_key("abs"));
    let caller = root_caller();
    let flags = LookupFlags::empty();
    assert!(world.walk(&caller).resolve(&world.root, b"/escaped", flags).is_err());
}
