//! What the kinds of socket promise.

use super::{
    Address, Ancillary, Credentials, DEFAULT_BUFFER, Kind, MAX_DATAGRAMS, Receive, Received,
    Shutdown, Socket, Space,
};
use abi::{Errno, Events, Result};
use framework::{Sink, Source};
use std::sync::Arc;

type File = Arc<&'static str>;
type TestSocket = Arc<Socket<File>>;

const ME: Credentials = Credentials { pid: 1, uid: 2, gid: 3 };
const YOU: Credentials = Credentials { pid: 4, uid: 5, gid: 6 };

fn send(socket: &TestSocket, data: &[u8]) -> Result<usize> {
    send_with(socket, data, None, vec![])
}

fn send_with(
    socket: &TestSocket,
    data: &[u8],
    to: Option<&TestSocket>,
    files: Vec<File>,
) -> Result<usize> {
    let mut ancillary = Ancillary { files, sender: None };
    socket.send(&mut Source::kernel(data), to.map(|to| &**to), ME, &mut ancillary)
}

fn receive(socket: &TestSocket, len: usize) -> Result<(Vec<u8>, Received<File>)> {
    receive_how(socket, len, Receive::default())
}

fn receive_how(socket: &TestSocket, len: usize, how: Receive) -> Result<(Vec<u8>, Received<File>)> {
    let mut buffer = vec![0; len];
    let received = socket.receive(&mut Sink::kernel(&mut buffer), how)?;
    buffer.truncate(received.len);
    Ok((buffer, received))
}

fn bytes(socket: &TestSocket, len: usize) -> Result<Vec<u8>> {
    receive(socket, len).map(|(bytes, _)| bytes)
}

#[test]
fn a_stream_has_no_borders() {
    let [one, two] = Socket::pair(Kind::Stream, ME);
    assert_eq!(bytes(&two, 5), Err(Errno::EAGAIN));
    assert_eq!(send(&one, b"hello "), Ok(6));
    assert_eq!(send(&one, b"world"), Ok(5));
    assert_eq!(bytes(&two, 8).unwrap(), b"hello wo");
    assert_eq!(receive_how(&two, 9, Receive { peek: true }).unwrap().0, b"rld");
    assert_eq!(bytes(&two, 9).unwrap(), b"rld");
    assert_eq!(send(&two, b"back"), Ok(4));
    assert_eq!(bytes(&one, 9).unwrap(), b"back");
}

#[test]
fn a_full_stream_makes_its_sender_wait() {
    let [one, two] = Socket::pair(Kind::Stream, ME);
    let data = vec![7; DEFAULT_BUFFER + 10];
    let mut source = Source::kernel(&data);
    let mut none = Ancillary::default();
    assert_eq!(one.send(&mut source, None, ME, &mut none), Err(Errno::EAGAIN));
    assert_eq!(source.done(), DEFAULT_BUFFER);
    assert!(!one.events().contains(Events::OUT));
    assert_eq!(bytes(&two, 100).unwrap().len(), 100);
    assert_eq!(one.send(&mut source, None, ME, &mut none), Ok(data.len()));
    assert_eq!(two.readable_bytes(), DEFAULT_BUFFER - 90);
    assert_eq!(one.unreceived_bytes(), DEFAULT_BUFFER - 90);
    while two.readable_bytes() > 0 {
        assert!(bytes(&two, 50_000).unwrap().iter().all(|byte| *byte == 7));
    }
    assert!(one.events().contains(Events::OUT));
}

#[test]
fn closing_is_the_end_and_unread_data_a_reset() {
    let [one, two] = Socket::pair(Kind::Stream, ME);
    send(&one, b"last").unwrap();
    drop(one);
    assert!(two.events().contains(Events::HUP | Events::IN | Events::RDHUP));
    assert_eq!(bytes(&two, 9).unwrap(), b"last");
    assert_eq!(bytes(&two, 9).unwrap(), b"");
    assert_eq!(send(&two, b"x"), Err(Errno::EPIPE));

    let [one, two] = Socket::pair(Kind::Stream, ME);
    send(&two, b"unread").unwrap();
    drop(one);
    assert!(two.events().contains(Events::ERR));
    assert_eq!(bytes(&two, 9), Err(Errno::ECONNRESET));
    assert_eq!(bytes(&two, 9).unwrap(), b"");
}

