//! The bridge as an agent starts it: `bridged http|sse URL [NAME=VALUE of a header]...`.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

use atelier_mcp::{BridgeOptions, Note, Target, bridge_stdio};

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(kind), Some(url)) = (arguments.next(), arguments.next()) else {
        return ExitCode::from(2);
    };
    let pairs = arguments.filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        Some((name.to_owned(), value.to_owned()))
    });
    let headers: BTreeMap<_, _> = pairs.collect();
    let target = match kind.as_str() {
        "sse" => Target::Sse { url, headers },
        _ => Target::Http { url, headers },
    };
    let note: Note = Arc::new(|line| eprintln!("{line}"));
    let options = BridgeOptions { note: Some(note), ..BridgeOptions::default() };
    match bridge_stdio(&target, &options).await {
        Ok(()) => std::process::exit(0),
        Err(error) => {
            eprintln!("{error}");
            std::process::exit(6);
        }
    }
}
