//! The kernel command line (bootparam(7)).
//!
//! What the kernel knows it takes; the rest is init's, as on Linux: words with `=` go into its
//! environment, others and everything after `--` are its arguments.

use alloc::{string::String, vec::Vec};
use log::LevelFilter;

/// What the command line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    /// `init=`: the first program.
    pub init: Option<String>,
    /// `rdinit=`: the first program of an initial RAM disk.
    pub ramdisk_init: Option<String>,
    /// `root=`: the device of the root file system.
    pub root: Option<String>,
    /// `rootfstype=`.
    pub root_type: Option<String>,
    /// `rootflags=`.
    pub root_flags: Option<String>,
    /// `ro`: the root is mounted read-only.
    pub read_only: bool,
    /// `hostname=`.
    pub hostname: Option<String>,
    /// `loglevel=`, `quiet`, `debug`.
    pub log_level: LevelFilter,
    /// `strace`: a line on the console for each system call.
    pub trace: bool,
    /// Init's arguments, its own name not included.
    pub arguments: Vec<String>,
    /// Init's environment, `NAME=value`.
    pub environment: Vec<String>,
    /// Words `name=value` or `name` that drivers look up (`console=`, `ip=`, ...).
    pub driver_words: Vec<String>,
    /// Words of the kernel's own with a value that means nothing; they change nothing.
    pub malformed: Vec<String>,
}

/// Names that belong to drivers and firmware, not to init.
const DRIVER_NAMES: &[&str] =
    &["console", "earlycon", "earlyprintk", "ip", "nokaslr", "panic", "virtio_mmio.device", "rw"];

impl CommandLine {
    /// Reads a command line; double quotes keep spaces together.
    pub fn parse(text: &str) -> Self {
        let mut line = Self {
            init: None,
            ramdisk_init: None,
            root: None,
            root_type: None,
            root_flags: None,
            read_only: false,
            hostname: None,
            log_level: LevelFilter::Info,
            trace: false,
            arguments: Vec::new(),
            environment: Vec::new(),
            driver_words: Vec::new(),
            malformed: Vec::new(),
        };
        let mut words = split(text).into_iter();
        while let Some(word) = words.next() {
            if word == "--" {
                line.arguments.extend(words);
                break;
            }
            line.take(word);
        }
        line
    }

    fn take(&mut self, word: String) {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(String::from(value))),
            None => (word.as_str(), None),
        };
        match (name, value) {
            ("init" | "rdinit", Some(value)) if value.is_empty() => self.malformed.push(word),
            ("init", Some(value)) => {
                self.init = Some(value);
                // As on Linux: arguments before `init=` were not meant for it.
                self.arguments.clear();
            }
            ("rdinit", Some(value)) => self.ramdisk_init = Some(value),
            ("root", Some(value)) => self.root = Some(value),
            ("rootfstype", Some(value)) => self.root_type = Some(value),
            ("rootflags", Some(value)) => self.root_flags = Some(value),
            ("hostname", Some(value)) => self.hostname = Some(value),
            ("ro", None) => self.read_only = true,
            ("strace", None) => self.trace = true,
            ("quiet", None) => self.log_level = LevelFilter::Warn,
            ("debug", None) => self.log_level = LevelFilter::Debug,
            ("loglevel", Some(value)) => match level(&value) {
                Some(level) => self.log_level = level,
                None => self.malformed.push(word),
            },
            // Module parameters have a dot; Linux ignores those it does not know.
            (name, _) if DRIVER_NAMES.contains(&name) || name.contains('.') => {
                if name == "rw" {
                    self.read_only = false;
                }
                self.driver_words.push(word);
            }
            (_, Some(_)) => self.environment.push(word),
            (_, None) => self.arguments.push(word),
        }
    }
}

/// A console log level of Linux: messages more important than it are shown.
fn level(value: &str) -> Option<LevelFilter> {
    Some(match value.parse().ok()? {
        0_u32 => LevelFilter::Off,
        1..=4 => LevelFilter::Error,
        5 | 6 => LevelFilter::Warn,
        7 => LevelFilter::Info,
        8 => LevelFilter::Debug,
        9.. => LevelFilter::Trace,
    })
}

/// Splits at white space outside of double quotes; the quotes go.
fn split(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let (mut quoted, mut started) = (false, false);
    for character in text.chars() {
        match character {
            '"' => (quoted, started) = (!quoted, true),
            c if c.is_whitespace() && !quoted => {
                if started {
                    words.push(core::mem::take(&mut word));
                }
                started = false;
            }
            c => {
                word.push(c);
                started = true;
            }
        }
    }
    if started {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::CommandLine;
    use log::LevelFilter;

    #[test]
    fn words_go_where_linux_puts_them() {
        let line = CommandLine::parse(
            "console=ttyS0 early init=/bin/sh single FOO=\"a b\" loglevel=8 -- -c \"echo hi\"",
        );
        assert_eq!(line.init.as_deref(), Some("/bin/sh"));
        assert_eq!(line.arguments, ["single", "-c", "echo hi"]);
        assert_eq!(line.environment, ["FOO=a b"]);
        assert_eq!(line.log_level, LevelFilter::Debug);
        assert_eq!(line.driver_words, ["console=ttyS0"]);
    }

    #[test]
    fn values_without_a_meaning_are_kept_apart() {
        let line = CommandLine::parse("quiet loglevel=many init= rdinit= FOO= \"");
        assert_eq!(line.malformed, ["loglevel=many", "init=", "rdinit="]);
        assert_eq!((line.init, line.log_level), (None, LevelFilter::Warn));
        assert_eq!(line.environment, ["FOO="]);
    }

    #[test]
    fn root_and_its_flags() {
        let line = CommandLine::parse("root=/dev/vda rootfstype=ext2 ro quiet hostname=box strace");
        assert!(line.trace && line.arguments.is_empty());
        assert_eq!(line.root.as_deref(), Some("/dev/vda"));
        assert_eq!(line.root_type.as_deref(), Some("ext2"));
        assert!(line.read_only);
        assert_eq!(line.log_level, LevelFilter::Warn);
        assert_eq!(line.hostname.as_deref(), Some("box"));
        assert_eq!(CommandLine::parse("  "), CommandLine::parse(""));
    }
}
