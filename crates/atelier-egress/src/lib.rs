//! Requests of sandboxes that get headers on their way out.
//!
//! A sandbox's network stack opens a connection as its policy allows and gives both ends of it away
//! (`atelier_net::handover`). Here the requests on it get the headers of the [`Rules`] for their host:
//! what they hold, a key of an API as a rule, is known here and at the server, and never inside.
//!
//! One connection of the sandbox stays one connection to the server, with the protocol that the two
//! agree on: HTTP/1.1 or HTTP/2, bodies, trailers and upgrades (WebSocket) as they come. For TLS the
//! sandbox is shown a certificate of the home's own authority for egress ([`Egress::ca_pem`]), made for
//! the name that it asked for; the server's certificate is checked as any client would.
//!
//! What must not live here: which sandbox a connection is of, and where rules are kept.

mod carry;
mod connection;
mod error;
mod exchange;
mod reply;
mod rules;
mod tls;

pub use connection::{Connection, RulesNow, RulesSoon};
pub use error::EgressError;
pub use rules::{Headers, Rules};
pub use tls::Egress;
