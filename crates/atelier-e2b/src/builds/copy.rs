//! `COPY`: an uploaded archive is unpacked in the sandbox, and what was asked for of it is put in
//! its place. Symbolic links were resolved, or not, by the client when it made the archive.

use tokio::io::{AsyncReadExt, AsyncSeekExt};

use super::order::Copy;
use super::shell::{Context, Lines, Shell};
use super::words::quote;
use crate::uploads;

/// What puts the files in their place.
const SCRIPT: &str = include_str!("copy.sh");

pub(super) async fn copy(
    shell: &Shell,
    copy: &Copy,
    context: &Context,
    lines: &Lines<'_>,
) -> Result<(), String> {
    let missing = || format!("the files {} were not uploaded", copy.hash);
    let mut archive = tokio::fs::File::open(&copy.archive).await.map_err(|_| missing())?;
    let packed = is_packed(&mut archive).await.map_err(|_| missing())?;
    uploads::used(&copy.archive).await;
    let root = context.as_root();
    let place = Place::new(&copy.hash);
    shell
        .files()
        .write_from(&place.archive, archive)
        .await
        .map_err(|error| format!("failed to copy the archive to the sandbox: {error}"))?;
    let unpack = format!(
        "mkdir -p {0} && tar -x{2}f {1} -C {0} && rm -f {1}",
        quote(&place.unpacked),
        quote(&place.archive),
        if packed { "z" } else { "" },
    );
    let unpacked = shell.run(&unpack, &root, lines).await;
    let moved = match unpacked {
        Ok(()) => {
            let script = script(copy, context, &place.unpacked);
            let moved = shell.run(&script, &root, lines).await;
            moved.map_err(|why| format!("failed to move files in sandbox: {why}"))
        }
        Err(why) => Err(format!("failed to extract files: {why}")),
    };
    let cleaned = shell.run(&format!("rm -rf {}", quote(&place.folder)), &root, lines).await;
    moved.and(cleaned)
}

/// Whether it is packed by gzip: GNU's tar sees that for itself, BusyBox's wants to be told.
async fn is_packed(archive: &mut tokio::fs::File) -> std::io::Result<bool> {
    let mut begin = Vec::new();
    (&mut *archive).take(2).read_to_end(&mut begin).await?;
    archive.rewind().await?;
    Ok(begin == [0x1f, 0x8b])
}

struct Place {
    folder: String,
    archive: String,
    unpacked: String,
}

impl Place {
    fn new(hash: &str) -> Self {
        let folder = format!("/var/tmp/.e2b-copy-{hash}");
        Self { archive: format!("{folder}/files.tar"), unpacked: format!("{folder}/files"), folder }
    }
}

/// The script with what it is about in variables before it.
fn script(copy: &Copy, context: &Context, unpacked: &str) -> String {
    let owner = copy.owner.clone().unwrap_or_else(|| format!("{0}:{0}", context.user));
    let home = format!("$(eval echo ~{})", context.user);
    let workdir = context.workdir.as_ref().map_or(format!("\"{home}\""), |dir| quote(dir));
    format!(
        "name={}\nsource={}\ntarget={}\nowner={}\nmode={}\nworkdir={workdir}\n{SCRIPT}",
        quote(&copy.from),
        quote(&format!("{unpacked}/{}", copy.from)),
        quote(&copy.to),
        quote(&owner),
        quote(copy.mode.as_deref().unwrap_or_default()),
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::path::Path;
    use std::process::Command;

    use super::*;

    /// Runs the script on a folder as the user of the test.
    fn put(root: &Path, from: &str, to: &str, mode: Option<&str>) -> bool {
        let meta = std::fs::metadata(root).unwrap();
        let copy = Copy {
            archive: root.join("unused"),
            hash: String::new(),
            from: from.to_owned(),
            to: to.to_owned(),
            owner: Some(format!("{}:{}", meta.uid(), meta.gid())),
            mode: mode.map(str::to_owned),
        };
        let context = Context {
            user: "user".to_owned(),
            workdir: Some(root.join("home").to_str().unwrap().to_owned()),
            ..Context::default()
        };
        let script = script(&copy, &context, root.join("files").to_str().unwrap());
        Command::new("sh").args(["-c", &script]).status().unwrap().success()
    }

    fn unpacked() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("files/folder");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("test.txt"), "new").unwrap();
        symlink("test.txt", folder.join("link.txt")).unwrap();
        symlink("nowhere", folder.join("dangling")).unwrap();
        std::fs::create_dir_all(root.path().join("home")).unwrap();
        root
    }

    #[test]
    fn a_folder_is_merged_into_its_target() {
        let root = unpacked();
        let target = root.path().join("home/folder");
        std::fs::create_dir_all(&target).unwrap();
        std::fs::write(target.join("kept.txt"), "kept").unwrap();
        symlink(root.path().join("outside"), target.join("test.txt")).unwrap();
        assert!(put(root.path(), "folder", "folder", None));
        assert_eq!(std::fs::read_to_string(target.join("test.txt")).unwrap(), "new");
        assert_eq!(std::fs::read_to_string(target.join("kept.txt")).unwrap(), "kept");
        assert!(target.join("dangling").is_symlink());
        assert!(!root.path().join("outside").exists(), "a link is replaced, not written through");
    }

    #[test]
    fn a_file_becomes_its_target_or_goes_into_it() {
        let root = unpacked();
        assert!(put(root.path(), "folder/test.txt", "a/b/named.txt", Some("600")));
        let named = root.path().join("home/a/b/named.txt");
        assert_eq!(std::fs::metadata(named).unwrap().permissions().mode() & 0o777, 0o600);
        let target = format!("{}/abs/", root.path().display());
        assert!(put(root.path(), "folder/link.txt", &target, Some("777")));
        assert!(root.path().join("abs/link.txt").is_symlink());
    }

    #[test]
    fn a_mode_is_given_to_all_but_links() {
        let root = unpacked();
        assert!(put(root.path(), ".", "all", Some("755")));
        let file = root.path().join("home/all/folder/test.txt");
        assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o755);
    }

    #[test]
    fn what_is_not_in_the_archive_is_an_error() {
        assert!(!put(unpacked().path(), "absent", "x", None));
    }
}
