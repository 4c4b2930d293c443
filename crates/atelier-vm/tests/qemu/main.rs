//! Real QEMU machines, emulated where KVM does not work. Each test says so and passes where the
//! host has no QEMU or no kernel for them.

mod boot;
mod copies;
mod host;
