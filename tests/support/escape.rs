//! A static program that tries the ways out of a sandbox by system calls, which no shell can make.

use std::path::PathBuf;
use std::process::Command;

use super::Lab;

const SOURCE: &str = include_str!("escape.c");

/// Builds it in the lab and gives where it is. It needs the C compiler that every build needs.
pub fn helper(lab: &Lab) -> PathBuf {
    let source = lab.user_home().join("escape.c");
    let program = lab.user_home().join("escape");
    std::fs::write(&source, SOURCE).unwrap();
    let mut cc = Command::new("cc");
    let built = cc.args(["-static", "-O1", "-o"]).arg(&program).arg(&source);
    let built = built.output().expect("cc is missing: apt-get install gcc libc6-dev");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    program
}

/// Every line that the program wrote must say that it was refused.
pub fn all_refused(said: &str) {
    assert!(said.contains("refused"), "nothing was tried: {said}");
    let open: Vec<_> = said.lines().filter(|line| line.starts_with("OPEN")).collect();
    assert!(open.is_empty(), "let through: {open:#?}");
}
