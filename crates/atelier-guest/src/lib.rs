//! The guest: serves processes, terminals, files and health inside a sandbox.
