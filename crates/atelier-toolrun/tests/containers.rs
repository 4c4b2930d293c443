//! Tools whose services are containers, on a real engine with the real Compose.

#![allow(clippy::unwrap_used, clippy::panic)]

mod lab;

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use atelier_toolrun::lifecycle::{self, Became, State, Status};
use atelier_tools::Slug;
use lab::{Lab, free_port, wait_until};

const IMAGE: &str = "atelier-tools-test:1";

/// A lab whose commands find the engine and `docker compose`.
fn engine_lab() -> Lab {
    let mut lab = Lab::new();
    let engine = std::env::var("ATELIER_TEST_ENGINE").unwrap_or_else(|_| {
        panic!("no container engine: run scripts/test, or scripts/with-engine cargo nextest run")
    });
    let compose = std::env::var("ATELIER_TEST_COMPOSE").unwrap_or_else(|_| {
        panic!("no Docker Compose: run scripts/test, or name its program in ATELIER_TEST_COMPOSE")
    });
    let plugins = lab.folder.path().join("user/.docker/cli-plugins");
    fs::create_dir_all(&plugins).unwrap();
    symlink(compose, plugins.join("docker-compose")).unwrap();
    lab.environment.insert("DOCKER_HOST".into(), engine.into());
    image(&lab);
    lab
}

fn docker(lab: &Lab, arguments: &[&str]) -> String {
    let mut command = Command::new("docker");
    command.args(arguments).env_clear().envs(&lab.environment).stderr(Stdio::null());
    String::from_utf8(command.output().unwrap().stdout).unwrap().trim().to_owned()
}

/// BusyBox with links to all its programs.
fn image(lab: &Lab) {
    if !docker(lab, &["images", "--quiet", IMAGE]).is_empty() {
        return;
    }
    let root = lab.folder.path().join("image");
    fs::create_dir_all(root.join("bin")).unwrap();
    fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
    for applet in ["sh", "sleep", "httpd", "echo", "cat", "test", "mkdir", "wget", "touch"] {
        symlink("busybox", root.join("bin").join(applet)).unwrap();
    }
    let line = format!("tar -C {} -c . | docker import - {IMAGE}", root.display());
    let done = Command::new("sh").args(["-c", &line]).env_clear().envs(&lab.environment).output();
    assert!(done.unwrap().status.success());
}

impl Lab {
    fn begin(&self, slug: &Slug) -> lifecycle::Report {
        let slugs = [slug.clone()];
        self.with(|manner| lifecycle::start(&self.home, &slugs, manner)).unwrap()
    }

    fn end(&self, slug: &Slug) {
        let slugs = [slug.clone()];
        let report = self.with(|manner| lifecycle::stop(&self.home, &slugs, &[], manner)).unwrap();
        assert_eq!(report.exit().code(), 0, "{report:?}");
    }

    fn look(&self, slug: &Slug) -> Status {
        let slugs = [slug.clone()];
        self.with(|manner| lifecycle::status(&self.home, &slugs, manner)).remove(0)
    }
}

/// Every test has projects of its own name: the engine is shared.
fn named(name: &str) -> String {
    format!("{name}-{}", std::process::id())
}

#[test]
fn a_compose_service_starts_by_default_with_the_users_override_and_is_measured() {
    let lab = engine_lab();
    let port = free_port();
    let slug = lab.tool(&named("web"), &format!("service: {{type: docker-compose}}\nports: [{{port: {port}}}]\nenv_vars: [{{name: WORD, default: hello}}]\n"));
    lab.file(
        &slug,
        "docker-compose.yml",
        &format!("services:\n  web:\n    image: {IMAGE}\n    init: true\n    command: [sh, -c, 'echo $$WORD > index.html; httpd -f -p 80']\n    environment: {{WORD: '${{WORD}}'}}\n    ports: ['127.0.0.1:{port}:80']\n    healthcheck: {{test: [CMD, test, -e, index.html], interval: 1s, start_period: 5s, start_interval: 1s}}\n"),
    );
    lab.file(
        &slug,
        "custom/docker-compose.override.yml",
        "services: {web: {labels: {mine: 'yes'}}}\n",
    );
    assert_eq!(lab.look(&slug).state, State::Stopped);
    let report = lab.begin(&slug);
    assert_eq!(report.tools[0].became, Became::Started, "{report:?}");
    let id = docker(
        &lab,
        &[
            "ps",
            "--quiet",
            "--filter",
            "label=mine=yes",
            "--filter",
            &format!("label=com.docker.compose.project={slug}"),
        ],
    );
    assert!(!id.is_empty(), "the override reaches `docker compose up`");
    assert!(
        lab.told().iter().any(|line| line.contains("containers are starting")),
        "{:?}",
        lab.told()
    );
    let status = lab.look(&slug);
    assert_eq!(status.state, State::Running, "{status:?}");
    assert!(status.memory > Some(0) && status.cpu.is_some(), "{status:?}");
    assert!(status.ports[0].listening && status.ports[0].holder.is_none(), "{:?}", status.ports);
    assert_eq!(lab.begin(&slug).tools[0].became, Became::Already);
    docker(&lab, &["stop", "--time", "1", &id]);
    assert_eq!(lab.look(&slug).state, State::Stopped);
    lab.end(&slug);
    assert_eq!(
        docker(
            &lab,
            &[
                "ps",
                "--all",
                "--quiet",
                "--filter",
                "label=mine=yes",
                "--filter",
                &format!("label=com.docker.compose.project={slug}")
            ]
        ),
        ""
    );
}

