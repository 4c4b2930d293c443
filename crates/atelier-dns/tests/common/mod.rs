//! Questions as bytes, and the ways to send them.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::net::SocketAddr;
use std::time::Duration;

use simple_dns::{CLASS, Name, Packet, PacketFlag, QTYPE, Question};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// Long enough for any machine; nothing passes because of it.
const LIMIT: Duration = Duration::from_secs(20);

pub fn question(name: &str, kind: impl Into<QTYPE>) -> Vec<u8> {
    let mut packet = Packet::new_query(0x1234);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let name = Name::new_unchecked(name);
    packet.questions.push(Question::new(name, kind.into(), CLASS::IN.into(), false));
    packet.build_bytes_vec().unwrap()
}

pub async fn ask_udp(at: SocketAddr, question: &[u8]) -> Vec<u8> {
    let here = if at.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
    let socket = UdpSocket::bind(here).await.unwrap();
    socket.connect(at).await.unwrap();
    socket.send(question).await.unwrap();
    let mut buffer = vec![0; 65_535];
    let length = timeout(LIMIT, socket.recv(&mut buffer)).await.expect("an answer").unwrap();
    buffer.truncate(length);
    buffer
}

pub async fn ask_tcp(at: SocketAddr, question: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_u16(question.len() as u16).await.unwrap();
    stream.write_all(question).await.unwrap();
    let read = async {
        let mut reply = vec![0; usize::from(stream.read_u16().await.unwrap())];
        stream.read_exact(&mut reply).await.unwrap();
        reply
    };
    timeout(LIMIT, read).await.expect("an answer")
}
