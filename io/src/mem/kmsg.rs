//! The kernel log: `/dev/kmsg` and what syslog(2) reads.
//!
//! Records come from the kernel through the `log` crate, and from programs through `/dev/kmsg`.
//! Writing to the log never waits long and never allocates: it may be called with anything locked.

use abi::{Errno, Events, Result};
use core::{
    fmt::{self, Write},
    sync::atomic::{AtomicU8, AtomicU64, Ordering},
};
use executor::wait::WaitQueue;
use framework::{Instant, Sink, Source, console, time};
use spin::{Mutex, MutexGuard};

use super::log_ring::{LogRing, Place, Record, SIZE, TEXT};

/// The most bytes of a formatted record: every byte of text escaped, and the prefix.
const FORMATTED: usize = 4 * TEXT + 64;
/// How often a writer tries the lock before the record counts as dropped. Its holder may be the
/// code that was interrupted by a fault.
const PATIENCE: u32 = 100_000;
/// The level of a program's record without a prefix (`KERN_WARNING`).
const DEFAULT_LEVEL: u8 = 4;
/// The facility of programs (`LOG_USER`); 0 is the kernel's.
const USER: u8 = 1 << 3;
/// The bits of a priority that are the level.
const LEVEL: u8 = 7;

/// The log of the kernel.
#[derive(Debug)]
pub struct KernelLog {
    state: Mutex<State>,
    queue: WaitQueue,
    /// Records lost because the log was locked.
    dropped: AtomicU64,
    /// Records below this level also go to the console.
    console_level: AtomicU8,
}

#[derive(Debug)]
struct State {
    ring: LogRing,
    /// Where `SYSLOG_ACTION_READ` goes on: the record, and bytes of its text form already read.
    syslog: Place,
    syslog_offset: usize,
    /// Where `SYSLOG_ACTION_CLEAR` was.
    cleared: Place,
}

/// An opening of `/dev/kmsg`.
#[derive(Debug)]
pub struct KmsgFile {
    /// Where it reads on.
    place: Mutex<Place>,
    /// What a write has taken before a fault stopped it.
    taken: Mutex<Text<TEXT>>,
}

/// Where to seek in `/dev/kmsg`; the offset is always 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seek {
    /// To the oldest record (`SEEK_SET`).
    First,
    /// After the last record (`SEEK_END`).
    End,
    /// To what came after the last clear (`SEEK_DATA`).
    Cleared,
}

impl KernelLog {
    /// An empty log.
    pub const fn new() -> Self {
        Self {
            state: Mutex::new(State {
                ring: LogRing::new(),
                syslog: Place::START,
                syslog_offset: 0,
                cleared: Place::START,
            }),
            queue: WaitQueue::new(),
            dropped: AtomicU64::new(0),
            console_level: AtomicU8::new(7),
        }
    }

    /// Where readers wait for records, with `IN`.
    pub fn queue(&self) -> &WaitQueue {
        &self.queue
    }

    /// Adds a record of the kernel, and shows it on the console if `level` is urgent enough.
    pub fn append(&self, level: u8, text: fmt::Arguments<'_>) {
        let mut line = Text::<TEXT>::new();
        // Text that does not fit is cut off; nothing else can fail.
        let _ = line.write_fmt(text);
        let text = line.bytes();
        for line in text.strip_suffix(b"\n").unwrap_or(text).split(|byte| *byte == b'\n') {
            self.push(level & LEVEL, line);
        }
    }

    /// Records below this level go to the console (`SYSLOG_ACTION_CONSOLE_LEVEL`); 0 for none.
    pub fn set_console_level(&self, level: u8) {
        self.console_level.store(level, Ordering::Relaxed);
    }

    /// The level set last.
    pub fn console_level(&self) -> u8 {
        self.console_level.load(Ordering::Relaxed)
    }

    /// Records lost because the log was in use.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn push(&self, priority: u8, text: &[u8]) {
        let now = time::now();
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        if priority & LEVEL < self.console_level() {
            let mut line = Text::<{ TEXT + 32 }>::new();
            line.put_time(now);
            line.put(text);
            line.put(b"\n");
            console::write(line.bytes());
        }
        match self.lock_soon() {
            Some(mut state) => state.ring.push(priority, now, text),
            None => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
        if !self.queue.is_empty() {
            self.queue.wake_all((Events::IN | Events::RDNORM).bits());
        }
    }

