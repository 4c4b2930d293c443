//! Our own program, put on a host: the very file that runs here.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::error::{FarError, Result};
use crate::probe::Facts;
use crate::quote;
use crate::ssh::Ssh;

/// Copies of other builds that nobody asked for in so many days go. Whose they are copies them again.
const DAYS: u32 = 30;

/// Puts it there, under a name of its own for each build.
pub(crate) fn install(ssh: &Ssh, facts: &Facts, program: &Path) -> Result<()> {
    let host = &ssh.host().name;
    let ours = format!("Linux {}", std::env::consts::ARCH);
    // The kernel calls it by the same names as the compiler, for what we are built for.
    if facts.machine != ours {
        return Err(FarError::Machine { host: host.clone(), theirs: facts.machine.clone(), ours });
    }
    let file = File::open(program).map_err(|e| FarError::here("read", program, e))?;
    let metadata = file.metadata().map_err(|e| FarError::here("read", program, e))?;
    // A build is told from another by its size and its time.
    let (length, time) = (metadata.len(), metadata.mtime());
    let (home, target) = (quote::shell(&facts.home), quote::shell(&facts.program));
    let script = format!(
        r#"set -e
umask 077
mkdir -p {home}/bin/far
new={target}.new-$$
trap 'rm -f "$new"' EXIT
cat >"$new"
[ "$(wc -c <"$new")" -eq {length} ] || {{ echo "the copy is not whole" >&2; exit 1; }}
chmod 700 "$new"
touch -d @{time} "$new"
mv "$new" {target}
find {home}/bin/far -name 'atelier-*' -ctime +{DAYS} ! -path {target} -delete || true"#
    );
    let ran = ssh.run(&script, file.into())?;
    if ran.code != Some(0) {
        return Err(FarError::there(host, "copying this program", &ran.stderr));
    }
    Ok(())
}
