//! Checks of the workspace that no stock tool makes: `cargo xtask tidy`.

mod layers;
mod locked;
mod sizes;

use anyhow::{Result, bail};

fn main() -> Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("tidy") => tidy(),
        _ => bail!("usage: cargo xtask tidy"),
    }
}

fn tidy() -> Result<()> {
    let mut findings = layers::check()?;
    findings.extend(sizes::check()?);
    findings.extend(locked::check()?);
    if findings.is_empty() {
        println!("tidy: nothing to say");
        return Ok(());
    }
    for finding in &findings {
        eprintln!("tidy: {finding}");
    }
    bail!("{} findings", findings.len());
}
