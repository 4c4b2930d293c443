//! The server, asked with dig and with hand-made messages.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::net::IpAddr;
use std::process::Command;
use std::time::Duration;

use atelier_dns::{Error, Options, Record, Server, Zone};
use common::{ask_tcp, ask_udp, question};
use simple_dns::rdata::RData;
use simple_dns::{Packet, PacketFlag, QTYPE, RCODE, TYPE};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn zone() -> Zone {
    let zone = Zone::new(["test", "dev.example.org"]).unwrap();
    let records = vec![
        Record::new("API.agent-1.test", [ip("10.201.0.3"), ip("fd00:a7e1::3")]).with_pointer(),
        Record::new("deep.down.agent-1.test", [ip("10.201.0.4")]),
        Record::new("*.shop.agent-1.test", [ip("10.201.0.5")]),
        Record::new("shop.agent-1.test", [ip("10.201.0.5")]),
    ];
    zone.set("shop/agent-1", records).unwrap();
    zone
}

async fn server_with(zone: &Zone, change: impl FnOnce(&mut Options)) -> Server {
    let mut options =
        Options { listen: vec!["127.0.0.1:0".parse().unwrap()], ..Options::default() };
    change(&mut options);
    Server::start(zone.clone(), options).await.unwrap()
}

async fn server(zone: &Zone) -> Server {
    server_with(zone, |_| {}).await
}

