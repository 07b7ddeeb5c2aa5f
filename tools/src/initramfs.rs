//! The initial RAM disk: busybox, one link per applet, and the few files that make it a system.
//!
//! Written as cpio "newc". Files come from `tools/root`, busybox from the host.

use anyhow::{Context, Result, bail};
use cpio::newc::{Builder, trailer};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A regular file's type bits, and so on, as in `st_mode`.
const FILE: u32 = 0o100_000;
const DIRECTORY: u32 = 0o040_000;
const LINK: u32 = 0o120_000;
const CHARACTER_DEVICE: u32 = 0o020_000;

/// The directories of an empty system.
const DIRECTORIES: &[(&str, u32)] = &[
    ("bin", 0o755),
    ("dev", 0o755),
    ("etc", 0o755),
    ("mnt", 0o755),
    ("proc", 0o555),
    ("root", 0o700),
    ("run", 0o755),
    ("sbin", 0o755),
    ("sys", 0o555),
    ("tmp", 0o1777),
    ("usr", 0o755),
    ("usr/bin", 0o755),
    ("usr/sbin", 0o755),
    ("var", 0o755),
];

/// The files of `tools/root`.
const FILES: &[(&str, u32, &str)] = &[
    ("etc/group", 0o644, include_str!("../root/etc/group")),
    ("etc/hostname", 0o644, include_str!("../root/etc/hostname")),
    ("etc/hosts", 0o644, include_str!("../root/etc/hosts")),
    ("etc/inittab", 0o644, include_str!("../root/etc/inittab")),
    ("etc/passwd", 0o644, include_str!("../root/etc/passwd")),
    ("etc/profile", 0o644, include_str!("../root/etc/profile")),
    ("etc/rcS", 0o755, include_str!("../root/etc/rcS")),
    ("etc/session", 0o755, include_str!("../root/etc/session")),
];

/// What one path of the image is.
#[derive(Clone, Debug)]
struct Node {
    mode: u32,
    data: Vec<u8>,
    device: (u32, u32),
}

/// An image being put together; paths have no leading slash, and a later file replaces an earlier.
#[derive(Clone, Debug, Default)]
pub struct Initramfs {
    nodes: BTreeMap<String, Node>,
}

impl Initramfs {
    /// A system with busybox and a shell on the console.
    ///
    /// # Errors
    /// There is no statically linked busybox.
    pub fn with_busybox(busybox: Option<&Path>) -> Result<Self> {
        let busybox = busybox.map_or_else(find_busybox, |path| Ok(path.to_owned()))?;
        let mut image = Self::default();
        for (path, mode) in DIRECTORIES {
            image.insert(path, DIRECTORY | mode, vec![]);
        }
        for (path, mode, text) in FILES {
            image.insert(path, FILE | mode, text.as_bytes().to_vec());
        }
        // The kernel opens it for init before anything is mounted on /dev.
        let console = Node { mode: CHARACTER_DEVICE | 0o600, data: vec![], device: (5, 1) };
        image.nodes.insert("dev/console".into(), console);
        for applet in applets(&busybox)? {
            image.insert(&applet, LINK | 0o777, b"/bin/busybox".to_vec());
        }
        let program =
            fs::read(&busybox).with_context(|| format!("reading {}", busybox.display()))?;
        image.insert("bin/busybox", FILE | 0o755, program);
        image.insert("init", LINK | 0o777, b"/bin/busybox".to_vec());
        Ok(image)
    }

    /// Adds a regular file, and the directories above it.
    pub fn file(&mut self, path: &str, mode: u32, data: Vec<u8>) {
        self.insert(path.trim_start_matches('/'), FILE | (mode & 0o7777), data);
    }

    /// Adds a directory.
    pub fn directory(&mut self, path: &str, mode: u32) {
        self.insert(path, DIRECTORY | (mode & 0o7777), vec![]);
    }

    /// Adds a script.
    pub fn program(&mut self, path: &str, text: &str) {
        self.file(path, 0o755, text.as_bytes().to_vec());
    }

