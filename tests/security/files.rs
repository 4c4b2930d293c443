//! Out through the files API: it works inside the sandbox, and leads nowhere else.

use crate::support::{Lab, send};

/// A file of the host that everybody may read, and its path.
fn marker(lab: &Lab) -> String {
    let marker = lab.user_home().join("marker");
    std::fs::write(&marker, "of the host").unwrap();
    marker.display().to_string()
}

#[test]
fn links_lead_to_the_sandboxs_own_files() {
    let lab = Lab::with_image();
    let marker = marker(&lab);
    let id = lab.sandbox(&[]);
    lab.sh(
        &id,
        &format!("ln -s / /srv/root; ln -s {marker} /srv/marker; ln -s /proc/1/root /srv/one"),
    );
    let up = "../".repeat(20);
    for path in [
        marker.clone(),
        "/srv/marker".to_owned(),
        format!("/srv/root{marker}"),
        format!("/srv/one{marker}"),
        format!("{up}{marker}"),
        format!("/proc/self/root{marker}"),
        format!("/proc/1/cwd{marker}"),
    ] {
        let cat = lab.run(&["sandbox", "fs", "cat", &id, &path]);
        assert!(cat.code != 0 && !cat.stdout.contains("of the host"), "{path}: {cat:?}");
        let out = lab.project.join("out");
        let cp = lab.run(&["sandbox", "cp", &format!("{id}:{path}"), out.to_str().unwrap()]);
        let copied = std::fs::read_to_string(&out).unwrap_or_default();
        assert!(!copied.contains("of the host"), "{path}: {cp:?}");
        let _ = std::fs::remove_file(&out);
    }
    assert_eq!(lab.ok(&["sandbox", "fs", "cat", &id, "/srv/root/etc/group"]).lines().count(), 2);
}

#[test]
fn what_is_written_through_a_link_stays_inside() {
    let lab = Lab::with_image();
    let marker = marker(&lab);
    let folder = marker.rsplit_once('/').unwrap().0.to_owned();
    let id = lab.sandbox(&[]);
    lab.sh(&id, &format!("ln -s {folder} /srv/link; ln -s {marker} /srv/file; ln -s /proc/1/root{folder} /srv/one"));
    lab.write("evil", "changed");
    for path in ["/srv/link/evil", "/srv/file", "/srv/one/evil", &marker] {
        lab.with_input(&["sandbox", "fs", "write", &id, path], b"changed");
        lab.run(&["sandbox", "cp", "evil", &format!("{id}:{path}")]);
        lab.run(&["sandbox", "fs", "mv", &id, "/etc/group", path]);
        lab.run(&["sandbox", "fs", "rm", "-r", &id, path]);
    }
    assert_eq!(std::fs::read_to_string(&marker).unwrap(), "of the host");
    assert!(!std::path::Path::new(&folder).join("evil").exists());
}

#[test]
fn a_path_of_the_guests_protocol_leads_to_no_other_sandbox() {
    let lab = Lab::with_image();
    let address = lab.serve_tcp();
    let (one, two) = (lab.sandbox(&[]), lab.sandbox(&[]));
    lab.sh(&two, "echo secret > /srv/secret");
    let token = lab.ok(&["token", "create", "t"]);
    let bearer = format!("Bearer {}", token.trim());
    let read = |path: &str| send(&address, "GET", path, &[("Authorization", &bearer)], "");
    let own = read(&format!("/api/v1/sandboxes/{two}/guest/files?path=/srv/secret"));
    assert_eq!(own.body, "secret\n");
    for path in [
        format!("/api/v1/sandboxes/{one}/guest/files?path=/srv/secret"),
        format!("/api/v1/sandboxes/{one}/guest/../../{two}/guest/files?path=/srv/secret&x={one}"),
        format!("/api/v1/sandboxes/{one}/guest/files?path=/srv/secret&sandbox={two}"),
        format!("/api/v1/sandboxes/{one}/guest//49983-{two}.localhost/files?path=/srv/secret"),
        format!(
            "/api/v1/sandboxes/{one}/guest/http://49983-{two}.localhost/files?path=/srv/secret"
        ),
        format!("/api/v1/sandboxes/{one}/guest/%2e%2e%2f{two}/files?path=/srv/secret"),
    ] {
        let answer = read(&path);
        assert!(!answer.body.contains("secret\n") || path.contains(".."), "{path}: {answer:?}");
    }
}

#[test]
fn a_signed_address_opens_one_file_only() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&["--public"]);
    lab.sh(&id, "echo one > /srv/one");
    let ingress = lab.addresses().ingress;
    let host = format!("49983-{id}.localhost");
    let read =
        |query: &str| send(&ingress, "GET", &format!("/files?{query}"), &[("Host", &host)], "");
    for query in [
        "path=/srv/one",
        "path=/srv/one&signature=v1_AAAA",
        "path=/srv/one&signature=",
        "path=/etc/shadow&signature_expiration=99999999999&signature=v1_",
    ] {
        let answer = read(query);
        assert_eq!(answer.status, 401, "{query}: {answer:?}");
    }
    let written = send(&ingress, "POST", "/files?path=/srv/two", &[("Host", &host)], "x");
    assert_eq!(written.status, 401, "{written:?}");
}
