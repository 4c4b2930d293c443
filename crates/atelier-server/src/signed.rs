//! Signed file URLs of the E2B SDKs. Where one address serves every sandbox such a URL names none: the
//! sandbox is the one whose token the signature was made with.

use std::collections::HashMap;

use axum::extract::Query;
use axum::http::{Method, Uri};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::app::App;

/// The sandbox that a signed URL is for.
pub(crate) fn sandbox(app: &App, method: &Method, uri: &Uri) -> Option<Uuid> {
    if uri.path() != "/files" {
        return None;
    }
    let Query(query) = Query::<HashMap<String, String>>::try_from_uri(uri).ok()?;
    let shown = query.get("signature")?;
    let operation = if method == Method::GET { "read" } else { "write" };
    let text = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
    let begin = format!("{}:{operation}:{}", text("path"), text("username"));
    let end = query.get("signature_expiration").map(|at| format!(":{at}")).unwrap_or_default();
    app.fleet.signer(|token| signature(&format!("{begin}:{token}{end}")) == *shown)
}

fn signature(text: &str) -> String {
    format!("v1_{}", STANDARD_NO_PAD.encode(Sha256::digest(text.as_bytes())))
}
