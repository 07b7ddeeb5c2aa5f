//! The devices without state of their own.

use abi::{Errno, Events, Result};
use framework::{Sink, Source};

use super::Entropy;

/// A memory device that needs no opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemDevice {
    /// Takes everything, gives nothing.
    Null,
    /// Gives zeros.
    Zero,
    /// Gives zeros; has no space.
    Full,
    /// Gives random bytes; what is written is mixed in.
    Random,
    /// The same: the generator is seeded before the first program runs.
    Urandom,
}

impl MemDevice {
    /// The device with this minor number; the major number is 1.
    pub const fn from_minor(minor: u32) -> Option<Self> {
        Some(match minor {
            3 => Self::Null,
            5 => Self::Zero,
            7 => Self::Full,
            8 => Self::Random,
            9 => Self::Urandom,
            _ => return None,
        })
    }

    /// Reads; returns what the sink has got in all.
    ///
    /// # Errors
    /// `EFAULT`: the sink stopped; call again, or give up with `sink.done()` bytes.
    ///
    /// Source: null(4), full(4), random(4)
    #[inline]
    pub fn read(self, entropy: &Entropy, sink: &mut Sink<'_>) -> Result<usize> {
        match self {
            Self::Null => {}
            Self::Zero | Self::Full => {
                sink.write_zeros(sink.remaining())?;
            }
            Self::Random | Self::Urandom => entropy.read(sink)?,
        }
        Ok(sink.done())
    }

    /// Writes; returns what the source has given in all.
    ///
    /// # Errors
    /// - `ENOSPC`: [`Full`](Self::Full), always.
    /// - `EFAULT`: the source stopped; call again, or give up with `source.done()` bytes.
    #[inline]
    pub fn write(self, entropy: &Entropy, source: &mut Source<'_>) -> Result<usize> {
        match self {
            Self::Null | Self::Zero => {
                source.skip(source.remaining());
            }
            Self::Full => return Err(Errno::ENOSPC),
            Self::Random | Self::Urandom => entropy.write(source)?,
        }
        Ok(source.done())
    }

    /// What could be done without waiting: everything.
    pub const fn poll(self) -> Events {
        Events::IN.union(Events::OUT).union(Events::RDNORM).union(Events::WRNORM)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Entropy, MemDevice};
    use abi::Errno;
    use framework::{Sink, Source};

    #[test]
    fn each_does_its_one_thing() {
        let entropy = Entropy::new();
        let mut buffer = [7; 5];
        let mut read = |device: MemDevice| {
            let mut sink = Sink::kernel(&mut buffer);
            let count = device.read(&entropy, &mut sink);
            (count, buffer)
        };
        assert_eq!(read(MemDevice::Null), (Ok(0), [7; 5]));
        assert_eq!(read(MemDevice::Zero), (Ok(5), [0; 5]));
        assert_eq!(read(MemDevice::Full), (Ok(5), [0; 5]));
        let write = |device: MemDevice| device.write(&entropy, &mut Source::kernel(b"abc"));
        assert_eq!(write(MemDevice::Null), Ok(3));
        assert_eq!(write(MemDevice::Zero), Ok(3));
        assert_eq!(write(MemDevice::Full), Err(Errno::ENOSPC));
        assert_eq!(write(MemDevice::Random), Ok(3));
    }

    #[test]
    fn minors_are_those_of_linux() {
        let devices = [3, 5, 7, 8, 9].map(MemDevice::from_minor);
        assert_eq!(devices[0], Some(MemDevice::Null));
        assert!(devices.iter().all(Option::is_some));
        assert_eq!(MemDevice::from_minor(1), None);
    }
}
