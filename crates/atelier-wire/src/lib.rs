//! The protocol: Connect RPC with JSON, its framing, its errors, and the messages.
//!
//! Field names and meanings are those of E2B's `process.proto` and `filesystem.proto`; fields that
//! only Atelier knows say so. No I/O lives here.

mod encoding;
mod envelope;
mod error;
mod filesystem;
mod process;
mod signal;

pub use encoding::{Blob, int64};
pub use envelope::{Decoder, END_STREAM, Frame, encode, end_frame, json_frame};
pub use error::{Code, ConnectError};
pub use filesystem::*;
pub use process::*;
pub use signal::{SignalNumber, signal_description};

/// The content type of a unary call.
pub const UNARY_TYPE: &str = "application/json";
/// The content type of a streaming call.
pub const STREAM_TYPE: &str = "application/connect+json";
/// The version of E2B's daemon whose behaviour this protocol has; SDKs choose features by it.
pub const ENVD_VERSION: &str = "0.6.13";
