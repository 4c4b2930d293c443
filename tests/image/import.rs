//! `atelier image import`: folders, archives of a root, of `docker save`, and OCI layouts.

use std::process::Command;

use crate::support::{Lab, python};

#[test]
fn a_folder_becomes_an_image_with_owners_modes_and_links() {
    let lab = Lab::with_image();
    let images = lab.json(&["image", "ls"]);
    assert_eq!(images[0]["names"].to_string().matches("box").count(), 1, "{images}");
    let id = lab.sandbox(&[]);
    let seen = lab.sh(&id, "stat -c '%a %U' /tmp /root /home/user; readlink /bin/ls");
    assert_eq!(seen, "1777 root\n700 root\n755 user\nbusybox\n");
}

#[test]
fn an_archive_of_a_root_becomes_an_image_plain_and_compressed() {
    let lab = Lab::new();
    let root = lab.image_root();
    for (name, flag) in [("plain", "-cf"), ("gzip", "-czf")] {
        let archive = lab.project.join(format!("{name}.tar"));
        let packed =
            Command::new("tar").arg("-C").arg(&root).arg(flag).arg(&archive).arg(".").output();
        assert!(packed.unwrap().status.success());
        lab.ok(&["image", "import", archive.to_str().unwrap(), &format!("{name}:1")]);
        let done = lab.run(&["sandbox", "run", &format!("{name}:1"), "--", "id", "-un"]);
        assert_eq!(done.stdout, "root\n", "{name}: {done:?}");
    }
    // What is here already under another name is called by the new one too.
    let said = lab.ok(&["image", "import", "plain.tar", "other:1"]);
    assert!(said.contains("plain:1") && said.contains("other:1"), "{said}");
}

#[test]
fn an_archive_of_docker_save_brings_its_name_its_layers_and_its_settings() {
    let lab = Lab::new();
    docker_archive(&lab);
    lab.ok(&["image", "import", "app.tar"]);
    let image = lab.json(&["image", "ls"]);
    assert_eq!(
        (image[0]["layers"].as_u64(), &image[0]["platform"]),
        (Some(2), &"linux/amd64".into())
    );
    let script = "echo $COLOUR $(id -un) $(pwd); cat /srv/kept; ls /srv";
    let done = lab.run(&["sandbox", "run", "app:1", "--", "sh", "-c", script]);
    // The second layer replaces one file of the first and takes another away.
    assert_eq!(done.stdout, "green user /srv\nsecond\nkept\n", "{done:?}");
}

#[test]
fn what_is_no_image_is_refused_with_the_reason() {
    let lab = Lab::new();
    lab.write("garbage", "this is no archive at all".repeat(1000));
    lab.write("empty", "");
    lab.write("cut.tar", &std::fs::read("/bin/busybox").unwrap()[..4096]);
    for path in ["garbage", "empty", "cut.tar"] {
        let done = lab.run(&["image", "import", path, "bad"]);
        assert_eq!(done.code, 5, "{path}: {done:?}");
        assert!(done.stderr.starts_with("error: "), "{path}: {done:?}");
    }
    lab.run(&["image", "import", "nothing", "bad"]).fails(3, &["nothing"]);
    lab.run(&["image", "import", ".", "No Good!"]).fails(2, &["No Good!", "hint:"]);
    assert_eq!(lab.json(&["image", "ls"]), serde_json::json!([]));
}

#[test]
fn layers_that_are_not_what_their_digests_say_are_refused() {
    let lab = Lab::new();
    docker_archive(&lab);
    python(
        &lab,
        "import tarfile, io
source = tarfile.open('app.tar'); target = tarfile.open('bad.tar', 'w')
for member in source:
    data = source.extractfile(member).read()
    if member.name.endswith('1.tar'): data = data.replace(b'second', b'forged')
    target.addfile(member, io.BytesIO(data))
target.close()",
    );
    lab.run(&["image", "import", "bad.tar"]).fails(5, &["digest", "hint:"]);
    assert_eq!(lab.json(&["image", "ls"]), serde_json::json!([]));
}

/// Writes `app.tar` as `docker save` would: two layers over each other.
fn docker_archive(lab: &Lab) {
    let root = lab.image_root();
    let script = format!(
        "import tarfile, io, json, hashlib
def layer(fill):
    data = io.BytesIO(); archive = tarfile.open(fileobj=data, mode='w'); fill(archive); archive.close()
    return data.getvalue()
def add(archive, name, text):
    member = tarfile.TarInfo(name); member.size = len(text); archive.addfile(member, io.BytesIO(text))
def one(archive):
    archive.add('{root}', arcname='.'); add(archive, 'srv/kept', b'first\\n'); add(archive, 'srv/gone', b'x')
def two(archive):
    add(archive, 'srv/kept', b'second\\n'); add(archive, 'srv/.wh.gone', b'')
layers = [layer(one), layer(two)]
config = json.dumps(dict(architecture='amd64', os='linux',
    config=dict(User='user', WorkingDir='/srv', Env=['COLOUR=green', 'PATH=/bin']),
    rootfs=dict(type='layers', diff_ids=['sha256:' + hashlib.sha256(l).hexdigest() for l in layers]))).encode()
manifest = json.dumps([dict(Config='config.json', RepoTags=['app:1'], Layers=['0.tar', '1.tar'])]).encode()
archive = tarfile.open('app.tar', 'w')
for name, data in [('config.json', config), ('0.tar', layers[0]), ('1.tar', layers[1]), ('manifest.json', manifest)]:
    add(archive, name, data)
archive.close()",
        root = root.display()
    );
    python(lab, &script);
}
