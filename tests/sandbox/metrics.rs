//! `atelier sandbox metrics`: what a sandbox uses, seen from outside.

use crate::support::{Lab, ask, wait_until};

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

#[test]
fn a_prometheus_reads_what_there_is_and_what_it_uses() {
    let lab = Lab::with_image();
    let address = lab.serve_tcp();
    let id = lab.sandbox(&["--name", "worker", "--memory", "256MiB", "--cpus", "1"]);
    lab.sh(&id, "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done");
    lab.run(&["sandbox", "show", "nobody"]).fails(3, &["nobody"]);
    assert_eq!(ask(&address, "GET", "/metrics", &[]).status, 401, "without a token");

    let token = lab.ok(&["token", "create", "watcher", "--scope", "read"]);
    let bearer = format!("Bearer {}", token.trim());
    let scrape = || ask(&address, "GET", "/metrics", &[("Authorization", &bearer)]);
    let value = |text: &str, series: &str| -> Option<f64> {
        text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
    };
    let of_it = format!("{{sandbox=\"{id}\",name=\"worker\",runtime=\"oci\"}}");
    let cpu = format!("atelier_sandbox_cpu_seconds_total{of_it}");
    wait_until("a sample is there", || value(&scrape().body, &cpu).is_some_and(|it| it > 0.0));

    let answer = scrape();
    let of = |series: &str| {
        value(&answer.body, series).unwrap_or_else(|| panic!("{series}: {answer:?}"))
    };
    assert_eq!(of(&format!("atelier_sandbox_memory_limit_bytes{of_it}")), 268_435_456.0);
    assert!(of(&format!("atelier_sandbox_processes{of_it}")) >= 1.0);
    assert_eq!(of("atelier_sandboxes{runtime=\"oci\",state=\"running\"}"), 1.0);
    assert_eq!(of("atelier_operations_total{operation=\"sandbox.create\",code=\"ok\"}"), 1.0);
    assert_eq!(of("atelier_operation_duration_seconds_count{operation=\"sandbox.create\"}"), 1.0);
    assert!(of("atelier_resident_memory_bytes") > 1e6);
    assert!(answer.body.contains("operation=\"sandbox.show\",code=\"sandbox."), "{answer:?}");
    assert!(answer.body.ends_with("# EOF\n"), "whole, as the format marks it");
}