#[test]
fn each_direction_ends_by_itself() {
    let [one, two] = Socket::pair(Kind::Stream, ME);
    send(&one, b"before").unwrap();
    one.shut_down(Shutdown { receive: false, send: true });
    assert_eq!(send(&one, b"after"), Err(Errno::EPIPE));
    assert_eq!(bytes(&two, 9).unwrap(), b"before");
    assert_eq!(bytes(&two, 9).unwrap(), b"");
    assert_eq!(send(&two, b"other way"), Ok(9));
    assert_eq!(bytes(&one, 9).unwrap(), b"other way");
    one.shut_down(Shutdown { receive: true, send: false });
    assert_eq!(send(&two, b"x"), Err(Errno::EPIPE));
    assert!(two.events().contains(Events::HUP));
}

#[test]
fn files_come_with_the_first_byte_they_were_sent_with() {
    let [one, two] = Socket::pair(Kind::Stream, ME);
    send(&one, b"ab").unwrap();
    send_with(&one, b"cd", None, vec![Arc::new("file")]).unwrap();
    send(&one, b"ef").unwrap();
    let (data, got) = receive_how(&two, 9, Receive { peek: true }).unwrap();
    assert_eq!((&data[..], got.ancillary.files.len()), (&b"abcd"[..], 1));
    let (data, got) = receive(&two, 3).unwrap();
    assert_eq!((&data[..], got.ancillary.files.len()), (&b"abc"[..], 1));
    let (data, got) = receive(&two, 9).unwrap();
    assert_eq!((&data[..], got.ancillary.files.len()), (&b"def"[..], 0));
}

#[test]
fn bytes_of_different_senders_are_kept_apart_for_who_asks() {
    let [one, two] = Socket::pair(Kind::Stream, ME);
    two.set_options(|options| options.pass_credentials = true);
    let say = |data: &[u8], sender| {
        one.send(&mut Source::kernel(data), None, sender, &mut Ancillary::default()).unwrap();
    };
    say(b"a", ME);
    say(b"b", ME);
    say(b"c", YOU);
    let (data, got) = receive(&two, 9).unwrap();
    assert_eq!((&data[..], got.ancillary.sender), (&b"ab"[..], Some(ME)));
    let (data, got) = receive(&two, 9).unwrap();
    assert_eq!((&data[..], got.ancillary.sender), (&b"c"[..], Some(YOU)));
}

#[test]
fn files_that_nobody_receives_are_closed() {
    let file: File = Arc::new("file");
    let [one, two] = Socket::pair(Kind::Stream, ME);
    send_with(&one, b"x", None, vec![file.clone()]).unwrap();
    assert_eq!(Arc::strong_count(&file), 2);
    drop(two);
    assert_eq!(Arc::strong_count(&file), 1);
    let datagrams = Socket::pair(Kind::Datagram, ME);
    send_with(&datagrams[0], b"", None, vec![file.clone()]).unwrap();
    drop(datagrams);
    assert_eq!(Arc::strong_count(&file), 1);
}

#[test]
fn a_connection_is_made_accepted_and_named() {
    let space = Space::new();
    let (listener, client) = (Socket::<File>::new(Kind::Stream), Socket::new(Kind::Stream));
    assert_eq!(listener.listen(1, ME), Err(Errno::EINVAL));
    space.bind(&listener, Some(b"name")).unwrap();
    assert_eq!(space.bind(&listener, Some(b"other")), Err(Errno::EINVAL));
    assert_eq!(space.bind(&client, Some(b"name")), Err(Errno::EADDRINUSE));
    assert_eq!(client.connect(&listener, ME), Err(Errno::ECONNREFUSED));
    assert_eq!(listener.accept().err(), Some(Errno::EINVAL));
    listener.listen(1, YOU).unwrap();
    assert_eq!(listener.accept().err(), Some(Errno::EAGAIN));
    space.bind(&client, None).unwrap();
    client.connect(&space.find(b"name").unwrap(), ME).unwrap();
    assert_eq!(client.connect(&listener, ME), Err(Errno::EISCONN));
    // What is sent before the connection is accepted waits.
    send(&client, b"early").unwrap();
    assert!(listener.events().contains(Events::IN));
    let server = listener.accept().unwrap();
    assert_eq!(bytes(&server, 9).unwrap(), b"early");
    assert_eq!(server.peer_address().unwrap(), client.address());
    assert_eq!(client.peer_address().unwrap(), Address::Abstract(b"name"[..].into()));
    assert_eq!(client.address(), Address::Abstract(b"00000"[..].into()));
    assert_eq!((server.peer_credentials(), client.peer_credentials()), (Some(ME), Some(YOU)));
    let packets = Socket::new(Kind::SeqPacket);
    assert_eq!(packets.connect(&listener, ME), Err(Errno::EPROTOTYPE));
}

