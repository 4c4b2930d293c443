//! What the server must live through: messages that are none, and changes while it is asked.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use atelier_dns::{Options, Record, Server, Zone};
use common::{ask_tcp, ask_udp, question};
use proptest::prelude::*;
use simple_dns::rdata::RData;
use simple_dns::{Packet, RCODE, TYPE};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

fn zone() -> Zone {
    let zone = Zone::new(["test"]).unwrap();
    zone.set("a", vec![Record::new("a.test", ["10.0.0.1".parse().unwrap()])]).unwrap();
    zone
}

async fn server(zone: &Zone) -> Server {
    let listen = vec!["127.0.0.1:0".parse().unwrap()];
    let options = Options { listen, tcp_limit: 4, ..Options::default() };
    Server::start(zone.clone(), options).await.unwrap()
}

async fn assert_alive(at: SocketAddr) {
    for reply in [
        ask_udp(at, &question("a.test", TYPE::A)).await,
        ask_tcp(at, &question("a.test", TYPE::A)).await,
    ] {
        assert_eq!(Packet::parse(&reply).unwrap().answers.len(), 1);
    }
}

/// Any bytes, and questions with some bytes changed, cut or added: those come further.
fn messages() -> impl Strategy<Value = Vec<u8>> {
    let question = prop_oneof![
        Just(question("a.test", TYPE::A)),
        Just([question("b.a.test", TYPE::PTR), b"\0\0\x29\x10\0\0\0\x80\0\0\0".to_vec()].concat()),
    ];
    let bytes = prop::collection::vec(any::<u8>(), 0..300);
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
    let changed = (question, changes, bytes.clone(), any::<prop::sample::Index>(), any::<bool>())
        .prop_map(|(mut message, changes, more, end, cut)| {
            message[11] = 1;
            for (at, byte) in changes {
                let at = at.index(message.len());
                message[at] = byte;
            }
            if cut {
                message.truncate(end.index(message.len()));
            } else if end.index(3) == 0 {
                message.extend(more);
            }
            message
        });
    prop_oneof![1 => bytes, 6 => changed]
}

#[test]
fn no_message_ends_it_and_each_reply_belongs_to_its_question() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let zone = zone();
    let server = runtime.block_on(server(&zone));
    let at = server.addresses()[0];
    let socket = runtime.block_on(async {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(at).await.unwrap();
        socket
    });
    let config = ProptestConfig { cases: 3000, failure_persistence: None, ..Default::default() };
    let result = proptest::test_runner::TestRunner::new(config).run(&messages(), |message| {
        runtime.block_on(async {
            // A question behind it tells that the first was dealt with, answered or not.
            let mut probe = question("a.test", TYPE::A);
            probe[..2].copy_from_slice(b"ok");
            socket.send(&message).await.unwrap();
            socket.send(&probe).await.unwrap();
            let mut buffer = [0; 65_535];
            loop {
                let wait = tokio::time::timeout(Duration::from_secs(20), socket.recv(&mut buffer));
                let Ok(received) = wait.await else { panic!("no answer after {message:02x?}") };
                let reply = &buffer[..received.unwrap()];
                assert!(reply.len() >= 12 && reply[2] & 0x80 != 0, "{reply:02x?}");
                if reply[..2] == *b"ok" && Packet::parse(reply).is_ok_and(|p| p.answers.len() == 1)
                {
                    break;
                }
                assert_eq!(reply[..2], message[..2], "to {message:02x?}");
            }
        });
        Ok(())
    });
    result.unwrap();
    runtime.block_on(async {
        assert_alive(at).await;
        server.stop().await;
    });
}

#[tokio::test]
async fn messages_that_break_the_format_are_told_so() {
    let server = server(&zone()).await;
    let at = server.addresses()[0];
    let good = question("a.test", TYPE::A);
    type Change = fn(&mut Vec<u8>);
    let broken: [(&str, Change); 5] = [
        ("two questions", |m| m[5] = 2),
        ("no question", |m| m[5] = 0),
        ("an answer", |m| m[7] = 1),
        ("65535 extras", |m| m[10..12].fill(0xff)),
        ("half of it", |m| m.truncate(15)),
    ];
    for (what, change) in broken {
        let mut message = good.clone();
        change(&mut message);
        let reply = ask_udp(at, &message).await;
        assert_eq!(Packet::parse(&reply).unwrap().rcode(), RCODE::FormatError, "{what}");
        assert_eq!(reply[..2], message[..2], "{what}");
    }
    server.stop().await;
}

#[tokio::test]
async fn connections_that_say_nothing_or_nonsense_do_not_keep_others_out() {
    let server = server(&zone()).await;
    let at = server.addresses()[0];
    for bytes in [&b""[..], b"\0", b"\0\0", b"\xff\xff abc", b"\0\x0c123456789012", b"\0\x01x"] {
        let mut stream = TcpStream::connect(at).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        assert_alive(at).await;
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_answer_is_of_one_moment_while_records_change() {
    // All names of an owner move together: no reply may mix two generations, and once a change is
    // made, no later question gets the one before.
    let zone = zone();
    let server = server(&zone).await;
    let at = server.addresses()[0];
    let generation = |n: u8| (1..=8).map(move |last| IpAddr::from([10, 1, n, last]));
    zone.set("g", vec![Record::new("g.test", generation(0))]).unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let mut readers = Vec::new();
    for _ in 0..3 {
        let done = done.clone();
        readers.push(tokio::spawn(async move {
            let mut asked = 0;
            while !done.load(Ordering::Relaxed) {
                let generations = generations(&ask_udp(at, &question("g.test", TYPE::A)).await);
                assert_eq!(generations.len(), 8);
                assert!(generations.windows(2).all(|w| w[0] == w[1]), "{generations:?}");
                asked += 1;
            }
            asked
        }));
    }
    for n in 1..=200 {
        zone.set("g", vec![Record::new("g.test", generation(n))]).unwrap();
        zone.set(&format!("other-{n}"), vec![Record::new(format!("x{n}.g.test"), [])]).unwrap();
        assert_eq!(generations(&ask_udp(at, &question("g.test", TYPE::A)).await)[0], n);
        zone.remove(&format!("other-{n}"));
    }
    done.store(true, Ordering::Relaxed);
    for reader in readers {
        assert!(reader.await.unwrap() > 0);
    }
    server.stop().await;
}

fn generations(reply: &[u8]) -> Vec<u8> {
    let packet = Packet::parse(reply).unwrap();
    let address = |data: &RData<'_>| match data {
        RData::A(a) => a.address.to_be_bytes()[2],
        other => panic!("{other:?}"),
    };
    packet.answers.iter().map(|record| address(&record.rdata)).collect()
}
