//! A typed client of the API over a Unix socket or TCP.
