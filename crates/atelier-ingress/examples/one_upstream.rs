//! The smallest use of the proxy: every host name leads to one address. Benches compare it with others.
//!
//! `one_upstream LISTEN UPSTREAM [KEYS]`: with a folder for keys it speaks TLS for `*.sandboxes.test`.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use atelier_ingress::{
    BoxFuture, Destination, Ingress, LocalCa, Names, Options, Refusal, TcpDial, TlsConfig,
    Upstream, Upstreams,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

struct One {
    key: String,
    dial: Arc<TcpDial>,
}

impl Upstreams for One {
    fn find<'a>(&'a self, _: &'a Destination<'_>) -> BoxFuture<'a, Result<Upstream, Refusal>> {
        Box::pin(async { Ok(Upstream::new(self.key.clone(), self.dial.clone())) })
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (Some(listen), Some(upstream)) = (arguments.first(), arguments.get(1)) else {
        return Err("one_upstream LISTEN UPSTREAM [KEYS]".into());
    };
    let upstream: SocketAddr = upstream.parse()?;
    let tls = arguments.get(2).map(|keys| {
        let authority = LocalCa::open(Path::new(keys), Names::of(["sandboxes.test"]))?;
        TlsConfig::local(Arc::new(authority)).map(Arc::new)
    });
    let one = One { key: upstream.to_string(), dial: Arc::new(TcpDial(upstream)) };
    let ingress = Arc::new(Ingress::new(Arc::new(one), Options::default()));
    let tls = tls.transpose()?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let listener = TcpListener::bind(listen).await?;
        ingress.serve(listener, tls, CancellationToken::new()).await;
        Ok(())
    })
}
