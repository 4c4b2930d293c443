//! Servers on this machine's loopback, for sandboxes to reach or not.

use std::io::{Read, Write};
use std::net::TcpListener;

/// A server that says "greetings" to everybody; gives its port.
pub fn greeter() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.write_all(b"greetings");
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = stream.read(&mut [0; 64]);
        }
    });
    port
}