    fn lock_soon(&self) -> Option<MutexGuard<'_, State>> {
        for _ in 0..PATIENCE {
            if let Some(guard) = self.state.try_lock() {
                return Some(guard);
            }
            core::hint::spin_loop();
        }
        None
    }

    // --- /dev/kmsg ---

    /// An opening of `/dev/kmsg`, at the oldest record.
    pub fn open(&self) -> KmsgFile {
        let place = self.state.lock().ring.first();
        KmsgFile { place: Mutex::new(place), taken: Mutex::new(Text::new()) }
    }

    /// Reads the next record, formatted `priority,sequence,microseconds,-;text`.
    ///
    /// # Errors
    /// - `EAGAIN`: there is none; wait for `IN` on [`queue`](Self::queue).
    /// - `EPIPE`: it was overwritten; the next read gives the oldest one kept.
    /// - `EINVAL`: it does not fit into the sink.
    /// - `EFAULT`: the sink stopped.
    ///
    /// Source: the kernel's ABI/testing/dev-kmsg
    pub fn read(&self, file: &KmsgFile, sink: &mut Sink<'_>) -> Result<usize> {
        let mut place = file.place.lock();
        let (record, next) = {
            let state = self.state.lock();
            if state.ring.is_lost(*place) {
                *place = state.ring.first();
                return Err(Errno::EPIPE);
            }
            state.ring.get(*place).ok_or(Errno::EAGAIN)?
        };
        let mut line = Text::<FORMATTED>::new();
        line.put_record(&record);
        // A call that goes on after a fault gives the rest.
        let rest = line.bytes().get(sink.done()..).unwrap_or_default();
        if rest.len() > sink.remaining() {
            return Err(Errno::EINVAL);
        }
        sink.write(rest)?;
        *place = next;
        Ok(sink.done())
    }

    /// Adds a program's record; `<priority>` before the text tells its facility and level.
    ///
    /// # Errors
    /// - `EINVAL`: longer than a record.
    /// - `EFAULT`: the source stopped.
    pub fn write(&self, file: &KmsgFile, source: &mut Source<'_>) -> Result<usize> {
        let len = source.done() + source.remaining();
        if len > TEXT {
            return Err(Errno::EINVAL);
        }
        let mut taken = file.taken.lock();
        taken.len = taken.len.min(source.done());
        if taken.len < source.done() {
            return Err(Errno::EFAULT); // Another write came between: this one's text is lost.
        }
        let result = source.read(&mut taken.bytes[source.done()..]);
        taken.len = source.done();
        result?;
        let (priority, text) = split_priority(taken.bytes());
        self.push(priority, text);
        Ok(len)
    }

    /// Moves where the opening reads on.
    pub fn seek(&self, file: &KmsgFile, to: Seek) {
        let mut place = file.place.lock();
        let state = self.state.lock();
        *place = match to {
            Seek::First => state.ring.first(),
            Seek::End => state.ring.end(),
            Seek::Cleared => state.cleared,
        };
    }

    /// What could be done without waiting.
    pub fn poll(&self, file: &KmsgFile) -> Events {
        let place = *file.place.lock();
        let state = self.state.lock();
        if state.ring.is_lost(place) {
            return Events::IN | Events::RDNORM | Events::ERR | Events::PRI;
        }
        match state.ring.get(place) {
            Some(_) => Events::IN | Events::RDNORM,
            None => Events::empty(),
        }
    }

    // --- syslog(2) ---

    /// Reads and consumes records as text (`SYSLOG_ACTION_READ`), in part if they do not fit.
    ///
    /// # Errors
    /// - `EAGAIN`: there are none; wait for `IN` on [`queue`](Self::queue).
    /// - `EFAULT`: the sink stopped; `sink.done()` bytes are consumed.
    pub fn syslog_read(&self, sink: &mut Sink<'_>) -> Result<usize> {
        while sink.remaining() > 0 {
            let (line, place, next, offset) = {
                let state = self.state.lock();
                let place = state.ring.kept(state.syslog);
                let lost = place.sequence != state.syslog.sequence;
                let Some((record, next)) = state.ring.get(place) else { break };
                let offset = if lost { 0 } else { state.syslog_offset };
                (syslog_line(&record), place, next, offset)
            };
            let rest = line.bytes().get(offset..).unwrap_or_default();
            let before = sink.done();
            let result = sink.write(rest);
            let moved = sink.done() - before;
            let mut state = self.state.lock();
            if moved == rest.len() {
                (state.syslog, state.syslog_offset) = (next, 0);
            } else {
                (state.syslog, state.syslog_offset) = (place, offset + moved);
            }
            drop(state);
            result?;
        }
        if sink.done() == 0 && sink.remaining() > 0 { Err(Errno::EAGAIN) } else { Ok(sink.done()) }
    }

    /// Reads the last records as text that fit into the sink whole, those before the last clear
    /// left out (`SYSLOG_ACTION_READ_ALL`); nothing is consumed.
    ///
    /// # Errors
    /// `EFAULT`: the sink stopped; begin again.
    pub fn syslog_read_all(&self, sink: &mut Sink<'_>) -> Result<usize> {
        let (mut place, end, mut total) = {
            let state = self.state.lock();
            let place = state.ring.kept(state.cleared);
            (place, state.ring.end(), text_bytes(&state.ring, place))
        };
        while place.sequence < end.sequence {
            let Some((record, next)) = ({
                let state = self.state.lock();
                let kept = state.ring.kept(place);
                state.ring.get(kept)
            }) else {
                break;
            };
            let line = syslog_line(&record);
            if total <= sink.remaining() {
                sink.write(line.bytes())?;
            }
            total = total.saturating_sub(line.bytes().len());
            place = next;
        }
        Ok(sink.done())
    }

    /// Leaves out what is there from later `READ_ALL`s (`SYSLOG_ACTION_CLEAR`).
    pub fn syslog_clear(&self) {
        let mut state = self.state.lock();
        state.cleared = state.ring.end();
    }

    /// Bytes [`syslog_read`](Self::syslog_read) could give (`SYSLOG_ACTION_SIZE_UNREAD`).
    pub fn syslog_unread(&self) -> usize {
        let state = self.state.lock();
        let place = state.ring.kept(state.syslog);
        let lost = place.sequence != state.syslog.sequence;
        let offset = if lost { 0 } else { state.syslog_offset };
        text_bytes(&state.ring, place).saturating_sub(offset)
    }

    /// Bytes the log keeps (`SYSLOG_ACTION_SIZE_BUFFER`).
    pub const fn size(&self) -> usize {
        SIZE
    }
}

