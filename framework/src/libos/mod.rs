//! The machine as a Linux process.
