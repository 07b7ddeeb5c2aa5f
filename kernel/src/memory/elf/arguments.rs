//! The strings a program is started with, under the limits of execve(2).

use abi::{Errno, Result};
use alloc::vec::Vec;

/// The longest single string, its NUL included (`MAX_ARG_STRLEN`).
const MAX_STRING: usize = 128 << 10;
/// What is always allowed (`ARG_MAX`), and the most that ever is.
const MIN_TOTAL: u64 = 128 << 10;
const MAX_TOTAL: u64 = 6 << 20;

/// Arguments and environment: the strings one after the other, each with its NUL.
#[derive(Clone, Debug)]
pub struct Arguments {
    bytes: Vec<u8>,
    argument_bytes: usize,
    argument_count: usize,
    environment_count: usize,
    limit: usize,
}

impl Arguments {
    /// No strings yet; `stack_limit` is RLIMIT_STACK, of which a quarter may be used.
    pub fn new(stack_limit: u64) -> Self {
        let limit = (stack_limit / 4).clamp(MIN_TOTAL, MAX_TOTAL);
        Self {
            bytes: Vec::new(),
            argument_bytes: 0,
            argument_count: 0,
            environment_count: 0,
            limit: usize::try_from(limit).unwrap_or(MAX_STRING),
        }
    }

    /// Adds an argument after the others, `string` without its NUL; before the environment.
    ///
    /// # Errors
    /// - `E2BIG`: over the limits.
    /// - `ENOMEM`: no memory.
    pub fn push_argument(&mut self, string: &[u8]) -> Result<()> {
        debug_assert!(self.environment_count == 0, "arguments come first");
        self.push(string)?;
        self.argument_count += 1;
        self.argument_bytes = self.bytes.len();
        Ok(())
    }

    /// Adds a string to the environment, without its NUL.
    ///
    /// # Errors
    /// - `E2BIG`: over the limits.
    /// - `ENOMEM`: no memory.
    pub fn push_environment(&mut self, string: &[u8]) -> Result<()> {
        self.push(string)?;
        self.environment_count += 1;
        Ok(())
    }

    fn push(&mut self, string: &[u8]) -> Result<()> {
        self.check(string.len() + 1, 1)?;
        self.bytes.try_reserve(string.len() + 1).map_err(|_| Errno::ENOMEM)?;
        self.bytes.extend_from_slice(string);
        self.bytes.push(0);
        Ok(())
    }

    /// Whether `len` more bytes in `count` more strings are within the limits.
    fn check(&self, len: usize, count: usize) -> Result<()> {
        let pointers = (self.argument_count + self.environment_count + count) * size_of::<usize>();
        let total = self.bytes.len().saturating_add(len).saturating_add(pointers);
        if len > MAX_STRING || total > self.limit { Err(Errno::E2BIG) } else { Ok(()) }
    }

    /// Puts `strings` in place of the first argument, as a script's first line asks for.
    ///
    /// # Errors
    /// - `E2BIG`: over the limits.
    /// - `ENOMEM`: no memory.
    pub fn replace_first(&mut self, strings: &[&[u8]]) -> Result<()> {
        let old = self.arguments().next().map_or(0, |first| first.len() + 1);
        let mut front = Vec::new();
        for string in strings {
            self.check(front.len() + string.len() + 1, strings.len())?;
            front.try_reserve(string.len() + 1).map_err(|_| Errno::ENOMEM)?;
            front.extend_from_slice(string);
            front.push(0);
        }
        self.bytes.try_reserve(front.len()).map_err(|_| Errno::ENOMEM)?;
        self.argument_count = self.argument_count - usize::from(old > 0) + strings.len();
        self.argument_bytes = self.argument_bytes - old + front.len();
        self.bytes.splice(..old, front);
        Ok(())
    }

    /// The arguments, without their NULs.
    pub fn arguments(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes[..self.argument_bytes]
            .split_inclusive(|&byte| byte == 0)
            .map(|string| &string[..string.len() - 1])
    }

    /// The environment, without the NULs.
    pub fn environment(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes[self.argument_bytes..]
            .split_inclusive(|&byte| byte == 0)
            .map(|string| &string[..string.len() - 1])
    }

    /// All strings with their NULs, arguments first, and how many bytes are arguments.
    pub(super) fn block(&self) -> (&[u8], usize) {
        (&self.bytes, self.argument_bytes)
    }

    /// How many arguments and how many strings of the environment there are.
    pub fn counts(&self) -> (usize, usize) {
        (self.argument_count, self.environment_count)
    }
}

#[cfg(test)]
mod tests {
    use super::Arguments;
    use abi::Errno;

    #[test]
    fn keeps_strings_apart() {
        let mut arguments = Arguments::new(8 << 20);
        arguments.push_argument(b"sh").expect("fits");
        arguments.push_argument(b"").expect("fits");
        arguments.push_environment(b"A=1").expect("fits");
        assert_eq!(arguments.arguments().collect::<Vec<_>>(), [&b"sh"[..], b""]);
        assert_eq!(arguments.environment().collect::<Vec<_>>(), [b"A=1"]);
        assert_eq!(arguments.block(), (&b"sh\0\0A=1\0"[..], 4));
    }

    #[test]
    fn script_replaces_the_first() {
        let mut arguments = Arguments::new(8 << 20);
        arguments.push_argument(b"script").expect("fits");
        arguments.push_argument(b"x").expect("fits");
        arguments.push_environment(b"A=1").expect("fits");
        arguments.replace_first(&[b"/bin/sh", b"-e", b"./script"]).expect("fits");
        let got: Vec<_> = arguments.arguments().collect();
        assert_eq!(got, [&b"/bin/sh"[..], b"-e", b"./script", b"x"]);
        assert_eq!(arguments.counts(), (4, 1));
    }

    #[test]
    fn limits_hold() {
        let mut arguments = Arguments::new(0);
        assert_eq!(arguments.push_argument(&vec![b'x'; 128 << 10]), Err(Errno::E2BIG));
        arguments.push_argument(&vec![b'x'; (128 << 10) - 9]).expect("exactly the limit");
        assert_eq!(arguments.push_argument(b""), Err(Errno::E2BIG));
    }
}
