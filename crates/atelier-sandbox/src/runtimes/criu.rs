//! CRIU, which can save processes of this machine's kernel: whether it works here. Nothing here saves.

use std::io::ErrorKind;
use std::time::Duration;

use tokio::process::Command;

/// It takes a fifth of a second.
const LIMIT: Duration = Duration::from_secs(10);

/// Why a snapshot of a container holds no processes on this machine, with CRIU's own words.
pub(super) async fn why_not() -> String {
    let mut command = Command::new("criu");
    command.arg("check").kill_on_drop(true);
    let about = match tokio::time::timeout(LIMIT, command.output()).await {
        Err(_) => "'criu check' does not end".to_owned(),
        Ok(Err(error)) if error.kind() == ErrorKind::NotFound => "it is not installed".to_owned(),
        Ok(Err(error)) => format!("'criu check' can't be run: {error}"),
        Ok(Ok(done)) if done.status.success() => {
            "'criu check' finds nothing wrong, but Atelier does not use it".to_owned()
        }
        Ok(Ok(done)) => format!("'criu check' says: {}", first(&done.stderr)),
    };
    format!("its processes are in this machine's kernel; of CRIU, which could save them: {about}")
}

/// The first thing that it says; what follows comes from that.
fn first(said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    let line = said.lines().map(str::trim).find(|line| !line.is_empty());
    line.unwrap_or("nothing, and fails").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_says_why() {
        let said = "Error (criu/vdso.c:381): vdso: Unexpected rt vDSO area bounds\nError: more\n";
        assert_eq!(
            first(said.as_bytes()),
            "Error (criu/vdso.c:381): vdso: Unexpected rt vDSO area bounds"
        );
        assert_eq!(first(b"\n"), "nothing, and fails");
    }
}
