//! The kernel's symbol table, written into its image for backtraces.
//!
//! The kernel reserves the last segment for it (section `.ksyms`); the format is described where
//! it is read, in `framework/src/symbols.rs`. The image that is written has nothing but its
//! segments: what a debugger needs stays in the file that the linker made.

use anyhow::{Context, Result, bail, ensure};
use elf::{ElfBytes, abi, endian::LittleEndian, file::Class, segment::ProgramHeader};
use std::{fs, path::Path};

type Elf<'a> = ElfBytes<'a, LittleEndian>;

/// The segment that is replaced.
const SECTION: &str = ".ksyms";

const HEADER: usize = 24;
const BLOCK: usize = 16;
const LONGEST_NAME: usize = 255;

const PAGE: usize = 4096;
const ELF_HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;

/// Writes `from`, an executable for the bare machine, to `to` with its symbol table in place.
///
/// # Errors
/// The files, or an executable without symbols or without a segment for them.
pub fn install(from: &Path, to: &Path) -> Result<()> {
    let bytes = fs::read(from).with_context(|| format!("reading {}", from.display()))?;
    let image = image(&bytes).with_context(|| format!("{}", from.display()))?;
    fs::write(to, image).with_context(|| format!("writing {}", to.display()))
}

/// The image with the symbol table of the executable `bytes`.
fn image(bytes: &[u8]) -> Result<Vec<u8>> {
    let elf = Elf::minimal_parse(bytes)?;
    ensure!(elf.ehdr.class == Class::ELF64, "not a 64-bit ELF file");
    let section = elf.section_header_by_name(SECTION)?.context("no section for symbols")?;
    let table = encode(&functions(&elf)?)?;
    let segments = elf.segments().context("no segments")?;
    let segments: Vec<ProgramHeader> = segments.iter().collect();
    let mut image = bytes.get(..ELF_HEADER).context("cut off")?.to_vec();
    image[32..40].copy_from_slice(&(ELF_HEADER as u64).to_le_bytes());
    image[40..48].fill(0); // no section headers
    image[58..64].fill(0);
    image.resize(ELF_HEADER + segments.len() * PROGRAM_HEADER, 0);
    let mut moved = vec![];
    for (index, segment) in segments.iter().enumerate().filter(|(_, s)| s.p_type == abi::PT_LOAD) {
        let is_table = segment.p_vaddr == section.sh_addr;
        let contents = if is_table { &table } else { contents(bytes, segment)? };
        let in_page = usize::try_from(segment.p_vaddr)? % PAGE;
        image.resize(image.len().next_multiple_of(PAGE) + in_page, 0);
        let mut new = *segment;
        new.p_offset = image.len() as u64;
        new.p_filesz = contents.len() as u64;
        new.p_memsz = if is_table { new.p_filesz } else { segment.p_memsz };
        image.extend_from_slice(contents);
        put(&mut image, index, &new);
        moved.push((*segment, new));
    }
    // The others (notes) lie in one of those.
    for (index, segment) in segments.iter().enumerate().filter(|(_, s)| s.p_type != abi::PT_LOAD) {
        let inside = |(old, _): &&(ProgramHeader, ProgramHeader)| {
            let end = old.p_offset + old.p_filesz;
            (old.p_offset..=end).contains(&segment.p_offset)
                && segment.p_offset + segment.p_filesz <= end
        };
        let (old, new) = moved.iter().find(inside).context("a segment in no other")?;
        let p_offset = segment.p_offset - old.p_offset + new.p_offset;
        put(&mut image, index, &ProgramHeader { p_offset, ..*segment });
    }
    ensure!(moved.iter().any(|(old, _)| old.p_vaddr == section.sh_addr), "no segment for symbols");
    Ok(image)
}

fn contents<'a>(bytes: &'a [u8], segment: &ProgramHeader) -> Result<&'a [u8]> {
    let start = usize::try_from(segment.p_offset)?;
    let end = start.checked_add(usize::try_from(segment.p_filesz)?);
    end.and_then(|end| bytes.get(start..end)).context("a segment is cut off")
}

/// Writes program header `index`.
fn put(image: &mut [u8], index: usize, header: &ProgramHeader) {
    let at = ELF_HEADER + index * PROGRAM_HEADER;
    let words = [
        u64::from(header.p_flags) << 32 | u64::from(header.p_type),
        header.p_offset,
        header.p_vaddr,
        header.p_paddr,
        header.p_filesz,
        header.p_memsz,
        header.p_align,
    ];
    for (place, word) in image[at..at + PROGRAM_HEADER].chunks_exact_mut(8).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
}