#[test]
fn a_full_backlog_makes_clients_wait_and_closing_refuses_them() {
    let space = Space::new();
    let listener = Socket::<File>::new(Kind::Stream);
    space.bind(&listener, Some(b"")).unwrap();
    listener.listen(1, ME).unwrap();
    let clients: Vec<TestSocket> = (0..3).map(|_| Socket::new(Kind::Stream)).collect();
    assert_eq!(clients[0].connect(&listener, ME), Ok(()));
    assert_eq!(clients[1].connect(&listener, ME), Ok(()));
    assert_eq!(clients[2].connect(&listener, ME), Err(Errno::EAGAIN));
    let accepted = listener.accept().unwrap();
    assert_eq!(clients[2].connect(&listener, ME), Ok(()));
    drop(listener);
    assert_eq!(bytes(&clients[1], 1), Err(Errno::ECONNRESET));
    assert_eq!(bytes(&clients[0], 1), Err(Errno::EAGAIN));
    drop(accepted);
    assert_eq!(bytes(&clients[0], 1).unwrap(), b"");
    assert_eq!(space.find(b"").err(), Some(Errno::ECONNREFUSED));
}

#[test]
fn datagrams_keep_their_borders_and_say_who_sent_them() {
    let space = Space::new();
    let (one, two) = (Socket::<File>::new(Kind::Datagram), Socket::new(Kind::Datagram));
    space.bind(&one, Some(b"one")).unwrap();
    assert_eq!(send(&one, b"x"), Err(Errno::ENOTCONN));
    assert_eq!(send_with(&one, b"first", Some(&two), vec![]), Ok(5));
    assert_eq!(send_with(&one, b"", Some(&two), vec![]), Ok(0));
    let (data, got) = receive(&two, 3).unwrap();
    assert_eq!((&data[..], got.len, got.whole), (&b"fir"[..], 3, 5));
    assert_eq!(got.from, Address::Abstract(b"one"[..].into()));
    assert_eq!(receive(&two, 9).unwrap().1.whole, 0);
    assert_eq!(bytes(&two, 9), Err(Errno::EAGAIN));

    two.connect(&one, ME).unwrap();
    assert_eq!(send(&two, b"reply"), Ok(5));
    assert_eq!(bytes(&one, 9).unwrap(), b"reply");
    let stranger = Socket::new(Kind::Datagram);
    assert_eq!(send_with(&stranger, b"x", Some(&two), vec![]), Err(Errno::EPERM));
    assert_eq!(stranger.connect(&two, ME), Err(Errno::EPERM));
    two.disconnect();
    assert_eq!(send_with(&stranger, b"x", Some(&two), vec![]), Ok(1));
    stranger.connect(&two, ME).unwrap();
    drop(two);
    assert_eq!(send(&stranger, b"x"), Err(Errno::ECONNREFUSED));
    let huge = vec![0; DEFAULT_BUFFER];
    assert_eq!(send_with(&stranger, &huge, Some(&one), vec![]), Err(Errno::EMSGSIZE));
}

#[test]
fn datagrams_wait_in_a_short_queue() {
    let (one, two) = (Socket::<File>::new(Kind::Datagram), Socket::new(Kind::Datagram));
    one.connect(&two, ME).unwrap();
    for _ in 0..=MAX_DATAGRAMS {
        assert_eq!(send(&one, b"x"), Ok(1));
    }
    assert_eq!(send(&one, b"x"), Err(Errno::EAGAIN));
    assert!(!one.events().contains(Events::OUT));
    bytes(&two, 1).unwrap();
    assert!(one.events().contains(Events::OUT));
    assert_eq!(send(&one, b"x"), Ok(1));
}

#[test]
fn packets_are_messages_over_a_connection() {
    let [one, two] = Socket::pair(Kind::SeqPacket, ME);
    send(&one, b"first").unwrap();
    send_with(&one, b"second", None, vec![Arc::new("file")]).unwrap();
    assert_eq!(bytes(&two, 3).unwrap(), b"fir");
    let (data, got) = receive(&two, 9).unwrap();
    assert_eq!((&data[..], got.ancillary.files.len()), (&b"second"[..], 1));
    drop(one);
    assert_eq!(bytes(&two, 9).unwrap(), b"");
    assert_eq!(send(&two, b"x"), Err(Errno::EPIPE));
    assert_eq!(send(&Socket::new(Kind::SeqPacket), b"x"), Err(Errno::ENOTCONN));
}
