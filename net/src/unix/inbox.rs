//! What was sent to a socket and not received.

use super::{Address, Credentials, bytes::Bytes, endpoint::Endpoint};
use abi::{Errno, Result};
use alloc::{
    boxed::Box,
    collections::VecDeque,
    sync::{Arc, Weak},
    vec::Vec,
};
use core::mem;
use framework::{Sink, Source};

/// What travels beside the bytes of a message.
#[derive(Clone, Debug)]
pub struct Ancillary<F> {
    /// Files (`SCM_RIGHTS`).
    pub files: Vec<F>,
    /// Who sent it (`SCM_CREDENTIALS`), if the sender said so or one side asks for it.
    pub sender: Option<Credentials>,
}

impl<F> Default for Ancillary<F> {
    fn default() -> Self {
        Self { files: Vec::new(), sender: None }
    }
}

impl<F> Ancillary<F> {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.sender.is_none()
    }
}

/// What a receive call got beside the bytes in its sink.
#[derive(Debug)]
pub struct Received<F> {
    /// Bytes in the sink.
    pub len: usize,
    /// The length of the message, which is more if the sink was too short (`MSG_TRUNC`).
    pub whole: usize,
    /// What came with it.
    pub ancillary: Ancillary<F>,
    /// Who sent it, of a datagram.
    pub from: Address,
}

/// A datagram or a record.
#[derive(Debug)]
pub(super) struct Message<F> {
    pub(super) data: Box<[u8]>,
    pub(super) ancillary: Ancillary<F>,
    pub(super) from: Address,
}

/// Where in a stream something came with the bytes.
#[derive(Debug)]
pub(super) struct Mark<F> {
    /// How many bytes of the stream came before it, since its beginning.
    pub(super) start: u64,
    /// How many bytes it came with.
    pub(super) end: u64,
    pub(super) ancillary: Ancillary<F>,
}

/// The receiving half of a socket.
#[derive(Debug)]
pub(super) struct Inbox<F> {
    /// Of a stream: what was sent.
    pub(super) bytes: Bytes,
    /// Bytes of the stream that were received.
    pub(super) taken: u64,
    /// What came with them.
    pub(super) marks: VecDeque<Mark<F>>,
    /// Of other kinds: what was sent.
    pub(super) messages: VecDeque<Message<F>>,
    /// Bytes in the messages.
    pub(super) used: usize,
    /// Nothing more can be sent here: a side closed, or shut this direction.
    pub(super) closed: bool,
    /// The owner is gone.
    pub(super) gone: bool,
    /// What the owner's next call fails with.
    pub(super) error: Option<Errno>,
    /// `SO_PASSCRED` of the owner.
    pub(super) wants_credentials: bool,
    /// Of a datagram socket that is connected: who may send here.
    pub(super) only_from: Option<Weak<Endpoint<F>>>,
    /// Senders that found no room; woken when there is some.
    pub(super) blocked: Vec<Weak<Endpoint<F>>>,
}

impl<F> Inbox<F> {
    pub(super) const fn new() -> Self {
        Self {
            bytes: Bytes::new(),
            taken: 0,
            marks: VecDeque::new(),
            messages: VecDeque::new(),
            used: 0,
            closed: false,
            gone: false,
            error: None,
            wants_credentials: false,
            only_from: None,
            blocked: Vec::new(),
        }
    }

    /// Whether there is something to receive.
    pub(super) fn has_data(&self) -> bool {
        self.bytes.len() != 0 || !self.messages.is_empty()
    }

    /// Remembers a sender that is to be woken when there is room.
    pub(super) fn block(&mut self, sender: &Arc<Endpoint<F>>) {
        self.blocked.retain(|blocked| blocked.strong_count() > 0);
        if !self.blocked.iter().any(|blocked| blocked.as_ptr() == Arc::as_ptr(sender)) {
            self.blocked.push(Arc::downgrade(sender));
        }
    }

