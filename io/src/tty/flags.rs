//! The mode bits of terminal settings, named as in termios(3).
#![allow(missing_docs, reason = "termios(3) describes them")]

use bitflags::bitflags;

bitflags! {
    /// Input modes (`c_iflag`).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct InputFlags: u32 {
        const IGNBRK = 0o1;
        const BRKINT = 0o2;
        const IGNPAR = 0o4;
        const PARMRK = 0o10;
        const INPCK = 0o20;
        const ISTRIP = 0o40;
        const INLCR = 0o100;
        const IGNCR = 0o200;
        const ICRNL = 0o400;
        const IUCLC = 0o1000;
        const IXON = 0o2000;
        const IXANY = 0o4000;
        const IXOFF = 0o10000;
        const IMAXBEL = 0o20000;
        const IUTF8 = 0o40000;
        const _ = !0;
    }

    /// Output modes (`c_oflag`).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct OutputFlags: u32 {
        const OPOST = 0o1;
        const OLCUC = 0o2;
        const ONLCR = 0o4;
        const OCRNL = 0o10;
        const ONOCR = 0o20;
        const ONLRET = 0o40;
        const TABDLY = 0o14000;
        /// Tabs become spaces; as a value of `TABDLY` it is all of its bits.
        const TAB3 = 0o14000;
        const _ = !0;
    }

    /// Control modes (`c_cflag`).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct ControlFlags: u32 {
        const B0 = 0;
        const B9600 = 0o15;
        const B38400 = 0o17;
        const B115200 = 0o10002;
        const CBAUD = 0o10017;
        const CSIZE = 0o60;
        const CS8 = 0o60;
        const CSTOPB = 0o100;
        const CREAD = 0o200;
        const PARENB = 0o400;
        const PARODD = 0o1000;
        const HUPCL = 0o2000;
        const CLOCAL = 0o4000;
        const CIBAUD = 0o2003600000;
        const CRTSCTS = 0o20000000000;
        const _ = !0;
    }

    /// Local modes (`c_lflag`).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct LocalFlags: u32 {
        const ISIG = 0o1;
        const ICANON = 0o2;
        const XCASE = 0o4;
        const ECHO = 0o10;
        const ECHOE = 0o20;
        const ECHOK = 0o40;
        const ECHONL = 0o100;
        const NOFLSH = 0o200;
        const TOSTOP = 0o400;
        const ECHOCTL = 0o1000;
        const ECHOPRT = 0o2000;
        const ECHOKE = 0o4000;
        const FLUSHO = 0o10000;
        const PENDIN = 0o40000;
        const IEXTEN = 0o100000;
        const EXTPROC = 0o200000;
        const _ = !0;
    }
}
