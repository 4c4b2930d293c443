//! A sandbox's life, from creation to removal, and what kills in between leave.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use atelier_api::image::{TemplateCommitInput, TemplateSpec};
use atelier_api::sandbox::{
    Rates, SandboxForkInput, SandboxMetricsInput, SandboxRemoveInput, SandboxRestoreInput,
    SandboxResumeInput, SandboxSnapshotInput, SandboxState,
};
use atelier_vm::firecracker::{Api, SOCKET};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::home::{HELPERS, Home, Plane, USERS, named, options, unfit};
use crate::{or_skip, stand_in};

pub const BOTH: [&str; 2] = ["firecracker", "jailer"];

pub fn pause(plane: &Plane, id: &str) {
    plane.wait(plane.fleet.pause(named(id))).unwrap();
}

pub fn resume(plane: &Plane, id: &str) {
    let input = SandboxResumeInput { sandbox: id.to_owned(), timeout: None };
    plane.wait(plane.fleet.resume(input)).unwrap();
}

pub fn remove(plane: &Plane, id: &str) {
    let input = SandboxRemoveInput { sandbox: id.to_owned() };
    plane.wait(plane.fleet.remove(input)).unwrap();
}

pub fn snapshot(plane: &Plane, id: &str, memory: Option<bool>) -> String {
    let input = SandboxSnapshotInput { sandbox: id.to_owned(), name: None, memory };
    let made = plane.wait(plane.fleet.snapshot(input)).unwrap();
    assert_eq!((made.memory, made.runtime.as_str()), (memory.unwrap_or(true), "firecracker"));
    made.id
}

pub fn fork(plane: &Plane, id: &str, count: u32) -> Vec<String> {
    let input = SandboxForkInput { sandbox: id.to_owned(), count, timeout: None };
    let made = plane.wait(plane.fleet.fork(input)).unwrap();
    made.into_iter().map(|copy| copy.sandbox.id).collect()
}

pub fn restore(plane: &Plane, id: &str, snapshot: &str) {
    let input = SandboxRestoreInput { sandbox: id.to_owned(), snapshot: snapshot.to_owned() };
    plane.wait(plane.fleet.restore(input)).unwrap();
}

#[test]
fn a_sandbox_lives_is_paused_saved_copied_taken_back_and_removed() {
    or_skip!(unfit(&HELPERS));
    let home = Home::new(&BOTH);
    let plane = home.plane();
    let id = plane.create().sandbox.id;
    plane.sh(&id, "echo first > /srv/file");
    pause(&plane, &id);
    assert_eq!(plane.state(&id), SandboxState::Paused);
    resume(&plane, &id);
    assert_eq!(plane.sh(&id, "cat /srv/file"), "first\n");
    let saved = snapshot(&plane, &id, None);
    plane.sh(&id, "echo second > /srv/file");
    let copies = fork(&plane, &id, 2);
    for (n, copy) in copies.iter().enumerate() {
        assert_eq!(plane.sh(copy, "cat /srv/file"), "second\n");
        plane.sh(copy, &format!("echo copy {n} > /srv/file"));
    }
    for (n, copy) in copies.iter().enumerate() {
        assert_eq!(plane.sh(copy, "cat /srv/file"), format!("copy {n}\n"));
    }
    assert_eq!(plane.sh(&id, "cat /srv/file"), "second\n");
    restore(&plane, &id, &saved);
    assert_eq!(plane.sh(&id, "cat /srv/file"), "first\n");
    plane.wait(plane.fleet.stop(named(&id))).unwrap();
    plane.wait(plane.fleet.start(named(&id))).unwrap();
    assert_eq!(plane.sh(&id, "cat /srv/file"), "first\n");
    for gone in copies.iter().chain([&id]) {
        remove(&plane, gone);
    }
    home.leaves_nothing();
    assert_eq!(fs::read_dir(home.path("sandboxes")).unwrap().count(), 0);
}

#[test]
fn a_snapshot_of_files_alone_boots_from_them() {
    or_skip!(unfit(&HELPERS));
    let home = Home::new(&BOTH);
    let plane = home.plane();
    let id = plane.create().sandbox.id;
    plane.sh(&id, "echo kept > /srv/file; sync");
    let saved = snapshot(&plane, &id, Some(false));
    remove(&plane, &id);
    let mut options = options();
    options.snapshot = Some(saved);
    let copy = plane.wait(plane.fleet.create(options)).unwrap().sandbox.id;
    assert_eq!(plane.sh(&copy, "cat /srv/file"), "kept\n");
    let machine = home.folders(&copy).root().join("machine");
    assert!(machine.join("vmlinux").exists() && !machine.join("memory").exists());
    remove(&plane, &copy);
    home.leaves_nothing();
}