    /// Receives from the stream into `to`; the inbox has bytes.
    ///
    /// What came with bytes comes with the first of them that is received. Bytes of different
    /// senders are not mixed if the owner wants to know the sender, and files end what is received.
    pub(super) fn receive_stream(&mut self, to: &mut Sink<'_>, peek: bool) -> Result<Ancillary<F>>
    where
        F: Clone,
    {
        let mut result = Ancillary::default();
        let (begin, mut at) = (self.taken, self.taken);
        let end = begin + self.bytes.len() as u64;
        let mut mark = 0;
        while at < end && to.remaining() > 0 {
            let here = self.marks.get_mut(mark).filter(|mark| mark.start <= at);
            let sender = here.as_ref().and_then(|mark| mark.ancillary.sender);
            if at != begin && self.wants_credentials && sender != result.sender {
                break;
            }
            let next = self.marks.get(mark).map_or(end, |mark| match mark.start <= at {
                true => mark.end,
                false => mark.start,
            });
            let skip = usize::try_from(at - begin).unwrap_or(usize::MAX);
            let most = usize::try_from(next - at).unwrap_or(usize::MAX);
            let before = to.done();
            let copied = self.bytes.copy(to, skip, most);
            at += (to.done() - before) as u64;
            if to.done() != before
                && let Some(mark) = self.marks.get_mut(mark).filter(|mark| mark.start < at)
            {
                result.sender = mark.ancillary.sender;
                let files = &mut mark.ancillary.files;
                result.files = if peek { files.clone() } else { mem::take(files) };
            }
            if copied.is_err() || at == next && !result.files.is_empty() {
                if copied.is_err() && at == begin {
                    return Err(Errno::EFAULT);
                }
                break;
            }
            mark += usize::from(self.marks.get(mark).is_some_and(|mark| mark.end <= at));
        }
        if !peek {
            self.consume(at);
        }
        Ok(result)
    }

    /// Forgets the bytes of the stream before `at`, and what came with them.
    fn consume(&mut self, at: u64) {
        self.bytes.consume(usize::try_from(at - self.taken).unwrap_or(usize::MAX));
        self.taken = at;
        while self.marks.front().is_some_and(|mark| mark.end <= at) {
            self.marks.pop_front();
        }
    }

    /// Appends bytes to the stream, at most `room`, with `ancillary` if any were appended.
    pub(super) fn send_stream(
        &mut self,
        from: &mut Source<'_>,
        room: usize,
        ancillary: &mut Ancillary<F>,
    ) -> Result<usize> {
        let start = self.taken + self.bytes.len() as u64;
        let before = from.done();
        let result = self.bytes.push(from, room);
        let end = start + (from.done() - before) as u64;
        if end > start && !ancillary.is_empty() {
            let sender = ancillary.sender;
            let files = mem::take(&mut ancillary.files);
            match self.marks.back_mut() {
                Some(last)
                    if last.end == start && files.is_empty() && last.ancillary.sender == sender =>
                {
                    last.end = end;
                }
                _ => {
                    let ancillary = Ancillary { files, sender };
                    self.marks.push_back(Mark { start, end, ancillary });
                }
            }
        }
        result
    }

    /// Receives one message; what does not fit is lost, unless it stays.
    pub(super) fn receive_message(&mut self, to: &mut Sink<'_>, peek: bool) -> Result<Received<F>>
    where
        F: Clone,
    {
        let front = self.messages.front_mut().ok_or(Errno::EAGAIN)?;
        let len = front.data.len().min(to.remaining());
        to.write(&front.data[..len])?;
        let whole = front.data.len();
        if peek {
            let (ancillary, from) = (front.ancillary.clone(), front.from.clone());
            return Ok(Received { len, whole, ancillary, from });
        }
        let message = self.messages.pop_front().ok_or(Errno::EAGAIN)?;
        self.used -= whole;
        Ok(Received { len, whole, ancillary: message.ancillary, from: message.from })
    }
}