impl Default for KernelLog {
    fn default() -> Self {
        Self::new()
    }
}

/// Records of the `log` crate: a static `KernelLog` can be the logger.
impl log::Log for KernelLog {
    fn enabled(&self, _metadata: &log::Metadata<'_>) -> bool {
        true // the maximum level has decided
    }

    fn log(&self, record: &log::Record<'_>) {
        let level = match record.level() {
            log::Level::Error => 3,
            log::Level::Warn => 4,
            log::Level::Info => 6,
            log::Level::Debug | log::Level::Trace => 7,
        };
        self.append(level, format_args!("{}: {}", record.target(), record.args()));
    }

    fn flush(&self) {}
}

/// The priority before a program's text, and the text.
fn split_priority(text: &[u8]) -> (u8, &[u8]) {
    let default = (USER | DEFAULT_LEVEL, text);
    let Some(rest) = text.strip_prefix(b"<") else { return default };
    let Some(end) = rest.iter().position(|byte| *byte == b'>') else { return default };
    let number = core::str::from_utf8(&rest[..end]).ok().and_then(|digits| digits.parse().ok());
    let Some(priority) = number else { return default };
    // A program cannot speak as the kernel.
    let priority = if priority > LEVEL { priority } else { USER | priority };
    (priority, &rest[end + 1..])
}

/// Bytes of all records from `place` on in the form of syslog(2).
fn text_bytes(ring: &LogRing, place: Place) -> usize {
    ring.sum(place, |priority, time, len| {
        let seconds = time.as_nanos() / 1_000_000_000;
        let prefix = "<>".len() + digits(priority.into()) + "[.000000] ".len();
        prefix + digits(seconds).max(5) + len + "\n".len()
    })
}

fn digits(number: u64) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

/// `<priority>[ seconds.micros] text` and a newline.
fn syslog_line(record: &Record) -> Text<{ TEXT + 32 }> {
    let mut line = Text::new();
    // The buffer is large enough for the prefix and all text.
    let _ = write!(line, "<{}>", record.priority);
    line.put_time(record.time);
    line.put(record.text());
    line.put(b"\n");
    line
}

