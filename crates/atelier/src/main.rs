//! The binary: wires every part together.
fn main() {}
