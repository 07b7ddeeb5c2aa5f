//! The PVH boot loader's structures, read without trust: a bad one costs memory or options, never
//! the boot.
//!
//! Source: Xen's public/arch-x86/hvm/start_info.h

use crate::memory_map::MemoryMap;

const MAGIC: u32 = 0x336e_c578;
/// More entries than any firmware has.
const MAX_ENTRIES: u32 = 512;
const USABLE: u32 = 1;
/// The first MiB holds the loader's structures, firmware tables and the start code of other CPUs.
const LOW_MEMORY: u64 = 1 << 20;

/// The longest command line that is kept.
pub(crate) const MAX_CMDLINE: usize = 4096;

/// What the loader said, copied.
#[derive(Debug)]
pub(crate) struct StartInfo {
    /// Free memory: without the first MiB and the first module.
    pub(crate) memory: MemoryMap,
    /// One past the highest address of memory, the module's included.
    pub(crate) memory_end: u64,
    /// Start and length of the first module.
    pub(crate) initrd: Option<(u64, u64)>,
    /// The firmware's ACPI root pointer; 0 if there is none.
    pub(crate) rsdp: u64,
    cmdline: [u8; MAX_CMDLINE],
    cmdline_len: usize,
}

impl StartInfo {
    /// The command line without its NUL.
    pub(crate) fn cmdline(&self) -> &[u8] {
        &self.cmdline[..self.cmdline_len]
    }

    /// Reads the structure at `at`. `read` fills a buffer from a physical address, or says no.
    pub(crate) fn parse(at: u64, read: &dyn Fn(u64, &mut [u8]) -> bool) -> Self {
        let memory = Reader { read };
        let mut info = Self {
            memory: MemoryMap::new(),
            memory_end: 0,
            initrd: None,
            rsdp: 0,
            cmdline: [0; MAX_CMDLINE],
            cmdline_len: 0,
        };
        if memory.u32(at) != Some(MAGIC) {
            return info;
        }
        let version = memory.u32(at.saturating_add(4)).unwrap_or(0);
        info.read_modules(&memory, at);
        info.read_cmdline(&memory, memory.u64(at.saturating_add(24)).unwrap_or(0));
        info.rsdp = memory.u64(at.saturating_add(32)).unwrap_or(0);
        if version >= 1 {
            let map = memory.u64(at.saturating_add(40)).unwrap_or(0);
            let count = memory.u32(at.saturating_add(48)).unwrap_or(0);
            info.read_memory_map(&memory, map, count);
        } else {
            info.initrd = None;
        }
        info
    }

    fn read_modules(&mut self, memory: &Reader<'_>, at: u64) {
        let count = memory.u32(at.saturating_add(12)).unwrap_or(0);
        let list = memory.u64(at.saturating_add(16)).unwrap_or(0);
        if count == 0 || list == 0 {
            return;
        }
        let start = memory.u64(list);
        let len = memory.u64(list.saturating_add(8));
        self.initrd = start.zip(len).filter(|(start, len)| {
            *start != 0 && *len != 0 && start.checked_add(*len).is_some_and(|end| end < 1 << 52)
        });
    }

    fn read_cmdline(&mut self, memory: &Reader<'_>, at: u64) {
        if at == 0 {
            return;
        }
        while self.cmdline_len < MAX_CMDLINE {
            let mut byte = [0];
            let there = (memory.read)(at.saturating_add(self.cmdline_len as u64), &mut byte);
            if !there || byte == [0] {
                return;
            }
            self.cmdline[self.cmdline_len] = byte[0];
            self.cmdline_len += 1;
        }
    }

