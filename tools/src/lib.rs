//! The host side: the machine's files and the virtual machine that boots them.
#![forbid(unsafe_code)]

pub mod host_tree;
pub mod initramfs;
pub mod latency;
pub mod machine;
pub mod paths;
pub mod run;
pub mod session;
pub mod shell;
pub mod stress;
pub mod symbols;
pub mod test;

pub use anyhow::Result;
