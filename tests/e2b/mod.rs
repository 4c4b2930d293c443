//! E2B's own SDKs, unmodified, against the real binary: over plain HTTP, and by names over TLS.
//!
//! They come from PyPI and npm into cargo's folder for tests. The SDK's own test-suite is not run
//! here: `tests/e2b/run` does that, where a checkout of it is.

mod code;
mod sdk;
mod walk;