    /// Usable entries first, then the others on top: what is reserved by any entry is not used.
    fn read_memory_map(&mut self, memory: &Reader<'_>, at: u64, count: u32) {
        for wants_usable in [true, false] {
            for index in 0..count.min(MAX_ENTRIES) {
                let entry = at.saturating_add(u64::from(index) * 24);
                let start = memory.u64(entry);
                let len = memory.u64(entry.saturating_add(8));
                let kind = memory.u32(entry.saturating_add(16));
                let (Some(start), Some(len), Some(kind)) = (start, len, kind) else { break };
                match (wants_usable, kind == USABLE) {
                    (true, true) => self.memory.add(start, len),
                    (false, false) => self.memory.reserve(start, len),
                    _ => {}
                }
            }
        }
        self.memory.reserve(0, LOW_MEMORY);
        // A frame's number has 32 bits.
        self.memory.reserve(1 << 44, u64::MAX - (1 << 44));
        self.memory_end = self.memory.end();
        self.initrd = self.initrd.filter(|(start, len)| self.memory.contains(*start, *len));
        if let Some((start, len)) = self.initrd {
            self.memory.reserve(start, len);
        }
    }
}

struct Reader<'a> {
    read: &'a dyn Fn(u64, &mut [u8]) -> bool,
}

impl Reader<'_> {
    fn u32(&self, at: u64) -> Option<u32> {
        let mut bytes = [0; 4];
        (self.read)(at, &mut bytes).then(|| u32::from_le_bytes(bytes))
    }

    fn u64(&self, at: u64) -> Option<u64> {
        let mut bytes = [0; 8];
        (self.read)(at, &mut bytes).then(|| u64::from_le_bytes(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, proptest};

    fn parse(image: &[u8], at: u64) -> StartInfo {
        StartInfo::parse(at, &|from, to| {
            let Ok(from) = usize::try_from(from) else { return false };
            match from.checked_add(to.len()).and_then(|end| image.get(from..end)) {
                Some(bytes) => {
                    to.copy_from_slice(bytes);
                    true
                }
                None => false,
            }
        })
    }

    fn image(words: &[u64], cmdline: &[u8]) -> Vec<u8> {
        let mut image = vec![0; 0x100];
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        image[..bytes.len()].copy_from_slice(&bytes);
        image.extend_from_slice(cmdline);
        image
    }

    #[test]
    fn a_good_structure_is_read() {
        let words = [
            u64::from(MAGIC) | 1 << 32,
            1 << 32,
            0x40,
            0x100,
            0xf_5000,
            0x60,
            2,
            0,
            0x1ff0_0000, // module
            0x1234,
            0,
            0,
            0x10_0000, // usable memory, above 1 MiB
            0x1ff0_0000,
            1,
            0,
            0x9_f000,
            2,
        ];
        let info = parse(&image(&words, b"root=/dev/vda\0"), 0);
        assert_eq!(info.cmdline(), b"root=/dev/vda");
        assert_eq!(info.initrd, Some((0x1ff0_0000, 0x1234)));
        assert_eq!(info.rsdp, 0xf_5000);
        assert_eq!(info.memory_end, 0x2000_0000);
        let ranges: Vec<_> = info.memory.ranges().iter().map(|r| (r.start, r.end)).collect();
        assert_eq!(ranges, [(0x10_0000, 0x1ff0_0000), (0x1ff0_2000, 0x2000_0000)]);
    }

    #[test]
    fn a_wrong_magic_is_nothing() {
        let info = parse(&image(&[1], b""), 0);
        assert!(info.memory.ranges().is_empty() && info.initrd.is_none());
    }

    proptest! {
        #[test]
        fn garbage_never_panics(
            mut image in proptest::collection::vec(any::<u8>(), 64..600),
            small in any::<bool>(),
            at in 0..700u64,
        ) {
            image[..4].copy_from_slice(&MAGIC.to_le_bytes());
            if small {
                // Pointers into the image, so that the rest is read too.
                for word in image.chunks_exact_mut(8).skip(1) {
                    word[2..].fill(0);
                    word[1] &= 1;
                }
            }
            parse(&image, 0);
            parse(&image, at);
        }
    }
}
