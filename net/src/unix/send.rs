//! Sending.

use super::{
    Ancillary, Credentials, Kind, MAX_DATAGRAMS, Socket, endpoint::Endpoint, inbox::Message,
    socket::complete,
};
use abi::{Errno, Result};
use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::{mem, sync::atomic::Ordering::Relaxed};
use framework::Source;

/// What a message's length is short of the send buffer at least.
const OVERHEAD: usize = 32;

impl<F: Clone> Socket<F> {
    /// Sends what is left in `from`, with `ancillary`: to `to`, or to the peer.
    ///
    /// A stream takes what there is room for; the call is complete when the source is empty. What
    /// was sent takes `ancillary` along. A message is sent whole or not at all.
    ///
    /// # Errors
    /// - `EAGAIN`: no room; a stream's source says how far it got.
    /// - `EPIPE`: the peer closed, or this direction is shut (a `SIGPIPE` above).
    /// - `ENOTCONN`: no peer; `EDESTADDRREQ`: a datagram without a destination.
    /// - `EISCONN`, `EOPNOTSUPP`: a destination, on a stream that is connected or not.
    /// - `ECONNREFUSED`: the destination is gone; `EPERM`: it is connected to another.
    /// - `EPROTOTYPE`: it is of another kind.
    /// - `EMSGSIZE`: a message longer than the send buffer.
    /// - `EFAULT`: the source says where.
    ///
    /// Source: send(2), unix(7)
    pub fn send(
        &self,
        from: &mut Source<'_>,
        to: Option<&Self>,
        sender: Credentials,
        ancillary: &mut Ancillary<F>,
    ) -> Result<usize> {
        match self.kind {
            Kind::Stream => self.send_stream(from, to, sender, ancillary),
            Kind::SeqPacket => {
                // A destination is ignored (unix_seqpacket_sendmsg).
                let peer = self.peer.get().ok_or(Errno::ENOTCONN)?;
                self.send_message(peer, from, sender, ancillary)
            }
            Kind::Datagram => {
                if to.is_some_and(|to| to.kind != Kind::Datagram) {
                    return Err(Errno::EPROTOTYPE);
                }
                let peer = match to {
                    Some(to) => Arc::clone(&to.endpoint),
                    None => self.target.lock().clone().ok_or(Errno::ENOTCONN)?,
                };
                self.send_message(&peer, from, sender, ancillary)
            }
        }
    }

    fn send_stream(
        &self,
        from: &mut Source<'_>,
        to: Option<&Self>,
        sender: Credentials,
        ancillary: &mut Ancillary<F>,
    ) -> Result<usize> {
        let Some(peer) = self.peer.get() else {
            return Err(if to.is_some() { Errno::EOPNOTSUPP } else { Errno::ENOTCONN });
        };
        if to.is_some() {
            return Err(Errno::EISCONN);
        }
        let options = self.options();
        let begin = from.done();
        let result = {
            let mut inbox = peer.inbox.lock();
            if inbox.closed {
                return if begin == 0 { Err(Errno::EPIPE) } else { Ok(begin) };
            }
            complete(ancillary, sender, options.pass_credentials || inbox.wants_credentials);
            let room = options.send_buffer.saturating_sub(inbox.bytes.len());
            match inbox.send_stream(from, room, ancillary) {
                Ok(_) if from.remaining() > 0 => Err(Errno::EAGAIN),
                result => result,
            }
        };
        if from.done() != begin {
            peer.wake_receivers();
        }
        result.map(|_| from.done())
    }

    fn send_message(
        &self,
        peer: &Arc<Endpoint<F>>,
        from: &mut Source<'_>,
        sender: Credentials,
        ancillary: &mut Ancillary<F>,
    ) -> Result<usize> {
        if self.mute.load(Relaxed) {
            return Err(Errno::EPIPE);
        }
        let options = self.options();
        from.rewind(0);
        let len = from.remaining();
        if len > options.send_buffer - OVERHEAD {
            return Err(Errno::EMSGSIZE);
        }
        self.has_room(&mut peer.inbox.lock(), peer, len, options.send_buffer)?;
        // User memory is read without the inbox's lock, since room seldom goes away meanwhile.
        let mut data = Vec::new();
        data.try_reserve_exact(len).map_err(|_| Errno::ENOBUFS)?;
        data.resize(len, 0);
        from.read(&mut data)?;
        let address = self.address();
        {
            let mut inbox = peer.inbox.lock();
            self.has_room(&mut inbox, peer, len, options.send_buffer)?;
            complete(ancillary, sender, options.pass_credentials || inbox.wants_credentials);
            inbox.used += len;
            let data: Box<[u8]> = data.into_boxed_slice();
            let ancillary = mem::take(ancillary);
            inbox.messages.push_back(Message { data, ancillary, from: address });
        }
        peer.wake_receivers();
        Ok(len)
    }

    /// Whether a message may go into an inbox now.
    fn has_room(
        &self,
        inbox: &mut super::inbox::Inbox<F>,
        peer: &Arc<Endpoint<F>>,
        len: usize,
        limit: usize,
    ) -> Result<()> {
        let connected = self.kind == Kind::SeqPacket;
        if inbox.gone && !connected {
            return Err(Errno::ECONNREFUSED);
        }
        let mine = Arc::as_ptr(&self.endpoint);
        let only_mine = inbox.only_from.as_ref().map(|only| only.as_ptr() == mine);
        if only_mine == Some(false) {
            return Err(Errno::EPERM);
        }
        if inbox.closed {
            return Err(Errno::EPIPE);
        }
        // The peers of a pair wait for bytes only; strangers also for messages.
        let crowded = !connected && only_mine.is_none() && inbox.messages.len() > MAX_DATAGRAMS;
        let own = Arc::ptr_eq(peer, &self.endpoint);
        if crowded && !own || inbox.used > 0 && inbox.used + len > limit {
            inbox.block(&self.endpoint);
            return Err(Errno::EAGAIN);
        }
        Ok(())
    }
}