#[test]
fn files_of_a_machine_that_runs_become_a_template() {
    or_skip!(unfit(&HELPERS));
    let home = Home::new(&BOTH);
    let plane = home.plane();
    let id = plane.create().sandbox.id;
    plane.sh(
        &id,
        "echo kept > /srv/file; rm /etc/passwd; mkdir /srv/new; ln /srv/file /srv/new/twin",
    );
    let input = TemplateCommitInput {
        name: "frozen".into(),
        sandbox: id.clone(),
        spec: TemplateSpec::default(),
    };
    let made = plane.wait(plane.fleet.template_commit(input)).unwrap();
    assert_eq!(plane.state(&id), SandboxState::Running);
    remove(&plane, &id);
    let mut options = options();
    options.template = Some(made.name);
    let copy = plane.wait(plane.fleet.create(options)).unwrap().sandbox.id;
    let seen = "cat /srv/new/twin; stat -c %h /srv/file; test -e /etc/passwd || echo gone";
    assert_eq!(plane.sh(&copy, seen), "kept\n2\ngone\n");
    remove(&plane, &copy);
    home.leaves_nothing();
}

#[test]
fn a_machine_and_its_copies_are_held_to_rates_and_say_what_their_devices_did() {
    or_skip!(unfit(&HELPERS));
    let home = Home::new(&BOTH);
    let plane = home.plane();
    let held = |id: &str| {
        let api = Api::new(home.folders(id).root().join("machine").join(SOCKET));
        let config = plane.wait(api.config()).unwrap();
        let size = |device: &str, limiter: &str, bucket: &str| {
            config[device][limiter][bucket]["size"].as_u64()
        };
        [
            size("/drives/base", "rate_limiter", "bandwidth"),
            size("/drives/layer", "rate_limiter", "ops"),
            size("/network-interfaces/eth0", "rx_rate_limiter", "bandwidth"),
            size("/network-interfaces/eth0", "tx_rate_limiter", "bandwidth"),
        ]
    };
    let mut asked = options();
    asked.rates = Rates {
        disk_bandwidth: Some(8 << 20),
        disk_iops: Some(300),
        network_bandwidth: Some(1 << 20),
    };
    let want = [Some(8 << 20), Some(300), Some(1 << 20), Some(1 << 20)];
    // The first boots, and what is kept as a template knows no rates.
    let id = plane.wait(plane.fleet.create(asked)).unwrap().sandbox.id;
    assert_eq!(held(&id), want);
    let free = plane.create().sandbox.id;
    assert_eq!(held(&free), [None; 4]);
    let copy = fork(&plane, &id, 1).remove(0);
    assert_eq!(held(&copy), want);
    plane.wait(plane.fleet.stop(named(&id))).unwrap();
    plane.wait(plane.fleet.start(named(&id))).unwrap();
    assert_eq!(held(&id), want);
    let devices = || {
        let input = SandboxMetricsInput { sandbox: id.clone(), ..Default::default() };
        let samples = plane.wait(plane.fleet.metrics(input)).unwrap();
        samples.last().unwrap().devices.unwrap()
    };
    for _ in 0..2 {
        assert_eq!((devices().disk_reads, devices().disk_throttled), (2, Some(0)));
    }
}

#[test]
fn each_monitor_is_a_user_of_its_own_in_a_jail_of_its_own() {
    or_skip!(unfit(&HELPERS));
    let home = Home::new(&BOTH);
    let plane = home.plane();
    let ids = [plane.create().sandbox.id, plane.create().sandbox.id];
    let users = ids.each_ref().map(|id| {
        let pid = home.instance(id).init.pid;
        let root = fs::read_link(format!("/proc/{pid}/root")).unwrap();
        let jails = home.folders(id).root().join("jail").canonicalize().unwrap();
        assert!(root.starts_with(&jails), "{} is not below {}", root.display(), jails.display());
        let monitor = fs::metadata(format!("/proc/{pid}")).unwrap();
        assert!(USERS.contains(&monitor.uid()) && USERS.contains(&monitor.gid()));
        let layer = fs::metadata(home.folders(id).root().join("layer")).unwrap();
        assert_eq!((layer.uid(), layer.mode() & 0o777), (monitor.uid(), 0o600));
        let base = fs::metadata(root.join("base")).unwrap();
        assert_eq!((base.uid(), base.mode() & 0o022), (0, 0), "images are not the jail's");
        monitor.uid()
    });
    assert_ne!(users[0], users[1]);
    let detail = plane.fleet.show(&named(&ids[0])).unwrap();
    assert!(detail.notes.is_empty(), "{:?}", detail.notes);
    // One that starts again stays who it was, and finds its jail made anew.
    plane.wait(plane.fleet.stop(named(&ids[0]))).unwrap();
    plane.wait(plane.fleet.start(named(&ids[0]))).unwrap();
    let pid = home.instance(&ids[0]).init.pid;
    assert_eq!(fs::metadata(format!("/proc/{pid}")).unwrap().uid(), users[0]);
}

#[test]
fn the_first_machine_of_its_kind_becomes_the_template_of_the_next() {
    or_skip!(unfit(&HELPERS));
    let home = Home::new(&BOTH);
    let plane = home.plane();
    let begun = |id: &str| {
        let machine = home.folders(id).root().join("machine");
        (machine.join("vmlinux").exists(), machine.join("memory").exists())
    };
    let first = plane.create().sandbox.id;
    plane.sh(&first, "echo mine > /srv/mine");
    assert_eq!(begun(&first), (true, false), "it boots");
    let second = plane.create().sandbox.id;
    assert_eq!(begun(&second), (false, true), "it goes on from the template");
    assert_eq!(plane.sh(&second, "ls /srv"), "", "which knows nothing of the first");
    let mut bigger = options();
    bigger.resources.memory = Some(256 << 20);
    let bigger = plane.wait(plane.fleet.create(bigger)).unwrap().sandbox.id;
    assert_eq!(begun(&bigger), (true, false), "another size is another machine");
}