    /// Adds a file of the host as `HOST:GUEST[:MODE]` says; the mode is octal, by default 755 or
    /// 644 as the host's file is executable or not.
    ///
    /// # Errors
    /// The argument has another form, or the host's file cannot be read.
    pub fn host_file(&mut self, argument: &str) -> Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let mut parts = argument.splitn(3, ':');
        let (Some(host), Some(guest)) = (parts.next(), parts.next()) else {
            bail!("--file takes HOST:GUEST or HOST:GUEST:MODE, not {argument:?}");
        };
        let data = fs::read(host).with_context(|| format!("reading {host}"))?;
        let mode = match parts.next() {
            Some(text) => u32::from_str_radix(text, 8)
                .with_context(|| format!("{text:?} in {argument:?} is not an octal mode"))?,
            None if fs::metadata(host)?.permissions().mode() & 0o111 != 0 => 0o755,
            None => 0o644,
        };
        self.file(guest, mode, data);
        Ok(())
    }

    /// The image's bytes.
    ///
    /// # Errors
    /// A file is too large for the format (4 GiB).
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut out = vec![];
        for (inode, (path, node)) in (1..).zip(&self.nodes) {
            let size = u32::try_from(node.data.len())
                .with_context(|| format!("{path} is too large for a cpio archive"))?;
            let links = if node.mode & DIRECTORY == DIRECTORY { 2 } else { 1 };
            let mut writer = Builder::new(path)
                .ino(inode)
                .mode(node.mode)
                .nlink(links)
                .rdev_major(node.device.0)
                .rdev_minor(node.device.1)
                .write(&mut out, size);
            std::io::Write::write_all(&mut writer, &node.data)?;
            writer.finish()?;
        }
        trailer(&mut out)?;
        Ok(out)
    }

    fn insert(&mut self, path: &str, mode: u32, data: Vec<u8>) {
        for (slash, _) in path.match_indices('/') {
            let directory = Node { mode: DIRECTORY | 0o755, data: vec![], device: (0, 0) };
            self.nodes.entry(path[..slash].into()).or_insert(directory);
        }
        self.nodes.insert(path.into(), Node { mode, data, device: (0, 0) });
    }
}

/// Every path that busybox wants to be called by, without the leading slash.
pub(crate) fn applets(busybox: &Path) -> Result<Vec<String>> {
    let output = Command::new(busybox)
        .arg("--list-full")
        .output()
        .with_context(|| format!("running {} --list-full", busybox.display()))?;
    let list = String::from_utf8(output.stdout).context("the list of applets is no text")?;
    if !list.lines().any(|line| line.ends_with("/sh")) {
        bail!("{} is not a busybox with a shell", busybox.display());
    }
    Ok(list.lines().map(|line| line.trim_start_matches('/').to_owned()).collect())
}

/// The first statically linked busybox on `PATH`.
pub fn find_busybox() -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/bin"), PathBuf::from("/usr/bin")])
        .map(|directory| directory.join("busybox"))
        .find(|file| fs::read(file).is_ok_and(|image| is_static(&image)))
        .context(
            "no statically linked busybox found; install busybox-static or pass --busybox PATH",
        )
}

/// An ELF file names its dynamic loader (`PT_INTERP`) in a program header; a static one does not.
fn is_static(image: &[u8]) -> bool {
    let field = |at: usize, len: usize| -> Option<usize> {
        let bytes = image.get(at..at.checked_add(len)?)?;
        let number = bytes.iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        usize::try_from(number).ok()
    };
    let headers = || Some((field(32, 8)?, field(54, 2)?, field(56, 2)?));
    image.starts_with(b"\x7fELF\x02")
        && headers().is_some_and(|(start, size, count)| {
            (0..count).all(|index| field(start + index * size, 4).is_some_and(|kind| kind != 3))
        })
}

#[cfg(test)]
mod tests {
    use super::{Initramfs, is_static};
    use cpio::newc::Reader;
    use std::io::Read;

    #[test]
    fn an_image_reads_back() {
        let mut image = Initramfs::default();
        image.file("/a/b/hello", 0o4755, b"hello".to_vec());
        image.file("a/empty", 0o600, vec![]);
        let bytes = image.to_bytes().expect("small files");
        let mut rest = bytes.as_slice();
        let mut seen = vec![];
        loop {
            let mut reader = Reader::new(rest).expect("a valid entry");
            if reader.entry().is_trailer() {
                break;
            }
            let mut data = String::new();
            reader.read_to_string(&mut data).expect("in memory");
            seen.push((reader.entry().name().to_owned(), reader.entry().mode(), data));
            rest = reader.finish().expect("in memory");
        }
        let entry = |name: &str, mode, data: &str| (name.to_owned(), mode, data.to_owned());
        assert_eq!(
            seen,
            [
                entry("a", 0o040_755, ""),
                entry("a/b", 0o040_755, ""),
                entry("a/b/hello", 0o104_755, "hello"),
                entry("a/empty", 0o100_600, ""),
            ]
        );
    }

    #[test]
    fn only_a_64_bit_elf_file_can_be_static() {
        assert!(!is_static(b"#!/bin/sh\n"));
        assert!(!is_static(b"\x7fELF\x02"), "headers are missing");
        let this = std::fs::read("/proc/self/exe").expect("this test");
        assert!(!is_static(&this), "a Rust program for glibc names its loader");
    }
}
