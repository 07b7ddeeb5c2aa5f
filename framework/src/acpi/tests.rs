//! Tables as QEMU makes them are understood; garbage is survived.

use super::*;
use proptest::{collection::vec, prelude::any, prop_assert, proptest, sample::Index};

/// Memory from address 0 on.
struct Image(Vec<u8>);

impl Memory for Image {
    fn bytes(&self, at: u64, len: usize) -> Option<&[u8]> {
        let at = usize::try_from(at).ok()?;
        self.0.get(at..at.checked_add(len)?)
    }
}

const RSDP: usize = 0x100;
const TABLES: usize = 0x1000;

fn put(bytes: &mut [u8], at: usize, value: u64, len: usize) {
    bytes[at..at + len].copy_from_slice(&value.to_le_bytes()[..len]);
}

fn fix_sum(bytes: &mut [u8], at: usize) {
    bytes[at] = 0;
    bytes[at] = 0u8.wrapping_sub(sum(bytes));
}

fn make_table(signature: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut table = vec![0; HEADER];
    table[..4].copy_from_slice(signature);
    table.extend_from_slice(body);
    let len = table.len() as u64;
    put(&mut table, 4, len, 4);
    fix_sum(&mut table, 9);
    table
}

fn gas(space: u8, address: u64) -> Vec<u8> {
    [&[space, 8, 0, 0][..], &address.to_le_bytes()].concat()
}

/// Puts tables into memory behind an RSDP of revision 0 (RSDT) or 2 (XSDT).
fn image(revision: u8, tables: &[Vec<u8>]) -> Image {
    let mut bytes = vec![0; TABLES];
    let mut root = vec![];
    let width = if revision == 0 { 4 } else { 8 };
    for table in tables {
        root.extend_from_slice(&(bytes.len() as u64).to_le_bytes()[..width]);
        bytes.extend_from_slice(table);
    }
    let at = bytes.len() as u64;
    bytes.extend(make_table(if revision == 0 { b"RSDT" } else { b"XSDT" }, &root));
    let rsdp = &mut bytes[RSDP..RSDP + 36];
    rsdp[..8].copy_from_slice(b"RSD PTR ");
    rsdp[15] = revision;
    put(rsdp, if revision == 0 { 16 } else { 24 }, at, width);
    fix_sum(&mut rsdp[..20], 8);
    put(rsdp, 20, 36, 4);
    fix_sum(rsdp, 32);
    Image(bytes)
}

fn madt_table() -> Vec<u8> {
    let mut body = 0xfee0_0000u64.to_le_bytes().to_vec();
    body.extend([0, 8, 0, 0, 1, 0, 0, 0]);
    body.extend([0, 8, 1, 1, 1, 0, 0, 0]);
    body.extend([0, 8, 2, 2, 0, 0, 0, 0]); // not enabled
    body.extend([1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0]);
    body.extend([1, 12, 1, 0, 0, 0x10, 0xc0, 0xfe, 24, 0, 0, 0]);
    body.extend([2, 10, 0, 0, 2, 0, 0, 0, 0, 0]); // the PIT
    body.extend([2, 10, 0, 9, 9, 0, 0, 0, 0xd, 0]); // SCI: high, level
    body.extend([4, 6, 0xff, 0, 0, 1]);
    body.extend([9, 16, 0, 0, 0x2c, 1, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0]);
    make_table(b"APIC", &body)
}

/// An FADT whose DSDT is the first table.
fn fadt(flags: u64, len: usize) -> Vec<u8> {
    let mut table = vec![0; len];
    put(&mut table, 40, TABLES as u64, 4);
    put(&mut table, 64, 0x604, 4);
    put(&mut table, 76, 0x608, 4);
    table[108] = 0x32;
    put(&mut table, 112, flags, 4);
    table[116..128].copy_from_slice(&gas(1, 0xcf9));
    table[128] = 0xf;
    if len >= 256 {
        table[244..256].copy_from_slice(&gas(0, 0xfea0_0200));
    }
    make_table(b"FACP", &table[HEADER..])
}

fn dsdt() -> Vec<u8> {
    // A mention of the name that is no definition, then Name (\_S5, Package (4) {5, 0, 0, 0}).
    make_table(b"DSDT", b"\x5b\x80_S5_\x12\x06\x04\x08\\_S5_\x12\x07\x04\x0a\x05\x00\x00\x00")
}