#[test]
fn a_paused_sandbox_runs_nothing_until_it_is_resumed() {
    or_skip!(unfit(&HELPERS));
    let home = Home::new(&BOTH);
    let plane = home.plane();
    let id = plane.create().sandbox.id;
    let beat = "while true; do cat /proc/uptime >> /tmp/beats; sleep 0.01; done";
    plane.sh(&id, &format!("({beat}) >/dev/null 2>&1 &"));
    pause(&plane, &id);
    let refused = plane.wait(plane.fleet.enter(&id, false)).unwrap_err();
    assert_eq!(refused.code, "sandbox.not_running");
    // The control plane is replaced meanwhile.
    drop(plane);
    let plane = home.plane();
    assert_eq!((plane.adopted, plane.state(&id)), (1, SandboxState::Paused));
    let slept = Duration::from_secs(1);
    std::thread::sleep(slept);
    let count = |plane: &Plane| plane.sh(&id, "cat /tmp/beats").lines().count();
    resume(&plane, &id);
    let (before, mut tries) = (count(&plane), 0);
    while count(&plane) <= before {
        tries += 1;
        assert!(tries < 500, "it does not go on");
        std::thread::sleep(Duration::from_millis(10));
    }
    let beats = plane.sh(&id, "cat /tmp/beats");
    let seconds = |line: &str| line.split(' ').next().and_then(|it| it.parse::<f64>().ok());
    let beats: Vec<f64> = beats.lines().filter_map(seconds).collect();
    let longest = beats.windows(2).map(|two| two[1] - two[0]).fold(0.0, f64::max);
    assert!(longest >= slept.as_secs_f64(), "it went on meanwhile: {longest}");
}

#[test]
fn a_new_control_plane_takes_up_what_runs() {
    or_skip!(unfit(&HELPERS));
    let home = Home::new(&BOTH);
    let plane = home.plane();
    let id = plane.create().sandbox.id;
    plane.sh(&id, "echo here > /srv/file");
    let before = home.instance(&id);
    drop(plane);
    let plane = home.plane();
    assert_eq!((plane.adopted, plane.state(&id)), (1, SandboxState::Running));
    assert_eq!(plane.sh(&id, "cat /srv/file"), "here\n");
    assert_eq!(home.instance(&id), before);
    remove(&plane, &id);
    home.leaves_nothing();
}

#[test]
fn a_monitor_that_is_killed_is_a_stopped_sandbox_that_starts_again() {
    or_skip!(unfit(&HELPERS));
    let home = Home::new(&BOTH);
    let plane = home.plane();
    let id = plane.create().sandbox.id;
    plane.sh(&id, "echo kept > /srv/file; sync");
    kill(Pid::from_raw(home.instance(&id).init.pid), Signal::SIGKILL).unwrap();
    let until = std::time::Instant::now() + Duration::from_secs(20);
    while plane.state(&id) == SandboxState::Running {
        assert!(std::time::Instant::now() < until, "nobody noticed");
        std::thread::sleep(Duration::from_millis(10));
    }
    plane.wait(plane.fleet.start(named(&id))).unwrap();
    assert_eq!(plane.sh(&id, "cat /srv/file"), "kept\n");
    remove(&plane, &id);
    home.leaves_nothing();
}

/// What a control plane does that is killed: everything, one after the other.
pub fn everything(home: &std::path::Path) -> ! {
    let plane = crate::home::plane(home);
    loop {
        let id = plane.create().sandbox.id;
        snapshot(&plane, &id, None);
        fork(&plane, &id, 1);
        pause(&plane, &id);
        resume(&plane, &id);
        remove(&plane, &id);
    }
}

#[test]
fn a_control_plane_that_is_killed_at_any_moment_leaves_nothing_that_the_next_one_cannot_end() {
    or_skip!(unfit(&HELPERS));
    let home = Home::new(&BOTH);
    drop(home.plane());
    // From before the first process of a sandbox until after a whole round.
    for step in 0..12 {
        let mut control = stand_in::start("control", home.dir.path());
        std::thread::sleep(Duration::from_millis(60 + 130 * step));
        control.kill().unwrap();
        control.wait().unwrap();
        let plane = home.plane();
        println!("after {step}: {} taken up, {:?}", plane.adopted, plane.mended);
        for sandbox in plane.fleet.list(&Default::default()).unwrap() {
            assert_eq!(sandbox.state, plane.state(&sandbox.id));
            remove(&plane, &sandbox.id);
        }
        home.leaves_nothing();
        let folders = fs::read_dir(home.path("sandboxes"));
        assert_eq!(folders.map_or(0, Iterator::count), 0, "{step}");
    }
}
