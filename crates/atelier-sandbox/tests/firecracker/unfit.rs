//! Machines that can't run Firecracker: each is told why, and what mends it. Nothing else takes over.

use atelier_api::system::Verdict;
use atelier_sandbox::{Runtime, runtimes};

use crate::home::{HELPERS, Home, options, unfit};
use crate::life::BOTH;
use crate::or_skip;

/// The code, the text and the first hint of what creating one comes to.
fn refused(home: &Home) -> (String, String, String) {
    let plane = home.plane();
    let problem = plane.wait(plane.fleet.create(options())).unwrap_err();
    assert!(plane.fleet.list(&Default::default()).unwrap().is_empty());
    (problem.code.clone(), problem.detail.clone(), problem.hints[0].clone())
}

#[test]
fn without_firecracker_its_releases_are_named() {
    if unfit(&["firecracker"]).is_none() {
        println!("SKIPPED: Firecracker is installed");
        return;
    }
    let home = Home::new(&[]);
    let (code, why, hint) = refused(&home);
    assert_eq!(code, "runtime.unavailable");
    assert!(why.contains("firecracker") && why.contains("no program firecracker"), "{why}");
    assert!(hint.contains("github.com/firecracker-microvm/firecracker/releases"), "{hint}");
}

#[test]
fn root_without_the_jailer_is_refused() {
    or_skip!(unfit(&HELPERS));
    let home = Home::new(&["firecracker"]);
    let (code, why, hint) = refused(&home);
    assert_eq!(code, "runtime.unavailable");
    assert!(why.contains("no program jailer: monitors would run as root"), "{why}");
    assert!(hint.contains("releases"), "{hint}");
}

#[test]
fn a_kvm_that_runs_no_machine_is_found_out_by_a_boot() {
    or_skip!(unfit(&HELPERS));
    let home = Home::new(&["firecracker", "jailer"]);
    // The same programs over a machine that says nothing.
    crate::stand_in::install_dumb(&home.path("programs"));
    let (code, why, hint) = refused(&home);
    assert_eq!(code, "runtime.unavailable");
    assert!(why.contains("did not boot: nothing after 10 s"), "{why}");
    assert!(hint.contains("use the runtime qemu"), "{hint}");
}

#[test]
fn the_list_of_runtimes_says_what_each_part_is() {
    or_skip!(unfit(&HELPERS));
    let home = Home::new(&BOTH);
    let all = runtimes(&home.path("bin"), &home.path(""), None).unwrap();
    let firecracker: &dyn Runtime = &**all.iter().find(|it| it.name() == "firecracker").unwrap();
    let checks = firecracker.probe();
    let named: Vec<_> = checks.iter().map(|check| check.name.as_str()).collect();
    assert_eq!(named, ["firecracker", "jailer", "kvm", "kernel", "mkfs.ext4", "jails", "boot"]);
    for check in &checks {
        assert_eq!(check.verdict, Verdict::Ok, "{check:?}");
    }
    let can = firecracker.capabilities();
    assert!(can.own_kernel && can.images && can.memory_snapshots && !can.layered);
}

#[test]
fn more_processors_than_a_machine_can_have_are_refused() {
    or_skip!(unfit(&HELPERS));
    let home = Home::new(&BOTH);
    let plane = home.plane();
    let mut options = options();
    options.resources.cpus = Some(33.0);
    let problem = plane.wait(plane.fleet.create(options)).unwrap_err();
    assert!(problem.detail.contains("32 processors at most"), "{}", problem.detail);
    home.leaves_nothing();
}
