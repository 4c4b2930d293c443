//! Header rules: requests get headers outside of the sandbox, which never sees them. The servers are in a
//! network of the test's own, with certificates of an authority that the control plane trusts.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::support::{Done, Lab};

/// What must not be seen inside.
const SECRET: &str = "Bearer of-the-rules";

/// Imports the image `tools`: this machine's curl and Python in a root of their own.
fn import_tools(lab: &Lab) {
    let root = lab.image_root();
    let script = r#"
        cp -a --parents /usr/lib/python3* "$1" 2>/dev/null || true
        for program in /usr/bin/curl /usr/bin/python3 /bin/bash; do
            cp -L --parents "$program" "$1"
            ldd "$program" | grep -o '/[^ ]*' | sort -u | xargs -r -I{} cp -L --parents {} "$1"
        done
        find /usr/lib/python3*/lib-dynload -name '_ssl*.so' -o -name '_hashlib*.so' | while read -r module; do
            ldd "$module" | grep -o '/[^ ]*' | sort -u | xargs -r -I{} cp -L --parents {} "$1"
        done
        mkdir -p "$1/etc/ssl/certs"
        cp "$2/ca.pem" "$1/test-ca.pem"
        cp "$2/ca.pem" "$1/etc/ssl/certs/ca-certificates.crt""#;
    let mut shell = Command::new("sh");
    shell.args(["-euc", script, "sh"]).arg(&root).arg(&lab.project);
    let done = Done::of(shell.output().unwrap());
    assert_eq!(done.code, 0, "curl and python3 must be installed: {}", done.stderr);
    lab.ok(&["image", "import", &root.to_string_lossy(), "tools"]);
}

/// An authority, a server's certificate of it, and one that nobody vouches for.
fn certificates(folder: &Path) {
    let script = r#"
        new() { openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "$@" 2>&1; }
        names=subjectAltName=DNS:api.test,DNS:other.test,DNS:a.wild.test,DNS:one.test
        new -keyout ca.key -out ca.pem -subj /CN=Tests
        new -keyout server.key -out server.pem -subj /CN=api.test -CA ca.pem -CAkey ca.key -addext "$names" \
            -addext basicConstraints=critical,CA:FALSE
        new -keyout bad.key -out bad.pem -subj /CN=bad.test -addext subjectAltName=DNS:bad.test \
            -addext basicConstraints=critical,CA:FALSE"#;
    let mut shell = Command::new("sh");
    let done = Done::of(shell.args(["-euc", script]).current_dir(folder).output().unwrap());
    assert_eq!(done.code, 0, "openssl must be installed: {}{}", done.stdout, done.stderr);
}

/// A home whose control plane runs beside the servers, and what a script does there. Names lead to them by
/// this machine's hosts file, as that mount namespace has it. `ask` runs curl in the sandbox `dev`.
fn beside_servers(lab: &Lab, script: &str) -> Done {
    certificates(&lab.project);
    import_tools(lab);
    let servers = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/sandbox/egress.mjs");
    let before = r#"
        ip link set lo up; ip addr add 10.99.0.1/24 dev lo; ip addr add 10.99.0.2/24 dev lo
        echo '127.0.0.1 localhost
10.99.0.1 api.test other.test a.wild.test one.test bad.test' > hosts
        mount --bind hosts /etc/hosts
        $A stop >/dev/null 2>&1 || true
        node "$SERVERS" 0.0.0.0 "$PWD" & servers=$!
        trap 'kill $servers; $A sandbox rm --all --yes >/dev/null; $A stop >/dev/null' EXIT
        n=0; while [ ! -e ready ] && [ $n -lt 600 ]; do sleep 0.1; n=$((n+1)); done
        inside() { $A sandbox exec dev -- "$@"; }
        ask() { inside curl -sS --max-time 60 "$@" || echo "failed: $?"; }
        rules() { printf '%s' "$1" > rules; chmod 600 rules; }"#;
    let template = lab.command(&[""; 0]);
    let mut shell = Command::new("unshare");
    shell.args(["--net", "--mount", "sh", "-euc", &format!("{before}\n{script}")]);
    shell.env_clear().current_dir(&lab.project);
    for (key, value) in template.get_envs() {
        shell.env(key, value.unwrap());
    }
    shell.env("A", template.get_program()).env("SERVERS", servers);
    shell.env("SSL_CERT_FILE", lab.project.join("ca.pem"));
    Done::of(shell.output().unwrap())
}