/// The functions and assembly labels of the executable, by ascending address, each address once.
fn functions(elf: &Elf<'_>) -> Result<Vec<(u64, String)>> {
    let sections = elf.section_headers().context("no sections")?;
    let (symbols, names) = elf.symbol_table()?.context("no symbol table: was it stripped?")?;
    let mut functions = vec![];
    for symbol in symbols.iter() {
        let is_code = [abi::STT_FUNC, abi::STT_NOTYPE].contains(&symbol.st_symtype())
            && sections
                .get(symbol.st_shndx.into())
                .is_ok_and(|section| section.sh_flags & u64::from(abi::SHF_EXECINSTR) != 0);
        let name = names.get(usize::try_from(symbol.st_name)?)?;
        if is_code && !name.is_empty() {
            let is_label = symbol.st_symtype() == abi::STT_NOTYPE;
            functions.push((symbol.st_value, is_label, demangle(name)));
        }
    }
    if functions.is_empty() {
        bail!("no functions");
    }
    // The boot code lies apart, below: what the table's offsets can reach is what counts.
    let high = functions.iter().map(|function| function.0).max().unwrap_or(0);
    functions.retain(|function| high - function.0 < u64::from(u32::MAX));
    functions.sort();
    functions.dedup_by_key(|function| function.0);
    Ok(functions.into_iter().map(|(address, _, name)| (address, name)).collect())
}

/// The name as in the source, without the compiler's hash; ASCII, at most 255 bytes.
fn demangle(name: &str) -> String {
    let name = format!("{:#}", rustc_demangle::demangle(name));
    let ascii = name.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' });
    ascii.take(LONGEST_NAME).collect()
}

/// Makes the table; the functions are sorted by address.
fn encode(functions: &[(u64, String)]) -> Result<Vec<u8>> {
    let base = functions.first().context("no functions")?.0;
    let blocks = functions.chunks(BLOCK);
    let mut index = vec![];
    let mut data = vec![];
    let start = HEADER + 8 * blocks.len();
    for block in blocks {
        index.extend(u32::try_from(block[0].0 - base)?.to_le_bytes());
        index.extend(u32::try_from(start + data.len())?.to_le_bytes());
        let (mut address, mut before) = (block[0].0, "");
        for (next, name) in block {
            leb128(&mut data, next - address);
            let shared = name.bytes().zip(before.bytes()).take_while(|(a, b)| a == b).count();
            data.push(u8::try_from(shared)?);
            data.push(u8::try_from(name.len() - shared)?);
            data.extend_from_slice(&name.as_bytes()[shared..]);
            (address, before) = (*next, name);
        }
    }
    let mut table = b"KSYM".to_vec();
    table.extend(u32::try_from(start + data.len())?.to_le_bytes());
    table.extend(u32::try_from(functions.len())?.to_le_bytes());
    table.extend(u32::try_from(index.len() / 8)?.to_le_bytes());
    table.extend(base.to_le_bytes());
    table.extend(index);
    table.extend(data);
    Ok(table)
}

/// Appends a number, seven bits a byte, the lowest first.
fn leb128(data: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        data.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    data.push(value.to_le_bytes()[0]);
}

/// The kernel's side, to test against.
#[cfg(test)]
#[path = "../../framework/src/symbols.rs"]
mod reader;

#[cfg(test)]
mod tests {
    use super::*;

    fn find(table: &[u8], at: u64) -> Option<(String, u64)> {
        let (name, offset) = reader::Symbols::new(table)?.find(at)?;
        Some((name.as_str().to_owned(), offset))
    }

    #[test]
    fn the_kernel_finds_what_is_written() {
        let base = 0xffff_ffff_8010_0000;
        let name = |n: u64| {
            format!("kernel::{}::function_{n}", if n.is_multiple_of(3) { "fs" } else { "net" })
        };
        let functions: Vec<_> = (0..1000).map(|n| (base + n * n, name(n))).collect();
        let table = encode(&functions).unwrap();
        assert_eq!(find(&table, base - 1), None);
        for n in 0..999 {
            assert_eq!(find(&table, base + n * n), Some((name(n), 0)));
            let last = (n + 1) * (n + 1) - 1;
            assert_eq!(find(&table, base + last), Some((name(n), 2 * n)));
        }
        assert!(table.len() < 1000 * 20, "{} bytes", table.len());
    }

    #[test]
    fn names_are_those_of_the_source() {
        assert_eq!(demangle("_ZN6kernel4main17h0123456789abcdefE"), "kernel::main");
        assert_eq!(demangle("trap_stubs"), "trap_stubs");
        assert_eq!(demangle("\u{e4}").len(), 1);
        assert_eq!(demangle(&"x".repeat(300)).len(), LONGEST_NAME);
    }

    #[test]
    fn what_is_no_kernel_is_refused() {
        assert!(image(b"").is_err());
        assert!(image(&[0; 100]).is_err());
        let own = fs::read("/proc/self/exe").unwrap();
        assert!(image(&own).is_err());
    }
}
