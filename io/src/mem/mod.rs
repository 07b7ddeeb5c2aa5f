//! The memory devices: `/dev/null`, `zero`, `full`, `random`, `urandom` and `kmsg`.

mod device;
mod entropy;
mod kmsg;
mod log_ring;

pub use device::MemDevice;
pub use entropy::{Draw, Entropy};
pub use kmsg::{KernelLog, KmsgFile, Seek};
