//! Out through `cp`: a sandbox that lies about what it holds writes nowhere but where it was asked.

use std::fs;
use std::os::unix::fs::symlink;

use crate::support::{Lab, python};

/// Makes a sandbox answer a copy of `/srv/d` with an archive of its own making: `fill` adds members
/// by `add(name, text)` and `link(name, kind, to)`.
fn liar(lab: &Lab, fill: &str) -> String {
    let script = format!(
        "import tarfile, io
archive = tarfile.open('evil.tar', 'w')
def folder(name):
    member = tarfile.TarInfo(name); member.type = tarfile.DIRTYPE; member.mode = 0o755; archive.addfile(member)
def add(name, text=b'changed'):
    member = tarfile.TarInfo(name); member.size = len(text); archive.addfile(member, io.BytesIO(text))
def link(name, kind, to):
    member = tarfile.TarInfo(name); member.type = kind; member.linkname = to; archive.addfile(member)
{fill}
archive.close()"
    );
    python(lab, &script);
    let id = lab.sandbox(&[]);
    lab.sh(&id, "mkdir -p /srv/d; echo honest > /srv/d/file");
    lab.ok(&["sandbox", "cp", "evil.tar", &format!("{id}:/evil.tar")]);
    lab.sh(
        &id,
        "rm /bin/tar; printf '#!/bin/sh\\ncat /evil.tar\\n' > /bin/tar; chmod 755 /bin/tar",
    );
    id
}

#[test]
fn nothing_is_written_outside_the_target_whatever_the_archive_says() {
    let lab = Lab::with_image();
    let outside = lab.user_home().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "secret").unwrap();
    let place = outside.display();
    for (n, fill) in [
        "for n in range(1, 12): add('../' * n + 'evil'); add('d/' + '../' * n + 'evil')".to_owned(),
        format!("add('{place}/evil'); add('./{place}/evil'); add('/' + '{place}/evil')"),
        format!("folder('d'); link('d/l', tarfile.SYMTYPE, '{place}'); add('d/l/evil'); add('./d/l/evil')"),
        format!("link('l', tarfile.SYMTYPE, '{place}'); add('l/evil'); link('./l', tarfile.SYMTYPE, '{place}'); add('./l/evil')"),
        format!("link('d', tarfile.SYMTYPE, '{place}'); add('d/evil')"),
        format!("link('.', tarfile.SYMTYPE, '{place}'); add('./evil'); add('evil')"),
        "folder('d'); link('d/a', tarfile.SYMTYPE, '..'); link('d/a/b', tarfile.SYMTYPE, '..'); add('d/a/b/../../../outside/evil')".to_owned(),
        format!("folder('d'); link('d/s', tarfile.SYMTYPE, '{place}/secret'); add('d/s')"),
        format!("folder('d'); link('d/h', tarfile.LNKTYPE, '{place}/secret'); add('d/h')"),
        format!("folder('d'); link('d/s', tarfile.SYMTYPE, '{place}/secret'); link('d/h', tarfile.LNKTYPE, 'd/s'); add('d/h')"),
    ]
    .iter()
    .enumerate()
    {
        let id = liar(&lab, fill);
        let target = lab.project.join(format!("target{n}/deep/in"));
        fs::create_dir_all(&target).unwrap();
        let done = lab.run(&["sandbox", "cp", &format!("{id}:/srv/d"), target.to_str().unwrap()]);
        assert_eq!(fs::read(outside.join("secret")).unwrap(), b"secret", "{fill}: {done:?}");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1, "{fill}: {done:?}");
        for above in ["", "deep"] {
            let folder = lab.project.join(format!("target{n}")).join(above);
            assert_eq!(fs::read_dir(folder).unwrap().count(), 1, "{fill}: {done:?}");
        }
        assert!(!lab.project.join("evil").exists(), "{fill}: {done:?}");
        lab.ok(&["sandbox", "rm", "--yes", &id]);
    }
}

#[test]
fn what_is_no_archive_is_an_error_and_not_an_end_in_silence() {
    let lab = Lab::with_image();
    let id = liar(&lab, "add('d/x')");
    lab.sh(&id, "printf '#!/bin/sh\\nyes\\n' > /bin/tar");
    let done = lab.run(&["sandbox", "cp", &format!("{id}:/srv/d"), "out"]);
    assert!(done.code != 0 && done.stderr.starts_with("error: "), "{done:?}");
    lab.sh(&id, "printf '#!/bin/sh\\nexit 0\\n' > /bin/tar");
    let done = lab.run(&["sandbox", "cp", &format!("{id}:/srv/d"), "out2"]);
    assert!(done.code != 0 && done.stderr.starts_with("error: "), "{done:?}");
}

#[test]
fn a_device_or_a_program_with_more_rights_is_not_made_here() {
    let lab = Lab::with_image();
    let fill = "folder('d')
member = tarfile.TarInfo('d/shell'); member.mode = 0o6755; member.size = 2; archive.addfile(member, io.BytesIO(b'sh'))
member = tarfile.TarInfo('d/disk'); member.type = tarfile.BLKTYPE; member.devmajor = 8; archive.addfile(member)";
    let id = liar(&lab, fill);
    lab.run(&["sandbox", "cp", &format!("{id}:/srv/d"), "out"]);
    assert!(fs::symlink_metadata(lab.project.join("out/disk")).is_err());
    if let Ok(about) = fs::metadata(lab.project.join("out/shell")) {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(about.permissions().mode() & 0o6000, 0);
    }
}

#[test]
fn a_link_in_a_folder_takes_nothing_of_this_machine_along() {
    let lab = Lab::with_image();
    let secret = lab.user_home().join("secret");
    fs::write(&secret, "of the host").unwrap();
    fs::create_dir(lab.project.join("d")).unwrap();
    symlink(&secret, lab.project.join("d/link")).unwrap();
    symlink(lab.user_home(), lab.project.join("d/folder")).unwrap();
    let id = lab.sandbox(&[]);
    lab.ok(&["sandbox", "cp", "d", &format!("{id}:/srv/")]);
    let seen = lab.sh(&id, "cd /srv/d; readlink link; cat link folder/secret 2>/dev/null || true");
    assert_eq!(seen, format!("{}\n", secret.display()));
}

#[test]
fn names_that_move_a_terminal_are_shown_harmless() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&[]);
    lab.sh(&id, "mkdir /srv/d; touch \"/srv/d/$(printf 'a\\033]0;title\\007b')\"");
    for args in
        [["sandbox", "fs", "ls", &id, "/srv/d"], ["sandbox", "fs", "cat", &id, "/srv/d/\u{1b}[2J"]]
    {
        let done = lab.run(&args);
        assert!(!done.stdout.contains('\u{1b}'), "{done:?}");
    }
}
