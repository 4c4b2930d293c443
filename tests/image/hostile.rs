//! Archives that want to write elsewhere, bring devices, or are far larger than they look.

use crate::support::{Lab, python};

/// Writes `bad.tar`, of which `fill` adds members by `add(name, text)` and `special(name, kind, to)`.
fn archive(lab: &Lab, fill: &str) {
    let script = format!(
        "import tarfile, io
archive = tarfile.open('bad.tar', 'w')
def add(name, text):
    member = tarfile.TarInfo(name); member.size = len(text); archive.addfile(member, io.BytesIO(text))
def special(name, kind, to='', major=0, minor=0):
    member = tarfile.TarInfo(name); member.type = kind; member.linkname = to
    member.devmajor = major; member.devminor = minor; archive.addfile(member)
{fill}
archive.close()"
    );
    python(lab, &script);
}

#[test]
fn nothing_is_written_outside_whatever_the_names_say() {
    let lab = Lab::new();
    let outside = lab.user_home().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("secret"), "secret").unwrap();
    let place = outside.display();
    let up = "../".repeat(12);
    for (what, fill) in [
        ("dots", format!("add('{up}{place}/evil', b'x')")),
        ("dots in the middle", format!("add('a/{up}{place}/evil', b'x')")),
        ("absolute", format!("add('{place}/evil', b'x')")),
        (
            "through a link",
            format!("special('l', tarfile.SYMTYPE, '{place}'); add('l/evil', b'x')"),
        ),
        (
            "through a link to a link",
            format!(
                "special('a', tarfile.SYMTYPE, '/'); special('b', tarfile.SYMTYPE, 'a{place}'); add('b/evil', b'x')"
            ),
        ),
        (
            "over a link",
            format!("special('l', tarfile.SYMTYPE, '{place}/secret'); add('l', b'changed')"),
        ),
        (
            "a hard link out",
            format!("special('h', tarfile.LNKTYPE, '{place}/secret'); add('h', b'changed')"),
        ),
        ("a hard link up", format!("special('h', tarfile.LNKTYPE, '{up}{place}/secret')")),
        ("a whiteout", format!("add('{up}{place}/.wh.secret', b'')")),
        (
            "a whiteout through a link",
            format!("special('l', tarfile.SYMTYPE, '{place}'); add('l/.wh.secret', b'')"),
        ),
    ] {
        archive(&lab, &fill);
        let done = lab.run(&["image", "import", "bad.tar", "bad"]);
        assert!(done.code == 0 || done.code == 5, "{what}: {done:?}");
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1, "{what}: {done:?}");
        assert_eq!(std::fs::read(outside.join("secret")).unwrap(), b"secret", "{what}");
        if done.code == 0 {
            // What is not refused lies in the image, by the name that it had.
            lab.ok(&["image", "rm", "--yes", "--force", "bad"]);
        } else {
            assert!(done.stderr.starts_with("error: "), "{what}: {done:?}");
        }
    }
}

#[test]
fn a_device_is_refused() {
    let lab = Lab::new();
    archive(&lab, "special('sda', tarfile.BLKTYPE, major=8, minor=0)");
    lab.run(&["image", "import", "bad.tar", "bad"]).fails(5, &["sda", "device", "hint:"]);
    archive(&lab, "special('mem', tarfile.CHRTYPE, major=1, minor=1)");
    lab.run(&["image", "import", "bad.tar", "bad"]).fails(5, &["mem", "device"]);
    assert_eq!(lab.json(&["image", "ls"]), serde_json::json!([]));
}

#[test]
fn a_bomb_is_given_up_early() {
    let lab = Lab::new();
    // Says that it is 32 GiB of zeros, has 4, and takes 18 MB.
    python(
        &lab,
        "import gzip, tarfile, zlib
member = tarfile.TarInfo('zeros'); member.size = 1 << 35
piece = bytes(1 << 20)
z = zlib.compressobj(1, zlib.DEFLATED, 31)
out = open('bomb.tar.gz', 'wb')
out.write(z.compress(member.tobuf(tarfile.GNU_FORMAT)))
out.write(z.compress(piece)); out.write(z.flush(zlib.Z_FULL_FLUSH))
z = zlib.compressobj(1, zlib.DEFLATED, -15)
again = z.compress(piece) + z.flush(zlib.Z_FULL_FLUSH)
for n in range(1 << 12): out.write(again)
out.close()",
    );
    let done = lab.run(&["image", "import", "bomb.tar.gz", "bomb"]);
    done.fails(5, &["refused", "hint:"]);
    let left = std::fs::read_dir(lab.home().join("images")).unwrap().flatten();
    let zeros = left.filter(|e| e.path().join("zeros").exists()).count();
    assert_eq!(zeros, 0);
    assert_eq!(lab.json(&["image", "ls"]), serde_json::json!([]));
}
