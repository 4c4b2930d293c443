//! The Model Context Protocol: what agents and their tools speak with one another.
//!
//! What lives here: a client that looks at a server and calls its tools ([`Client`]), a bridge that
//! makes a remote server one of standard input and output ([`bridge()`]), a server over a table of tools
//! ([`serve`]), and the permission of a user for a remote server ([`OAuth`]). The official SDK (`rmcp`)
//! is named in this crate only, and in no signature. Which servers there are, where their secrets
//! lie and which agent uses them is the callers' business.

mod bridge;
mod child;
mod client;
mod error;
mod http;
mod limits;
mod lines;
mod mask;
mod oauth;
mod server;
mod sse;
mod target;

pub use bridge::{BridgeOptions, Note, bridge, bridge_stdio};
pub use client::{
    Answer, Ask, Asker, Called, Client, ClientOptions, Handshake, Inspection, OfferedPrompt,
    OfferedResource, OfferedTool, call, defaults_of, inspect,
};
pub use error::{McpError, Result};
pub use limits::Limits;
pub use oauth::{Consent, LoopbackConsent, OAuth, Registered, TokenStore};
pub use server::{
    Confirmed, Context, HttpBody, HttpOptions, HttpService, Manner, Prompt, Resource, Shelf, Table,
    Tool, serve, serve_http, serve_stdio,
};
pub use target::Target;