/// The lines after a mark, up to the next.
fn part<'a>(done: &'a Done, mark: &str) -> &'a str {
    let after = done.stdout.split_once(&format!("== {mark}\n"));
    let (_, after) = after.unwrap_or_else(|| panic!("no {mark}: {}{}", done.stdout, done.stderr));
    after.split_once("== ").map_or(after, |(part, _)| part)
}

fn says(done: &Done, mark: &str, words: &[&str]) {
    for word in words {
        let part = part(done, mark);
        assert!(part.contains(word), "{mark}: {word:?} is missing in {part}{}", done.stderr);
    }
}

fn requests_get_headers(runtime: &str) {
    let lab = Lab::with_runtime(runtime);
    let script = format!(
        r#"
        rules '{{"api.test": {{"headers": {{"Authorization": "{SECRET}", "X-Key": "ours"}}}},
                "*.wild.test": {{"headers": {{"X-Key": "of a star"}}}}, "one.test": {{"headers": {{"X-Key": "ours"}}}},
                "bad.test": {{"headers": {{"Authorization": "{SECRET}"}}}}}}'
        $A sandbox create tools --name dev --runtime {runtime} --rules rules >/dev/null
        echo '== http'; ask -H 'X-Key: of the sandbox' http://api.test/
        echo '== one'; ask --http1.1 -i https://api.test/
        echo '== two'; ask --http2 https://api.test/
        echo '== star'; ask https://a.wild.test/
        echo '== other'; ask --cacert /test-ca.pem -v https://other.test/ 2>&1
        echo '== plain other'; ask http://other.test/
        echo '== bad'; ask https://bad.test:8443/
        echo '== forged'; ask --resolve api.test:80:10.99.0.2 http://api.test/
        echo '== misdirected'; ask -H 'Host: other.test' https://api.test/
        echo '== python'; inside python3 -c 'import urllib.request as r; print(r.urlopen("https://api.test/").read().decode())' || true
        echo '== websocket'; inside python3 -c '