#[test]
fn every_compose_of_a_command_sees_the_override() {
    let lab = engine_lab();
    let slug = lab.tool(&named("twice"), "service: {type: docker-compose}\nlifecycle: {start: 'docker compose config > one && docker compose config > two', stop: 'true'}\n");
    lab.file(&slug, "compose.yaml", &format!("services: {{a: {{image: '{IMAGE}'}}}}\n"));
    lab.file(
        &slug,
        "custom/docker-compose.override.yml",
        "services: {a: {labels: {mine: 'yes'}}}\n",
    );
    assert_eq!(lab.begin(&slug).exit().code(), 0);
    assert!(lab.read(&slug, "one").contains("mine") && lab.read(&slug, "two").contains("mine"));
}

#[test]
fn a_failing_compose_is_an_engines_failure_with_its_words() {
    let lab = engine_lab();
    let slug = lab.tool(&named("bad"), "service: {type: docker-compose}\n");
    lab.file(&slug, "docker-compose.yml", "services: {a: {image: 'localhost:1/none'}}\n");
    let report = lab.begin(&slug);
    assert_eq!(report.exit().code(), 6, "{report:?}");
    assert!(
        report.tools[0].problem.as_ref().unwrap().detail.contains("localhost:1/none"),
        "{report:?}"
    );
}

#[test]
fn one_container_gets_its_settings_from_the_environment_alone() {
    let lab = engine_lab();
    let slug = lab.tool(&named("one"), &format!("service: {{type: docker, image: '{IMAGE}', command: [sh, -c, 'echo word=$WORD; sleep 1000']}}\nenv_vars: [{{name: WORD, default: 'a b'}}]\n"));
    let report = lab.begin(&slug);
    assert_eq!(report.tools[0].became, Became::Started, "{report:?}");
    assert_eq!(lab.look(&slug).state, State::Running);
    let mut log = Vec::new();
    wait_until("it speaks", || {
        !docker(&lab, &["logs", &format!("atelier-tool-{slug}")]).is_empty()
    });
    lab.with(|manner| lifecycle::logs(&lab.home, &slug, 10, false, &mut log, &|| true, manner))
        .unwrap();
    assert_eq!(String::from_utf8(log).unwrap(), "word=a b\n");
    lab.end(&slug);
    assert_eq!(lab.look(&slug).state, State::Stopped);
}

#[test]
fn a_volume_is_saved_and_brought_back() {
    let lab = engine_lab();
    let slug =
        lab.tool(&named("vol"), "service: {type: docker-compose}\ndata: [{volume: things}]\n");
    lab.file(&slug, "compose.yaml", &format!("services:\n  a:\n    image: {IMAGE}\n    init: true\n    command: [sleep, '1000']\n    volumes: ['things:/things']\nvolumes: {{things: {{}}}}\n"));
    lab.begin(&slug);
    let container = docker(
        &lab,
        &["ps", "--quiet", "--filter", &format!("label=com.docker.compose.project={slug}")],
    );
    let inside = |line: &str| {
        let id = docker(
            &lab,
            &["ps", "--quiet", "--filter", &format!("label=com.docker.compose.project={slug}")],
        );
        docker(&lab, &["exec", &id, "sh", "-c", line])
    };
    assert!(!container.is_empty());
    inside("mkdir /things/d; echo one > /things/d/x");
    lab.with(|manner| atelier_toolrun::data::backup(&lab.home, &slug, &[], manner)).unwrap();
    assert_eq!(lab.look(&slug).state, State::Running);
    inside("echo two > /things/d/x; touch /things/more");
    let done =
        lab.with(|manner| atelier_toolrun::data::restore(&lab.home, &slug, None, manner)).unwrap();
    assert_eq!(done.restored, ["volume things"]);
    assert_eq!(lab.look(&slug).state, State::Running);
    assert_eq!(inside("cat /things/d/x; test -e /things/more || echo gone"), "one\ngone");
    let volumes = docker(&lab, &["volume", "ls", "--quiet", "--filter", &format!("name={slug}")]);
    assert_eq!(volumes, format!("{slug}_things"));
    lab.end(&slug);
    docker(&lab, &["volume", "rm", &volumes]);
}
