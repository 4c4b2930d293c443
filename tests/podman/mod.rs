//! Services with Podman as the engine: found, driven through its API and by Compose.

mod rootless;

use crate::services::SHOP;
use crate::support::{Lab, containers};

/// Without systemd nobody runs health checks of Podman, and Compose would wait for ever; we run them.
fn waits_for_health(lab: &Lab) {
    lab.write("compose.yaml", SHOP.replace("[db]", "{db: {condition: service_healthy}}").replace(
        "expose: [\"5432\"]",
        "expose: [\"5432\"]\n    healthcheck: {test: [CMD, test, -e, /data/who], interval: 1s, retries: 30}",
    ));
}

/// The whole life of an environment.
fn life(lab: &Lab, stays: bool) {
    let script = "busybox wget -q -O - http://api:3000/; busybox wget -q -O - http://shop.a1.test/; \
        busybox nc db 5432 </dev/null";
    let said = lab.ok(&["run", "a1", "--", "sh", "-c", script]);
    assert!(said.starts_with("hello\nhello\n") && said.lines().count() == 3, "{said}");
    let status = lab.json(&["env", "status", "a1"]);
    for service in status["services"].as_array().unwrap() {
        assert_eq!(service["state"], "running", "{service}");
        assert!(service["addresses"][0].is_string(), "{service}");
    }
    let id = lab.json(&["env", "show", "a1"])["id"].as_str().unwrap().to_owned();
    let label = format!("dev.atelier.environment={id}");
    let ids = || {
        let mut ids: Vec<_> = containers(&label).iter().map(|c| c["Id"].to_string()).collect();
        ids.sort();
        ids
    };
    let before = ids();
    lab.ok(&["env", "up", "a1"]);
    assert_eq!(before.len(), 2);
    if stays {
        assert_eq!(ids(), before, "nothing changed");
    }
    lab.ok(&["env", "logs", "a1", "-s", "api"]);
    lab.ok(&["env", "restart", "a1", "db"]);
    lab.ok(&["env", "down", "a1"]);
    assert!(ids().is_empty());
    lab.ok(&["env", "up", "a1"]);
    let kept = lab.ok(&["run", "a1", "--", "busybox", "nc", "db", "5432"]);
    assert_eq!(Some(kept.trim()), said.lines().last(), "its data is still there");
    lab.ok(&["env", "rm", "--yes", "a1"]);
    assert!(ids().is_empty());
}

#[test]
fn an_environment_lives_through_the_engines_api() {
    let lab = Lab::with_podman("shop", SHOP, "native");
    waits_for_health(&lab);
    life(&lab, true);
}

#[test]
fn an_environment_lives_through_compose() {
    // Compose makes all containers of Podman 4 anew each time: it compares ids of networks that this
    // engine does not tell.
    life(&Lab::with_podman("shop", SHOP, "compose"), false);
}

#[test]
fn an_engine_that_podmans_own_client_is_told_of_is_found_and_doctor_names_it() {
    let mut lab = Lab::with_podman("shop", SHOP, "native");
    let address = lab.address();
    lab.unset("ATELIER_ENGINE");
    lab.set("CONTAINER_HOST", &address);
    let doctor = lab.run(&["doctor"]).stdout;
    assert!(doctor.contains("Podman") && doctor.contains(&address), "{doctor}");
}

#[test]
fn an_image_is_built_by_its_own_builder() {
    let file = "services:\n  app:\n    build: {context: ., network: none}\n    command: sh -c 'cat /site/*; exec sleep 1000'\n    \
        stop_grace_period: 0s\n";
    let lab = Lab::with_podman("shop", file, "native");
    lab.write("Dockerfile", "FROM atelier-test:1\nCOPY site /site\n");
    lab.ok(&["env", "create", "a1"]);
    lab.ok(&["env", "up", "a1"]);
    assert!(lab.ok(&["env", "logs", "a1", "-s", "app"]).contains("hello\n"));
}
