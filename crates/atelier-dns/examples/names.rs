//! Serves names for `benches/dns`: `names ADDRESS COUNT` has `s0.env.test` and so on. A line
//! `NAME ADDRESS...` on its input changes one while it runs. It ends with its input.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::{IpAddr, SocketAddr};

use atelier_dns::{Options, Record, Server, Zone};
use tokio::io::{AsyncBufReadExt, BufReader};

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let listen: SocketAddr = arguments.next().expect("ADDRESS").parse().expect("an address");
    let count: u32 = arguments.next().expect("COUNT").parse().expect("a number");
    let zone = Zone::new(["test"]).unwrap();
    for number in 0..count {
        let [_, _, high, low] = number.to_be_bytes();
        let name = format!("s{number}.env.test");
        zone.set(&name, vec![Record::new(&name, [IpAddr::from([10, 201, high, low])])]).unwrap();
    }
    let options = Options { listen: vec![listen], ..Options::default() };
    let server = Server::start(zone.clone(), options).await.expect("a server");
    println!("{}", server.addresses()[0]);
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        let (name, addresses) = line.split_once(' ').expect("NAME ADDRESS...");
        let addresses = addresses.split(' ').map(|address| address.parse().unwrap());
        zone.set(name, vec![Record::new(name, addresses)]).unwrap();
    }
    server.stop().await;
}
