//! The Firecracker driver against a peer that keeps Firecracker's rules; and against Firecracker
//! itself where it is installed and KVM boots machines.

mod driver;
mod jail;
mod peer;
mod rules;