fn hpet_table() -> Vec<u8> {
    make_table(b"HPET", &[&[1, 0xa2, 0x86, 0x80][..], &gas(0, 0xfed0_0000), &[0; 4]].concat())
}

fn q35() -> Image {
    let ecam = [&[0; 8][..], &0xb000_0000u64.to_le_bytes(), &[0, 0, 0, 255, 0, 0, 0, 0]].concat();
    let tables =
        [dsdt(), fadt(0x84a5, 244), madt_table(), hpet_table(), make_table(b"MCFG", &ecam)];
    image(0, &tables)
}

#[test]
fn a_pc_is_understood() {
    let platform = read(&q35(), RSDP as u64);
    let madt = platform.madt.unwrap();
    assert_eq!(madt.local_apic, 0xfee0_0000);
    assert_eq!(madt.cpus.as_slice(), [0, 1, 0x12c]);
    let io_apics = [IoApic { at: 0xfec0_0000, first: 0 }, IoApic { at: 0xfec0_1000, first: 24 }];
    assert_eq!(madt.io_apics.as_slice(), io_apics);
    assert_eq!(madt.isa(0), Line { gsi: 2, low: false, level: false });
    assert_eq!(madt.isa(4), Line { gsi: 4, low: false, level: false });
    assert_eq!(madt.isa(9), Line { gsi: 9, low: false, level: true });
    let fixed = platform.fixed.unwrap();
    assert_eq!(fixed.pm_timer, Some(PmTimer { port: 0x608, wide: false }));
    assert_eq!(fixed.pm1, [Some(0x604), None]);
    assert_eq!(fixed.s5, Some([5, 0]));
    assert_eq!(fixed.sleep_control, None);
    assert_eq!(fixed.reset, Some((Register::Port(0xcf9), 0xf)));
    assert_eq!(fixed.century, Some(0x32));
    assert_eq!(platform.hpet, Some(0xfed0_0000));
    assert_eq!(platform.ecam, Some(Ecam { base: 0xb000_0000, buses: (0, 255) }));
}

#[test]
fn a_reduced_machine_is_understood() {
    let platform = read(&image(2, &[dsdt(), fadt(1 << 20 | 1 << 10, 268)]), RSDP as u64);
    let fixed = platform.fixed.unwrap();
    assert_eq!((fixed.pm_timer, fixed.pm1), (None, [None, None]));
    assert_eq!(fixed.sleep_control, Some(Register::Memory(0xfea0_0200)));
    assert_eq!(fixed.s5, Some([5, 0]));
    assert!(platform.madt.is_none());
}

#[test]
fn the_rsdp_is_found_in_the_bios_area() {
    let mut image = q35();
    image.0.resize(0x10_0000, 0);
    let rsdp = image.0[RSDP..RSDP + 36].to_vec();
    image.0[0xf_6780..0xf_6780 + 36].copy_from_slice(&rsdp);
    assert_eq!(read(&image, 0), read(&image, RSDP as u64));
    assert!(read(&image, 0).madt.is_some());
}

#[test]
fn no_tables_and_bad_sums_are_no_platform() {
    assert_eq!(read(&Image(vec![]), 0), Platform::default());
    let mut image = q35();
    image.0[RSDP + 9] ^= 1;
    assert_eq!(read(&image, RSDP as u64), Platform::default());
    let mut image = q35();
    image.0[TABLES] ^= 1; // the DSDT
    assert_eq!(read(&image, RSDP as u64).fixed.unwrap().s5, None);
}

#[test]
fn an_entry_of_length_zero_ends_the_madt() {
    let table = make_table(b"APIC", &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 1, 0, 0, 0]);
    let madt = Madt::parse(&table).unwrap();
    assert!(madt.cpus.is_empty());
}

#[test]
fn more_cpus_than_there_is_room_for_are_left_alone() {
    let mut body = vec![0; 8];
    for id in 0..40 {
        body.extend([0, 8, id, id, 1, 0, 0, 0]);
    }
    let madt = Madt::parse(&make_table(b"APIC", &body)).unwrap();
    assert_eq!(madt.cpus.len(), crate::cpu::MAX_CPUS);
}

