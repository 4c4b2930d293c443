//! E2B's own SDKs, unmodified, against the real binary: over plain HTTP, and by names over TLS.
//!
//! They come from PyPI and npm into cargo's folder for tests, and so does E2B's command line. The
//! SDKs' own test-suites are not run here: `tests/e2b/run` does that, where a checkout of them is.

mod cli;
mod code;
mod sdk;
mod walk;