/// What dig prints. `None` when there is no dig on this machine.
async fn dig(server: &Server, more: &[&str]) -> Option<String> {
    let address = server.addresses()[0];
    let mut command = Command::new("dig");
    command.arg(format!("@{}", address.ip())).args(["-p", &address.port().to_string()]);
    command.args(["+time=5", "+tries=1"]).args(more);
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap();
    let Ok(output) = output else {
        eprintln!("skipped: there is no dig (bind9-dnsutils)");
        return None;
    };
    assert!(output.status.success(), "{output:?}");
    Some(String::from_utf8(output.stdout).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn dig_gets_addresses_of_both_kinds_with_authority_and_no_ttl() {
    let server = server(&zone()).await;
    let Some(text) = dig(&server, &["api.agent-1.test", "A"]).await else { return };
    assert!(text.contains("status: NOERROR") && text.contains("flags: qr aa rd;"), "{text}");
    assert!(text.contains("api.agent-1.test.\t0\tIN\tA\t10.201.0.3"), "{text}");
    assert!(text.contains("EDNS: version: 0"), "{text}");
    let text = dig(&server, &["+short", "api.agent-1.test", "AAAA"]).await.unwrap();
    assert_eq!(text, "fd00:a7e1::3\n");
    let text = dig(&server, &["+tcp", "+short", "any.shop.agent-1.test"]).await.unwrap();
    assert_eq!(text, "10.201.0.5\n");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dig_sees_the_difference_between_no_address_and_no_name() {
    let server = server(&zone()).await;
    for name in ["deep.down.agent-1.test", "down.agent-1.test", "agent-1.test", "test"] {
        let Some(text) = dig(&server, &[name, "AAAA"]).await else { return };
        assert!(text.contains("status: NOERROR") && text.contains("ANSWER: 0"), "{text}");
        assert!(text.contains("test.\t\t\t0\tIN\tSOA\tlocalhost. nobody.invalid."), "{text}");
    }
    for name in ["nowhere.test", "agent-2.test", "x.api.agent-1.test"] {
        let text = dig(&server, &[name, "A"]).await.unwrap();
        assert!(text.contains("status: NXDOMAIN") && text.contains("SOA"), "{text}");
        assert!(text.contains("aa"), "{text}");
    }
    for name in ["example.org", "mytest", "."] {
        let text = dig(&server, &[name, "A"]).await.unwrap();
        assert!(text.contains("status: REFUSED"), "{text}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dig_is_told_about_the_zone_itself() {
    let server = server(&zone()).await;
    let Some(text) = dig(&server, &["+short", "dev.example.org", "NS"]).await else { return };
    assert_eq!(text, "localhost.\n");
    let text = dig(&server, &["+short", "test", "SOA"]).await.unwrap();
    assert!(text.starts_with("localhost. nobody.invalid. "), "{text}");
    let text = dig(&server, &["+notcp", "api.agent-1.test", "ANY"]).await.unwrap();
    assert!(text.contains("HINFO\t\"RFC8482\" \"\""), "{text}");
    let text = dig(&server, &["test", "AXFR"]).await.unwrap();
    assert!(text.contains("Transfer failed"), "{text}");
    let text = dig(&server, &["+opcode=notify", "test", "SOA"]).await.unwrap();
    assert!(text.contains("status: NOTIMP"), "{text}");
    let text = dig(&server, &["+edns=1", "+noednsnegotiation", "api.agent-1.test"]).await.unwrap();
    assert!(text.contains("status: BADVERS"), "{text}");
    let text = dig(&server, &["+dnssec", "api.agent-1.test"]).await.unwrap();
    assert!(text.contains("status: NOERROR") && text.contains("flags: do;"), "{text}");
    let text = dig(&server, &["version.bind", "CH", "TXT"]).await.unwrap();
    assert!(text.contains("status: REFUSED"), "{text}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_lead_back_to_the_names_that_want_it() {
    let ranges = ["10.201.0.0/16", "fd00:a7e1::/32"].map(|r| r.parse().unwrap()).to_vec();
    let server = server_with(&zone(), |o| o.reverse = ranges).await;
    let Some(text) = dig(&server, &["+short", "-x", "10.201.0.3"]).await else { return };
    assert_eq!(text, "api.agent-1.test.\n");
    let text = dig(&server, &["+short", "-x", "fd00:a7e1::3"]).await.unwrap();
    assert_eq!(text, "api.agent-1.test.\n");
    let text = dig(&server, &["-x", "10.201.0.4"]).await.unwrap();
    assert!(text.contains("status: NXDOMAIN") && text.contains("201.10.in-addr.arpa."), "{text}");
    let text = dig(&server, &["0.201.10.in-addr.arpa", "PTR"]).await.unwrap();
    assert!(text.contains("status: NOERROR") && text.contains("ANSWER: 0"), "{text}");
    let text = dig(&server, &["-x", "10.202.0.1"]).await.unwrap();
    assert!(text.contains("status: REFUSED"), "{text}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_a_datagram_is_there_over_tcp() {
    let zone = zone();
    let many = (0..200).map(|n| IpAddr::from([10, 201, 1, n]));
    zone.set("many", vec![Record::new("many.test", many)]).unwrap();
    let server = server(&zone).await;
    let at = server.addresses()[0];
    let asked = question("many.test", TYPE::A);
    let cut = ask_udp(at, &asked).await;
    let cut = Packet::parse(&cut).unwrap();
    assert!(cut.has_flags(PacketFlag::TRUNCATION) && cut.answers.is_empty());
    let whole = ask_tcp(at, &asked).await;
    assert_eq!(Packet::parse(&whole).unwrap().answers.len(), 200);
    if let Some(text) = dig(&server, &["+short", "many.test"]).await {
        assert_eq!(text.lines().count(), 200, "dig asks again over TCP");
    }
    server.stop().await;
}

#[tokio::test]
async fn upper_and_lower_case_come_back_as_they_were() {
    let server = server(&zone()).await;
    let reply = ask_udp(server.addresses()[0], &question("aPi.AgEnT-1.TeSt", TYPE::A)).await;
    let reply = Packet::parse(&reply).unwrap();
    assert_eq!(reply.questions[0].qname.to_string(), "aPi.AgEnT-1.TeSt");
    assert_eq!(reply.answers[0].name.to_string(), "aPi.AgEnT-1.TeSt");
    server.stop().await;
}

#[tokio::test]
async fn each_of_several_addresses_comes_first_in_its_turn() {
    let zone = zone();
    let addresses = ["10.201.0.1", "10.201.0.2", "10.201.0.3"].map(ip);
    zone.set("web", vec![Record::new("web.test", addresses)]).unwrap();
    let server = server(&zone).await;
    let mut first = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let reply = ask_udp(server.addresses()[0], &question("web.test", TYPE::A)).await;
        let reply = Packet::parse(&reply).unwrap();
        assert_eq!(reply.answers.len(), 3);
        let RData::A(a) = &reply.answers[0].rdata else { panic!("{reply:?}") };
        first.insert(a.address);
    }
    assert_eq!(first.len(), 3);
    server.stop().await;
}

#[tokio::test]
async fn it_listens_on_several_addresses_and_says_on_which_ports() {
    let listen = ["127.0.0.1:0", "127.0.0.2:0", "[::1]:0"].map(|a| a.parse().unwrap()).to_vec();
    let server = server_with(&zone(), |o| o.listen = listen).await;
    for at in server.addresses() {
        assert_ne!(at.port(), 0);
        for reply in [
            ask_udp(*at, &question("shop.agent-1.test", TYPE::A)).await,
            ask_tcp(*at, &question("shop.agent-1.test", TYPE::A)).await,
        ] {
            assert_eq!(Packet::parse(&reply).unwrap().answers.len(), 1, "{at}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_stopped_server_has_freed_its_port_and_a_taken_one_is_said() {
    let first = server(&zone()).await;
    let at = first.addresses()[0];
    let again = || Options { listen: vec![at], ..Options::default() };
    let error = Server::start(zone(), again()).await.unwrap_err();
    assert!(matches!(error, Error::Listen { .. }), "{error}");
    assert_eq!(atelier_api::Fault::exit(&error), atelier_api::ExitCode::PortInUse);
    first.stop().await;
    Server::start(zone(), again()).await.unwrap().stop().await;
}

#[tokio::test]
async fn options_that_would_not_work_are_refused() {
    for (listen, forward) in [("0.0.0.0:0", "127.0.0.1:53"), ("127.0.0.1:5300", "127.0.0.1:5300")] {
        let options = Options {
            listen: vec![listen.parse().unwrap()],
            forward: vec![forward.parse().unwrap()],
            ..Options::default()
        };
        assert!(matches!(Server::start(zone(), options).await, Err(Error::Options(_))));
    }
    assert!(Zone::new([""; 0]).is_err());
    let outside = zone().set("x", vec![Record::new("example.com", [])]);
    assert!(matches!(outside, Err(Error::Outside { .. })));
}

#[tokio::test]
async fn questions_for_others_are_carried_to_them_and_back() {
    let elsewhere = Zone::new(["example.net"]).unwrap();
    let many = (0..200).map(|n| IpAddr::from([192, 0, 2, n]));
    elsewhere.set("x", vec![Record::new("www.example.net", many)]).unwrap();
    let upstream = server(&elsewhere).await;
    // The first one answers nothing: its socket is there, and nobody reads it.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let forward = vec![silent.local_addr().unwrap(), upstream.addresses()[0]];
    let server = server_with(&zone(), |o| {
        o.forward = forward;
        o.forward_timeout = Duration::from_millis(200);
    })
    .await;
    let at = server.addresses()[0];
    let cut = ask_udp(at, &question("www.example.net", TYPE::A)).await;
    assert!(Packet::parse(&cut).unwrap().has_flags(PacketFlag::TRUNCATION));
    let whole = ask_tcp(at, &question("www.example.net", TYPE::A)).await;
    assert_eq!(Packet::parse(&whole).unwrap().answers.len(), 200);
    let none = ask_udp(at, &question("nothing.example.net", TYPE::A)).await;
    assert_eq!(Packet::parse(&none).unwrap().rcode(), RCODE::NameError);
    // Ours stay ours.
    let ours = ask_udp(at, &question("nothing.test", TYPE::A)).await;
    let ours = Packet::parse(&ours).unwrap();
    assert!(ours.has_flags(PacketFlag::AUTHORITATIVE_ANSWER | PacketFlag::RECURSION_AVAILABLE));
    upstream.stop().await;
    let failed = ask_udp(at, &question("www.example.net", TYPE::A)).await;
    assert_eq!(Packet::parse(&failed).unwrap().rcode(), RCODE::ServerFailure);
    server.stop().await;
}

#[tokio::test]
async fn one_connection_carries_many_questions() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let server = server(&zone()).await;
    let mut stream = tokio::net::TcpStream::connect(server.addresses()[0]).await.unwrap();
    let asked = question("api.agent-1.test", QTYPE::TYPE(TYPE::A));
    let mut all = Vec::new();
    for _ in 0..20 {
        all.extend_from_slice(&u16::try_from(asked.len()).unwrap().to_be_bytes());
        all.extend_from_slice(&asked);
    }
    stream.write_all(&all).await.unwrap();
    for _ in 0..20 {
        let mut reply = vec![0; usize::from(stream.read_u16().await.unwrap())];
        stream.read_exact(&mut reply).await.unwrap();
        assert_eq!(Packet::parse(&reply).unwrap().answers.len(), 1);
    }
    server.stop().await;
}
