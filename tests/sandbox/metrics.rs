//! `atelier sandbox metrics`: what a sandbox uses, seen from outside.

use crate::support::{Lab, wait_until};

#[test]
fn work_shows_in_processor_time_memory_and_processes() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&["--memory", "256MiB", "--cpus", "1", "--disk", "64MiB"]);
    lab.sh(&id, "dd if=/dev/zero of=/srv/big bs=1M count=20 2>/dev/null");
    lab.detach(&id, "while :; do :; done");
    let newest = || lab.json(&["sandbox", "metrics", &id]).as_array().unwrap().last().cloned();
    wait_until("its work shows", || {
        newest().is_some_and(|sample| sample["cpu_percent"].as_f64().unwrap() > 5.0)
    });
    let sample = newest().unwrap();
    let number = |name: &str| sample[name].as_f64().unwrap();
    assert_eq!((number("cpu_count"), number("memory_total")), (1.0, 268_435_456.0), "{sample}");
    assert!(number("memory_used") > 0.0 && number("processes") >= 2.0, "{sample}");
    assert!(number("disk_used") > 20e6 && number("disk_total") < 70e6, "{sample}");
}
