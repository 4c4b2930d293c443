//! Templates, saved machines, and copies of them.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::time::Instant;

use atelier_api::sandbox::Rates;
use atelier_vm::qemu::{State, Templates};

use crate::host::{DISK, Host, Running, host, machine, run};

fn templates(host: &Host) -> Templates {
    Templates::new(host.cache.join("templates"), host.cache.join("disks"))
}

fn template(host: &Host) -> State {
    templates(host)
        .get(&host.qemu, host.accelerator, &host.boot, &host.base, DISK, &machine())
        .unwrap()
}

async fn revive(host: &Host, state: &State) -> Running {
    let began = Instant::now();
    // Memory is shared by links, which stay on one filesystem.
    let dir = tempfile::tempdir_in(&host.cache).unwrap();
    let words = host.qemu.revive(state, &host.base, dir.path(), Rates::default()).unwrap();
    let copied = began.elapsed();
    let running = run(words, dir);
    host.qemu.wake(state, running.path()).unwrap();
    let woken = began.elapsed();
    running.answers().await;
    let answered = began.elapsed();
    eprintln!(
        "copy: disk {copied:?}, awake {woken:?}, answers {answered:?}, private {} KiB",
        running.private_memory()
    );
    running
}

/// A file of a saved machine.
fn kept(state: &State, name: &str) -> Metadata {
    std::fs::metadata(state.folder().join(name)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_of_a_template_are_machines_of_their_own() {
    let Some(host) = host() else { return };
    let template = template(host);
    let (first, second) = (revive(host, &template).await, revive(host, &template).await);
    // From the same state, random numbers would be the same.
    first.renew("first", &[1; 32]).await;
    second.renew("second", &[2; 32]).await;
    let numbers = "od -An -N16 -tx1 /dev/urandom";
    assert_ne!(first.shell(numbers).await, second.shell(numbers).await);
    assert_eq!(first.shell("hostname; cat /etc/hostname").await, "first\nfirst\n");
    let hosts = second.shell("cat /etc/hosts").await;
    assert!(hosts.contains("127.0.1.1 second") && !hosts.contains("sandbox"), "{hosts}");
    first.shell("echo first > /mine && sync").await;
    assert!(second.shell("cat /mine").await.contains("No such file"));
    let clock: u64 = first.shell("date +%s").await.trim().parse().unwrap();
    let now = jiff::Timestamp::now().as_second().cast_unsigned();
    assert!(now.abs_diff(clock) <= 5, "{clock} instead of {now}");
    // What was asked of one copy changed neither the template nor a later copy.
    let third = revive(host, &template).await;
    assert!(third.shell("cat /mine").await.contains("No such file"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saved_machine_goes_on_where_it_was_and_can_be_forked() {
    let Some(host) = host() else { return };
    let template = template(host);
    let machine = revive(host, &template).await;
    let counting =
        "(n=0; while :; do n=$((n+1)); echo $n > /count; sleep 0.05; done) >/dev/null 2>&1 &";
    machine.shell(&format!("echo before > /file; {counting}")).await;
    host.qemu.pause(machine.path()).unwrap();
    let folder = tempfile::tempdir_in(&host.cache).unwrap();
    let began = Instant::now();
    let state = host.qemu.save(machine.path(), folder.path()).unwrap();
    eprintln!("save: {:?}", began.elapsed());
    host.qemu.resume(machine.path()).unwrap();
    machine.answers().await;
    assert_eq!(machine.shell("echo after > /file; cat /file").await, "after\n");
    let count = |text: String| text.trim().parse::<u64>().unwrap_or(0);
    let copy = revive(host, &state).await;
    assert_eq!(copy.shell("cat /file").await, "before\n");
    let then = count(copy.shell("cat /count").await);
    // Between being emptied and being written the file says nothing.
    let mut now = then;
    for _ in 0..50 {
        copy.shell("sleep 0.1").await;
        now = count(copy.shell("cat /count").await);
        if now > then {
            break;
        }
    }
    assert!(now > then, "its processes stand still");
    // What neither has changed is in one file, and a copy of a copy has the changes of both.
    assert_eq!(kept(&state, "memory").ino(), kept(&template, "memory").ino());
    assert!(kept(&state, "changes").len() < kept(&state, "memory").len() / 4);
    copy.shell("echo copied > /dev/shm/copied").await;
    host.qemu.pause(copy.path()).unwrap();
    let second = tempfile::tempdir_in(&host.cache).unwrap();
    let state_of_copy = host.qemu.save(copy.path(), second.path()).unwrap();
    drop(copy);
    let copy = revive(host, &state_of_copy).await;
    assert_eq!(copy.shell("cat /file /dev/shm/copied").await, "before\ncopied\n");
    drop(copy);
    let began = Instant::now();
    let sealed = host.qemu.seal(state, &host.base).unwrap();
    eprintln!("seal: {:?}", began.elapsed());
    for _ in 0..2 {
        let fork = revive(host, &sealed).await;
        assert_eq!(fork.shell("cat /file").await, "before\n");
    }
}

#[test]
fn a_template_is_made_once_and_anew_when_what_it_is_made_of_changes() {
    let Some(host) = host() else { return };
    let first = template(host);
    std::thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| assert_eq!(template(host).folder(), first.folder()));
        }
    });
    let mut larger = machine();
    larger.memory_mib += 64;
    let other = templates(host)
        .get(&host.qemu, host.accelerator, &host.boot, &host.base, DISK, &larger)
        .unwrap();
    assert_ne!(other.folder(), first.folder());
}

/// More than this machine can run at once, so that they crowd one another.
#[tokio::test(flavor = "multi_thread")]
async fn twenty_copies_at_once_all_answer() {
    let Some(host) = host() else { return };
    let template = template(host);
    let began = Instant::now();
    let copies = (0..20).map(|_| {
        let template = template.clone();
        tokio::spawn(async move { revive(host, &template).await })
    });
    let copies: Vec<_> = copies.collect();
    let mut running = Vec::new();
    for copy in copies {
        running.push(copy.await.unwrap());
    }
    eprintln!("{} copies at once: {:?}", running.len(), began.elapsed());
}
