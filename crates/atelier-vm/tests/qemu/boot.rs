//! A machine from boot to its end.

use std::time::{Duration, Instant};

use atelier_vm::qemu::Accelerator;

use crate::host::{LIMIT, Running, host};

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_boots_serves_and_turns_itself_off() {
    let Some(host) = host() else { return };
    let began = Instant::now();
    let machine = Running::boot(host);
    machine.answers().await;
    eprintln!("cold boot ({}): {:?}", host.accelerator.name(), began.elapsed());
    eprintln!("private memory: {} KiB", machine.private_memory());
    let seen = machine.shell("echo $$; cat /proc/1/comm /proc/mounts /etc/hosts; ls /dev").await;
    assert!(seen.contains("init\n"), "{seen}");
    assert!(seen.contains("root / overlay rw"), "{seen}");
    assert!(seen.contains("127.0.1.1 sandbox"), "{seen}");
    // What is written lands on the layer disk, not in the image.
    machine.shell("echo kept > /kept && sync").await;
    machine.guest.shutdown().await.unwrap();
    let until = Instant::now() + LIMIT;
    while machine.is_on() {
        assert!(Instant::now() < until, "it is still on");
        std::thread::sleep(Duration::from_millis(10));
    }
    // The filesystem on the layer disk was closed tidily.
    let layer = machine.path().join(atelier_vm::qemu::LAYER);
    let checked = std::process::Command::new("e2fsck")
        .args(["-n", "-f"])
        .arg(&layer)
        .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&checked.stdout);
    assert!(checked.status.success() && !said.contains("recovering"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_machine_does_nothing_until_it_is_resumed() {
    let Some(host) = host() else { return };
    let machine = Running::boot(host);
    machine.answers().await;
    machine.shell("(while :; do echo x >> /ticks; sleep 0.05; done) >/dev/null 2>&1 &").await;
    host.qemu.pause(machine.path()).unwrap();
    let waiting = tokio::time::timeout(Duration::from_secs(1), machine.guest.health()).await;
    assert!(waiting.is_err(), "it answered");
    host.qemu.resume(machine.path()).unwrap();
    let first = machine.shell("cat /ticks").await;
    let until = Instant::now() + LIMIT;
    while machine.shell("cat /ticks").await.len() <= first.len() {
        assert!(Instant::now() < until, "it does not go on");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_console_of_a_running_machine_is_kept_in_memory() {
    let Some(host) = host() else { return };
    let machine = Running::boot(host);
    machine.answers().await;
    let log = machine.path().join(atelier_vm::qemu::CONSOLE);
    let before = std::fs::metadata(&log).unwrap().len();
    machine.shell("echo something to see > /dev/console").await;
    let text = host.qemu.console(machine.path()).unwrap();
    assert!(text.contains("something to see"), "{text:?}");
    assert_eq!(std::fs::metadata(&log).unwrap().len(), before);
}

#[test]
fn where_kvm_does_not_boot_a_machine_the_reason_is_told() {
    let Some(host) = host() else { return };
    let choice = host.qemu.choose(&host.boot, &host.cache).unwrap();
    eprintln!("{choice:?}");
    assert_eq!(choice.accelerator == Accelerator::Tcg, choice.why_not_kvm.is_some());
}
