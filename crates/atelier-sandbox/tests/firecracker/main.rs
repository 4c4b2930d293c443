//! The runtime `firecracker` as the fleet uses it, against stand-ins for Firecracker and its jailer
//! that keep their rules; and against Firecracker itself where KVM boots machines.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking"
)]

mod home;
mod jailer;
mod life;
mod machine;
#[allow(dead_code, reason = "the driver's own tests ask it more")]
#[path = "../../../atelier-vm/tests/firecracker/peer.rs"]
mod peer;
mod real;
#[path = "../../../atelier-vm/tests/firecracker/rules.rs"]
mod rules;
mod stand_in;
mod unfit;
mod user;
mod walls;
