//! The memory devices: `/dev/null`, `zero`, `full`, `random`, `urandom` and `kmsg`.

mod device;
mod entropy;
mod kmsg;
mod log_ring;

pub use device::MemDevice;
pub use entropy::Entropy;
pub use kmsg::{KernelLog, KmsgFile, Seek};
