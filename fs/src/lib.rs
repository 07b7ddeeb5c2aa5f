//! Files: the virtual file system and the file systems under it.
#![no_std]
#![forbid(unsafe_code)]
