//! The number of packages that a build brings in is capped.

use anyhow::{Context, Result};

/// The design's cap.
const MOST: usize = 600;

/// Too many packages.
pub fn check() -> Result<Vec<String>> {
    let lock = std::fs::read_to_string("Cargo.lock").context("Cargo.lock")?;
    let packages = lock.lines().filter(|line| *line == "[[package]]").count();
    println!("tidy: {packages} locked packages of at most {MOST}");
    Ok((packages > MOST)
        .then(|| format!("Cargo.lock holds {packages} packages"))
        .into_iter()
        .collect())
}