/// An MP table at 0x800 behind a pointer in the BIOS.
fn mp_image() -> Image {
    let mut table = vec![0; 44];
    table[..4].copy_from_slice(b"PCMP");
    put(&mut table, 36, 0xfee0_0000, 4);
    for (id, flags) in [(0, 3), (1, 1), (2, 0)] {
        table.extend([0, id, 0x14, flags]);
        table.extend([0; 16]);
    }
    table.extend(b"\x01\x00PCI   \x01\x01ISA   ");
    table.extend([2, 2, 0x11, 1, 0, 0, 0xc0, 0xfe]);
    table.extend([3, 0, 0, 0, 1, 0, 2, 2]); // IRQ 0 to pin 2
    table.extend([3, 0, 0xf, 0, 1, 9, 2, 9]); // IRQ 9: low, level
    table.extend([3, 0, 0, 0, 0, 4, 2, 16]); // of PCI
    table.extend([4, 3, 0, 0, 1, 0, 0xff, 0]);
    let len = table.len() as u64;
    put(&mut table, 4, len, 2);
    fix_sum(&mut table, 7);
    let mut bytes = vec![0; 0x10_0000];
    bytes[0x800..0x800 + table.len()].copy_from_slice(&table);
    let pointer = &mut bytes[0xf_5a50..0xf_5a60];
    pointer[..10].copy_from_slice(b"_MP_\0\x08\0\0\x01\x04");
    fix_sum(pointer, 10);
    Image(bytes)
}

#[test]
fn a_machine_without_acpi_is_understood() {
    let madt = read(&mp_image(), 0).madt.unwrap();
    assert_eq!((madt.local_apic, madt.cpus.as_slice()), (0xfee0_0000, &[0, 1][..]));
    assert_eq!(madt.io_apics.as_slice(), [IoApic { at: 0xfec0_0000, first: 0 }]);
    assert_eq!(madt.isa(0), Line { gsi: 2, low: false, level: false });
    assert_eq!(madt.isa(4), Line { gsi: 4, low: false, level: false });
    assert_eq!(madt.isa(9), Line { gsi: 9, low: true, level: true });
}

proptest! {
    #[test]
    fn a_damaged_mp_table_is_survived(
        damage in vec((6..180usize, any::<u8>()), 1..20), len in 0..300u64,
    ) {
        let mut image = mp_image();
        for (place, value) in damage {
            image.0[0x800 + place] = value;
        }
        let table = &mut image.0[0x800..];
        put(table, 4, len, 2);
        let len = usize::try_from(len).unwrap().max(8);
        fix_sum(&mut table[..len], 7);
        read(&image, 0);
    }

    #[test]
    fn garbage_is_survived(bytes in vec(any::<u8>(), 0..4096), at in any::<u16>()) {
        let mut bytes = bytes;
        let at = usize::from(at) % (bytes.len() + 1);
        if let Some(place) = bytes.get_mut(at..at + 20) {
            place[..8].copy_from_slice(b"RSD PTR ");
            fix_sum(place, 8);
        }
        read(&Image(bytes), at as u64);
    }

    /// Tables with wrong contents but right checksums, so that every parser sees them.
    #[test]
    fn damage_is_survived(
        damage in vec((any::<Index>(), any::<u8>()), 1..40),
        tables in vec(0..5usize, 1..6),
    ) {
        let make = |kind: usize| match kind {
            0 => dsdt(),
            1 => fadt(0x10_84a5, 268),
            2 => madt_table(),
            3 => hpet_table(),
            _ => make_table(b"MCFG", &[0; 24]),
        };
        let mut tables: Vec<_> = tables.into_iter().map(make).collect();
        let count = tables.len();
        for (index, (place, value)) in damage.into_iter().enumerate() {
            let table = &mut tables[index % count];
            let place = place.index(table.len());
            if !(4..8).contains(&place) && place > 3 {
                table[place] = value;
                fix_sum(table, 9);
            }
        }
        let platform = read(&image(2, &tables), RSDP as u64);
        if let Some(madt) = platform.madt {
            prop_assert!(madt.cpus.len() <= crate::cpu::MAX_CPUS);
        }
        if let Some([a, b]) = platform.fixed.and_then(|fixed| fixed.s5) {
            prop_assert!(a < 8 && b < 8);
        }
    }

    #[test]
    fn any_aml_is_survived(aml in vec(any::<u8>(), 0..64)) {
        let mut body = b"\x08_S5_\x12".to_vec();
        body.extend(aml);
        read(&image(2, &[make_table(b"DSDT", &body), fadt(0, 244)]), RSDP as u64);
    }
}