import socket, ssl
s = ssl.create_default_context().wrap_socket(socket.create_connection(("one.test", 9443)), server_hostname="one.test")
s.sendall(b"GET / HTTP/1.1\r\nHost: one.test:9443\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
head = b""
while b"\r\n\r\n" not in head: head += s.recv(1)
print(head.decode())
s.sendall(bytes([0x81, 0x82, 0, 0, 0, 0]) + b"hi")
print("frame", s.recv(100))' || true
        echo '== inside'; inside sh -c 'env; cat /proc/*/environ /etc/ssl/certs/ca-certificates.crt 2>/dev/null' | grep -c -a 'of-the-rules' || true
        echo '== shown'; $A sandbox show dev --json; $A sandbox network dev; $A sandbox ls --json
        echo '== kept'; grep -r -l -a -e of-the-rules -e 'of a star' "$ATELIER_HOME" || echo nowhere
        stat -c '%a %n' "$ATELIER_HOME/keys/egress/ca.key" "$ATELIER_HOME/egress.sock"
        echo '== end'"#
    );
    let done = beside_servers(&lab, &script);
    let secret = format!(r#""authorization":"{SECRET}""#);
    says(&done, "http", &[&secret, r#""x-key":"ours""#, r#""version":"1.1""#]);
    assert!(!part(&done, "http").contains("of the sandbox"), "{}", done.stdout);
    says(&done, "one", &[&secret, r#""version":"1.1""#, "HTTP/1.1 200"]);
    assert!(!part(&done, "one").contains("alt-svc"), "{}", done.stdout);
    says(&done, "two", &[&secret, r#""version":"2.0""#]);
    says(&done, "star", &[r#""x-key":"of a star""#]);
    says(&done, "other", &["issuer: CN=Tests", r#""version":"2.0""#]);
    says(&done, "plain other", &[r#""host":"other.test""#]);
    for other in ["other", "plain other"] {
        assert!(!part(&done, other).contains("x-key"), "{}", done.stdout);
    }
    says(
        &done,
        "bad",
        &[
            "certificate of bad.test is not valid",
            "no authority that this machine trusts",
            "trust its authority",
        ],
    );
    says(&done, "forged", &["10.99.0.2 is not an address of api.test"]);
    says(&done, "misdirected", &["this connection is one to api.test"]);
    says(&done, "python", &[&secret]);
    assert!(!part(&done, "websocket").contains("close"), "{}", done.stdout);
    says(&done, "websocket", &["101", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "frame b'\\x81\\x04ours'"]);
    assert_eq!(part(&done, "inside"), "0\n", "{}", done.stderr);
    says(&done, "shown", &["\"***\"", "with headers for *.wild.test, api.test"]);
    assert!(!part(&done, "shown").contains("of-the-rules"), "{}", done.stdout);
    says(&done, "kept", &["nowhere", "600 ", "ca.key", "egress.sock"]);
}

#[test]
fn requests_get_headers_that_the_sandbox_never_sees() {
    requests_get_headers("oci");
}

#[test]
fn requests_from_gvisor_get_headers_too() {
    requests_get_headers("gvisor");
}

#[test]
fn rules_change_while_a_sandbox_runs_and_outlive_the_control_plane() {
    let lab = Lab::with_image();
    let done = beside_servers(
        &lab,
        r#"
        $A sandbox create tools --name dev >/dev/null
        echo '== before'; ask http://api.test/; ask --cacert /test-ca.pem https://api.test/
        rules '{"api.test": {"headers": {"X-Key": "first"}}}'
        $A sandbox network dev --rules rules >/dev/null
        echo '== first'; ask http://api.test/; ask https://api.test/
        rules '{"api.test": {"headers": {"X-Key": "***", "X-More": "second"}}}'
        $A sandbox network dev --rules rules >/dev/null
        echo '== second'; ask https://api.test/
        $A stop >/dev/null; $A sandbox ls >/dev/null
        echo '== replaced'; ask https://api.test/
        $A sandbox fork dev --json > fork; copy=$(sed -n 's/.*"id": *"\([0-9a-f]*\)".*/\1/p' fork | head -1)
        echo '== fork'; $A sandbox exec "$copy" -- curl -sS https://api.test/
        $A sandbox network dev --network open --deny 10.99.0.0/24 --rules rules >/dev/null
        echo '== denied'; ask https://api.test/ 2>&1
        $A sandbox network dev --network open >/dev/null
        echo '== cleared'; ask --cacert /test-ca.pem https://api.test/
        echo '== wrong'; rules '{"10.0.0.1": {"headers": {"a": "b"}}}'; $A sandbox network dev --rules rules 2>&1 || echo "code $?"
        rules '{"api.test": {"headers": {"X-New": "***"}}}'; $A sandbox network dev --rules rules 2>&1 || echo "code $?"
        echo '== end'"#,
    );
    assert!(!part(&done, "before").contains("x-key"), "{}", done.stdout);
    assert_eq!(part(&done, "first").matches(r#""x-key":"first""#).count(), 2, "{done:?}");
    for mark in ["second", "replaced", "fork"] {
        says(&done, mark, &[r#""x-key":"first""#, r#""x-more":"second""#]);
    }
    says(&done, "denied", &["failed: 7"]);
    says(&done, "cleared", &[r#""version":"2.0""#]);
    assert!(!part(&done, "cleared").contains("x-key"), "{}", done.stdout);
    says(&done, "wrong", &["hosts with a name", "has none yet", "code 2"]);
}

#[test]
fn secrets_that_rules_name_are_put_in_outside() {
    let lab = Lab::with_image();
    let done = beside_servers(
        &lab,
        r#"
        printf 'of-the-secret\n' | $A secret set Key >/dev/null
        rules '{"api.test": {"headers": {"Authorization": "Bearer ${secrets.Key}"}},
                "one.test": {"headers": {"X-Key": "${secrets.none}"}}}'
        $A sandbox create tools --name dev --rules rules >/dev/null
        echo '== first'; ask https://api.test/
        echo '== none'; ask http://one.test/
        echo '== kept'; grep -r -l -a of-the-secret "$ATELIER_HOME" || echo nowhere
        echo '== set'; printf second > value; $A secret set key --from value; $A secret ls
        $A stop >/dev/null; $A sandbox ls >/dev/null
        echo '== second'; ask https://api.test/
        echo '== gone'; $A secret rm --yes key; ask https://api.test/; $A secret rm --yes key 2>&1 || echo "code $?"
        echo '== wrong'; printf 'a\nb' | $A secret set key 2>&1 || echo "code $?"; printf a | $A secret set 'a b' 2>&1 || true
        rules '{"api.test": {"headers": {"X-Key": "${secrets.open"}}}'; $A sandbox network dev --rules rules 2>&1 || true
        echo '== end'"#,
    );
    says(&done, "first", &[r#""authorization":"Bearer of-the-secret""#]);
    says(&done, "none", &["names the secret \"none\", and there is none"]);
    assert!(!part(&done, "none").contains("x-key"), "{}", done.stdout);
    says(&done, "kept", &["nowhere"]);
    says(&done, "set", &["key has its value 2", "VERSION"]);
    says(&done, "second", &[r#""authorization":"Bearer second""#]);
    says(
        &done,
        "gone",
        &["removed key", "names the secret \"Key\"", "there is no secret", "code 3"],
    );
    says(&done, "wrong", &["line break", "code 2", "is not valid", "has no }"]);
}

#[test]
fn large_bodies_pass_without_being_held() {
    let lab = Lab::with_image();
    let done = beside_servers(
        &lab,
        r#"
        rules '{"api.test": {"headers": {"X-Key": "ours"}}}'
        $A sandbox create tools --name dev --rules rules >/dev/null
        ask https://api.test/ >/dev/null
        pid=$($A status --json | sed -n 's/.*"pid": *\([0-9]*\).*/\1/p' | head -1)
        peak() { sed -n 's/^VmHWM:[^0-9]*\([0-9]*\) kB/\1/p' /proc/$pid/status; }
        echo 5 > /proc/$pid/clear_refs; before=$(peak)
        for how in --http1.1 --http2; do
            echo "== down$how"; ask $how -o /dev/null -w '%{http_code} %{size_download}\n' https://api.test/big
            echo "== up$how"; inside sh -c "head -c 209715200 /dev/zero | curl -sS $how -T - -X POST https://api.test/"
        done
        echo "== plain"; ask -o /dev/null -w '%{http_code} %{size_download}\n' http://api.test/big
        echo '== grew'; echo $(($(peak) - before))
        echo '== end'"#,
    );
    for how in ["--http1.1", "--http2"] {
        says(&done, &format!("down{how}"), &["200 209715200"]);
        says(&done, &format!("up{how}"), &[r#""size":209715200"#, r#""x-key":"ours""#]);
    }
    says(&done, "plain", &["200 209715200"]);
    let grew: u64 = part(&done, "grew").trim().parse().unwrap();
    assert!(grew < 48 << 10, "the control plane took {grew} KiB more");
}

#[test]
fn the_socket_for_connections_is_its_owners() {
    let lab = Lab::with_image();
    lab.ok(&["status"]);
    let mode = std::fs::metadata(lab.home().join("egress.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