/// Text that is cut off at `N` bytes.
#[derive(Debug)]
struct Text<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Text<N> {
    const fn new() -> Self {
        Self { bytes: [0; N], len: 0 }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn put(&mut self, bytes: &[u8]) {
        let count = bytes.len().min(N - self.len);
        self.bytes[self.len..self.len + count].copy_from_slice(&bytes[..count]);
        self.len += count;
    }

    fn put_time(&mut self, time: Instant) {
        let micros = time.as_nanos() / 1000;
        // Writing to this buffer cannot fail.
        let _ = write!(self, "[{:5}.{:06}] ", micros / 1_000_000, micros % 1_000_000);
    }

    fn put_record(&mut self, record: &Record) {
        let (priority, sequence) = (record.priority, record.sequence);
        // Writing to this buffer cannot fail.
        let _ = write!(self, "{priority},{sequence},{},-;", record.time.as_nanos() / 1000);
        for byte in record.text() {
            if (b' '..0x7f).contains(byte) && *byte != b'\\' {
                self.put(&[*byte]);
            } else {
                let _ = write!(self, "\\x{byte:02x}");
            }
        }
        self.put(b"\n");
    }
}

impl<const N: usize> Write for Text<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.put(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{KernelLog, Seek};
    use abi::{Errno, Events, Result};
    use framework::{Sink, Source};
    use std::{boxed::Box, string::String, vec};

    fn text(read: impl FnOnce(&mut Sink<'_>) -> Result<usize>, size: usize) -> Result<String> {
        let mut buffer = vec![0; size];
        let count = read(&mut Sink::kernel(&mut buffer))?;
        Ok(String::from_utf8(buffer[..count].to_vec()).unwrap())
    }

    fn silent() -> Box<KernelLog> {
        let log = Box::new(KernelLog::new());
        log.set_console_level(0);
        log
    }

    /// A record without its time.
    fn timeless(record: &str) -> String {
        let (prefix, text) = record.split_once(",-;").unwrap();
        let (numbers, _) = prefix.rsplit_once(',').unwrap();
        [numbers, text].join(";")
    }

    #[test]
    fn records_are_read_one_by_one() {
        let log = silent();
        let file = log.open();
        assert_eq!(text(|sink| log.read(&file, sink), 100), Err(Errno::EAGAIN));
        assert_eq!(log.poll(&file), Events::empty());
        log.append(6, format_args!("one\ntwo\n"));
        log.write(&file, &mut Source::kernel(b"<12>a\x01\\b\n")).unwrap();
        log.write(&file, &mut Source::kernel(b"plain")).unwrap();
        log.write(&file, &mut Source::kernel(b"<3>mine")).unwrap();
        assert_eq!(log.poll(&file), Events::IN | Events::RDNORM);
        assert_eq!(text(|sink| log.read(&file, sink), 5), Err(Errno::EINVAL));
        let expected = ["6,0;one", "6,1;two", "12,2;a\\x01\\x5cb", "12,3;plain", "11,4;mine"];
        for line in expected {
            let record = text(|sink| log.read(&file, sink), 100).unwrap();
            assert_eq!(timeless(&record), [line, "\n"].concat());
        }
        assert_eq!(text(|sink| log.read(&file, sink), 100), Err(Errno::EAGAIN));
        log.seek(&file, Seek::First);
        assert!(text(|sink| log.read(&file, sink), 100).unwrap().starts_with("6,0,"));
        log.seek(&file, Seek::End);
        assert_eq!(log.poll(&file), Events::empty());
        assert_eq!(log.write(&file, &mut Source::kernel(&[b'x'; 1025])), Err(Errno::EINVAL));
    }

    #[test]
    fn a_slow_reader_loses_the_oldest() {
        let log = silent();
        let file = log.open();
        for number in 0..10_000 {
            log.append(6, format_args!("record {number} {}", "x".repeat(number % 300)));
        }
        assert!(log.poll(&file).contains(Events::IN | Events::ERR | Events::PRI));
        assert_eq!(text(|sink| log.read(&file, sink), 9000), Err(Errno::EPIPE));
        let first = text(|sink| log.read(&file, sink), 9000).unwrap();
        let number: usize = first.split(',').nth(1).unwrap().parse().unwrap();
        assert!(number > 8000 && first.contains(&format!(";record {number} x")));
        let mut last = first;
        while let Ok(record) = text(|sink| log.read(&file, sink), 9000) {
            last = record;
        }
        assert!(last.starts_with("6,9999,"));
    }

    #[test]
    fn syslog_consumes_and_clears() {
        let log = silent();
        log.append(6, format_args!("first"));
        log.append(4, format_args!("second"));
        let unread = log.syslog_unread();
        let all = text(|sink| log.syslog_read_all(sink), 1000).unwrap();
        assert_eq!(all.len(), unread);
        assert!(all.starts_with("<6>[") && all.ends_with("] second\n"));
        let last = text(|sink| log.syslog_read_all(sink), unread - 1).unwrap();
        assert!(last.starts_with("<4>[") && last.ends_with("] second\n"));
        let begin = text(|sink| log.syslog_read(sink), 7).unwrap();
        assert_eq!(log.syslog_unread(), unread - 7);
        let rest = text(|sink| log.syslog_read(sink), 1000).unwrap();
        assert_eq!([begin, rest].concat(), all);
        assert_eq!(text(|sink| log.syslog_read(sink), 10), Err(Errno::EAGAIN));
        log.syslog_clear();
        assert_eq!(text(|sink| log.syslog_read_all(sink), 1000).unwrap(), "");
        log.append(6, format_args!("third"));
        assert!(text(|sink| log.syslog_read_all(sink), 1000).unwrap().ends_with("third\n"));
    }
}
