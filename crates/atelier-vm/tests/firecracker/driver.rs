//! The driver's calls, in the order in which a sandbox's life needs them.

use std::fs;
use std::path::Path;

use atelier_api::sandbox::{DeviceCounters, Rates};
use atelier_guest::client::Guest;
use atelier_vm::firecracker::{
    Api, Balloon, Firecracker, Limiter, Load, Logger, METRICS, Meter, Metrics, NetworkInterface,
    NetworkOverride, Plan, TokenBucket, VSOCK, VsockOverride,
};
use atelier_vm::{BootFiles, Machine, VmError};

use crate::peer::{PORT, Peer};

fn plan(dir: &Path) -> Plan {
    for name in ["vmlinux", "initrd", "base", "layer"] {
        fs::write(dir.join(name), name).unwrap();
    }
    let boot = BootFiles {
        id: "k".into(),
        release: "6.1".into(),
        hz: Some(250),
        vmlinux: dir.join("vmlinux"),
        initrd: dir.join("initrd"),
    };
    let machine = Machine { cpus: 2, memory_mib: 512, port: 49983, mtu: 1500 };
    Plan::new(&boot, &machine, "base".into(), "layer".into())
}

fn refusal(error: VmError) -> String {
    match error {
        VmError::Refused { why, .. } => why,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_machine_with_everything_boots_and_its_guest_answers_over_vsock() {
    let dir = tempfile::tempdir().unwrap();
    let peer = Peer::start(dir.path());
    let api = Api::connect_soon(&peer.dir.join("api.sock")).await.unwrap();
    let limiter = Limiter {
        bandwidth: Some(TokenBucket::per_second(1 << 20)),
        ops: Some(TokenBucket::per_second(500)),
    };
    let mut plan = plan(dir.path());
    plan.track_dirty_pages = true;
    plan.disk_limiter = Some(limiter);
    plan.network = Some(NetworkInterface {
        rx_rate_limiter: Some(limiter),
        tx_rate_limiter: Some(limiter),
        ..NetworkInterface::wire()
    });
    plan.balloon =
        Some(Balloon { amount_mib: 0, deflate_on_oom: true, stats_polling_interval_s: 0 });
    plan.logger = Some(Logger { log_path: "log".into(), level: "Warning".into() });
    plan.metrics = Some(Metrics { metrics_path: "metrics".into() });
    plan.boot(&api).await.unwrap();
    assert_eq!(api.info().await.unwrap().state, "Running");
    assert_eq!(api.version().await.unwrap(), "1.17.0");
    let config = api.config().await.unwrap();
    assert_eq!(config["/drives/layer"]["rate_limiter"]["ops"]["size"], 500);
    assert_eq!(config["/drives/base"]["is_read_only"], true);
    let line = config["/boot-source"]["boot_args"].as_str().unwrap();
    assert!(line.contains("atelier.vsock=49983") && line.ends_with("-- init"), "{line}");
    Guest::vsock(dir.path().join(VSOCK), PORT).health().await.unwrap();
    assert!(Guest::vsock(dir.path().join(VSOCK), 22).health().await.is_err());
    api.limit_drive("layer", limiter).await.unwrap();
    api.limit_network("eth0", limiter, Limiter::default()).await.unwrap();
    api.inflate(64).await.unwrap();
    api.flush_metrics().await.unwrap();
    api.ctrl_alt_del().await.unwrap();
    let order = peer.requests();
    assert_eq!(order[..3], ["PUT /logger", "PUT /metrics", "PUT /machine-config"]);
    let disks: Vec<&String> = order.iter().filter(|it| it.starts_with("PUT /drives")).collect();
    assert_eq!(disks, ["PUT /drives/base", "PUT /drives/layer"]);
}

#[tokio::test]
async fn a_machine_is_held_to_rates_and_to_others_and_to_none() {
    let dir = tempfile::tempdir().unwrap();
    let peer = Peer::start(dir.path());
    let api = Api::new(peer.dir.join("api.sock"));
    let rates = Rates { disk_bandwidth: Some(1 << 20), disk_iops: Some(100), ..Rates::default() };
    let why = refusal(api.hold_to(&rates).await.unwrap_err());
    assert!(why.contains("before starting"), "{why}");
    let mut plan = plan(dir.path());
    plan.network = Some(NetworkInterface::wire());
    plan.boot(&api).await.unwrap();
    api.hold_to(&rates).await.unwrap();
    let bucket = |size: u64| serde_json::json!({ "size": size, "refill_time": 1000 });
    let config = api.config().await.unwrap();
    for disk in ["/drives/base", "/drives/layer"] {
        let limiter = &config[disk]["rate_limiter"];
        assert_eq!((&limiter["bandwidth"], &limiter["ops"]), (&bucket(1 << 20), &bucket(100)));
    }
    let rates = Rates { network_bandwidth: Some(5 << 20), ..Rates::default() };
    api.hold_to(&rates).await.unwrap();
    let config = api.config().await.unwrap();
    for way in ["rx_rate_limiter", "tx_rate_limiter"] {
        assert_eq!(config["/network-interfaces/eth0"][way]["bandwidth"], bucket(5 << 20));
    }
    assert!(config["/drives/layer"]["rate_limiter"]["ops"].is_null(), "{config}");
}

#[tokio::test]
async fn what_a_monitor_counts_is_summed_from_its_lines() {
    let dir = tempfile::tempdir().unwrap();
    let peer = Peer::start(dir.path());
    let api = Api::new(peer.dir.join("api.sock"));
    let sums = tempfile::tempdir().unwrap();
    let meter = Meter::new(dir.path(), sums.path().join("sums"));
    let mut plan = plan(dir.path());
    plan.metrics = Some(Metrics { metrics_path: METRICS.into() });
    plan.boot(&api).await.unwrap();
    assert_eq!(meter.read().unwrap(), DeviceCounters::default(), "nothing is told yet");
    api.flush_metrics().await.unwrap();
    let first = meter.read().unwrap();
    assert_eq!((first.disk_reads, first.disk_read), (2, 8192));
    peer.count("block", "write_bytes", 500);
    peer.count("block", "rate_limiter_throttled_events", 3);
    api.flush_metrics().await.unwrap();
    peer.count("net", "tx_rate_limiter_throttled", 2);
    api.flush_metrics().await.unwrap();
    let second = meter.read().unwrap();
    assert_eq!((second.disk_reads, second.disk_written), (2, 500));
    assert_eq!((second.disk_throttled, second.network_throttled), (Some(3), Some(2)));
    // Whoever reads next goes on where this one was.
    assert_eq!(Meter::new(dir.path(), sums.path().join("sums")).read().unwrap(), second);
}

#[tokio::test]
async fn a_saved_machine_is_loaded_by_copies_with_ways_in_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let peer = Peer::start(dir.path());
    let api = Api::new(peer.dir.join("api.sock"));
    let mut plan = plan(dir.path());
    plan.track_dirty_pages = true;
    plan.network = Some(NetworkInterface::wire());
    plan.boot(&api).await.unwrap();
    let early = refusal(api.save("state", "memory", false).await.unwrap_err());
    assert!(early.contains("not paused"), "{early}");
    api.pause().await.unwrap();
    api.save("state", "memory", false).await.unwrap();
    api.save("state", "memory", true).await.unwrap();
    api.resume().await.unwrap();
    for number in 0..3 {
        let folder = tempfile::tempdir().unwrap();
        let copy = Peer::start(folder.path());
        // Disks have no overrides: they are found by the same relative paths.
        for disk in ["base", "layer"] {
            fs::copy(dir.path().join(disk), folder.path().join(disk)).unwrap();
        }
        let copy_api = Api::new(copy.dir.join("api.sock"));
        let text = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
        let mut load = Load::file(text("state"), text("memory"));
        let tap = format!("tap{number}");
        load.network_overrides =
            vec![NetworkOverride { iface_id: "eth0".into(), host_dev_name: tap.clone() }];
        let way_in = folder.path().join("in.sock");
        load.vsock_override =
            Some(VsockOverride { uds_path: way_in.to_string_lossy().into_owned() });
        copy_api.load(&load).await.unwrap();
        assert_eq!(copy_api.info().await.unwrap().state, "Running");
        let config = copy_api.config().await.unwrap();
        assert_eq!(config["/network-interfaces/eth0"]["host_dev_name"], tap.as_str());
        Guest::vsock(way_in, PORT).health().await.unwrap();
    }
}

#[tokio::test]
async fn what_the_monitor_refuses_is_told_in_its_own_words() {
    let dir = tempfile::tempdir().unwrap();
    let peer = Peer::start(dir.path());
    let api = Api::new(peer.dir.join("api.sock"));
    let why = refusal(api.pause().await.unwrap_err());
    assert!(why.contains("before starting"), "{why}");
    let why = refusal(api.start().await.unwrap_err());
    assert!(why.contains("no kernel"), "{why}");
    let mut unplugged = plan(dir.path());
    unplugged.layer = "missing".into();
    let error = unplugged.boot(&api).await.unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("Firecracker refused PUT /drives/layer: missing"), "{text}");
    let why = refusal(api.load(&Load::file("state", "memory")).await.unwrap_err());
    assert!(why.contains("after configuring"), "{why}");
    plan(dir.path()).boot(&api).await.unwrap();
    let why = refusal(api.start().await.unwrap_err());
    assert!(why.contains("after starting"), "{why}");
    api.pause().await.unwrap();
    let why = refusal(api.save("state", "memory", true).await.unwrap_err());
    assert!(why.contains("not tracked"), "{why}");
}

#[tokio::test]
async fn a_monitor_that_is_gone_is_an_error_and_not_a_hang() {
    let dir = tempfile::tempdir().unwrap();
    let error = Api::new(dir.path().join("api.sock")).info().await.unwrap_err();
    assert!(error.to_string().contains("does not answer"), "{error}");
}

#[test]
fn a_host_without_firecracker_is_told_where_to_get_it() {
    use atelier_api::Fault;

    let error = Firecracker::find(Some(Path::new("/nowhere/firecracker"))).unwrap_err();
    assert!(error.to_string().contains("/nowhere/firecracker is no program"), "{error}");
    assert!(error.hints()[0].contains("releases"), "{:?}", error.hints());
}
