//! Receiving.

use super::{Address, Ancillary, Credentials, Kind, Received, Socket, socket::wake_all};
use abi::{Errno, Result};
use core::mem;
use framework::Sink;

/// How to receive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Receive {
    /// What is received stays (`MSG_PEEK`).
    pub peek: bool,
}

impl<F: Clone> Socket<F> {
    /// Receives into `to`: what is there of a stream, or one message.
    ///
    /// Nothing, and a length of 0, is the end: the peer closed or shut its direction.
    ///
    /// # Errors
    /// - `EAGAIN`: nothing now.
    /// - `EINVAL`: a stream without a peer; `ENOTCONN`: a packet stream without one.
    /// - `ECONNRESET`: the peer closed with unread data; once.
    /// - `EFAULT`: the sink says where; bytes before it are received.
    ///
    /// Source: recv(2), unix(7)
    pub fn receive(&self, to: &mut Sink<'_>, how: Receive) -> Result<Received<F>> {
        let peer = self.peer.get();
        match (self.kind, peer) {
            (Kind::Stream, None) => return Err(Errno::EINVAL),
            (Kind::SeqPacket, None) => return Err(Errno::ENOTCONN),
            _ => {}
        }
        let begin = to.done();
        let (result, blocked) = {
            let mut inbox = self.endpoint.inbox.lock();
            if !inbox.has_data() {
                if let Some(error) = inbox.error.take() {
                    return Err(error);
                }
                return if inbox.closed { Ok(nothing(begin)) } else { Err(Errno::EAGAIN) };
            }
            let wants = inbox.wants_credentials;
            let result = if self.kind == Kind::Stream {
                inbox.receive_stream(to, how.peek).map(|ancillary| Received {
                    len: to.done(),
                    whole: to.done(),
                    ancillary,
                    from: Address::Unnamed,
                })
            } else {
                inbox.receive_message(to, how.peek)
            };
            let result = result.map(|mut received| {
                let sender = received.ancillary.sender.unwrap_or(Credentials::NOBODY);
                received.ancillary.sender = wants.then_some(sender);
                received
            });
            let freed = !how.peek && (self.kind != Kind::Stream || to.done() != begin);
            (result, if freed { mem::take(&mut inbox.blocked) } else { alloc::vec::Vec::new() })
        };
        if !how.peek {
            wake_all(blocked);
            if let Some(peer) = peer {
                peer.wake_senders();
            }
        }
        result
    }
}

/// The end of what there is to receive.
fn nothing<F>(len: usize) -> Received<F> {
    Received { len, whole: len, ancillary: Ancillary::default(), from: Address::Unnamed }
}
