//! Readiness of a file, as poll(2) and epoll(7) name it.

bitflags::bitflags! {
    /// Events of a file; the bits of `struct pollfd` and `struct epoll_event`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Events: u32 {
        /// There is data to read.
        const IN = 0x001;
        /// There is urgent data.
        const PRI = 0x002;
        /// A write would not wait.
        const OUT = 0x004;
        /// An error is pending; always reported.
        const ERR = 0x008;
        /// The peer hung up; always reported.
        const HUP = 0x010;
        /// The descriptor is not open (poll only).
        const NVAL = 0x020;
        /// Normal data (same as `IN`).
        const RDNORM = 0x040;
        /// Priority band data.
        const RDBAND = 0x080;
        /// Normal write (same as `OUT`).
        const WRNORM = 0x100;
        /// Priority band write.
        const WRBAND = 0x200;
        /// The peer shut down its writing half.
        const RDHUP = 0x2000;
    }
}
