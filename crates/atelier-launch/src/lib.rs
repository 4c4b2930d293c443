//! The launcher of the host runtime: namespaces, a copy-on-write view of this machine, confinement.
