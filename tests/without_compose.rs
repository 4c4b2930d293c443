//! Services on a machine without Compose: what needs it is named, with what to install.
//! Everything that works either way is tested in `services`, both ways.

use crate::support::{Lab, containers};

fn lab(file: &str) -> Lab {
    let mut lab = Lab::with_services("shop", file);
    lab.set("ATELIER_COMPOSE", "native");
    lab.ok(&["env", "create", "a1"]);
    lab
}

#[test]
fn a_key_that_only_compose_knows_is_named_with_its_place_and_what_to_install() {
    let lab = lab("services:\n  a:\n    image: atelier-test:1\n    gpus: all\n");
    let install = "docker-compose-plugin";
    lab.run(&["env", "up", "a1"]).fails(8, &["compose.yaml:4: `services.a.gpus`", install]);
}

#[test]
fn a_dockerfile_that_needs_another_builder_is_named_with_its_line() {
    let lab = lab("services: {a: {build: .}}\n");
    let script =
        "printf 'FROM atelier-test:1\\nRUN --mount=type=cache,target=/x true\\n' > Dockerfile";
    lab.ok(&["run", "--no-up", "a1", "--", "sh", "-c", script]);
    lab.run(&["env", "up", "a1"]).fails(8, &["Dockerfile:2: `RUN --mount", "needs BuildKit"]);
}

#[test]
fn a_build_that_fails_says_what_the_builder_said() {
    let lab = lab("services: {a: {build: {context: ., network: none}}}\n");
    let script = "printf 'FROM atelier-test:1\\nRUN echo I can not; exit 9\\n' > Dockerfile";
    lab.ok(&["run", "--no-up", "a1", "--", "sh", "-c", script]);
    lab.run(&["env", "up", "a1"]).fails(6, &["service a", "I can not", "code: 9"]);
}

#[test]
fn an_image_is_built_of_a_stage_with_arguments_and_without_what_is_ignored() {
    let file = "services:\n  a:\n    build: {context: ., dockerfile: build/Dockerfile, target: small, network: none, args: {WORD: told}}\n    \
        command: sh -c 'cat /word /src/*; exec sleep 1000'\n    stop_grace_period: 0s\n";
    let lab = lab(file);
    let text = "FROM atelier-test:1 AS small\nARG WORD\nRUN echo $WORD > /word\nCOPY src /src\nFROM small\nRUN exit 3\n";
    let script = format!(
        "mkdir build src; printf '{}' > build/Dockerfile; echo seen > src/a; echo hidden > src/b; printf '**/b\\nbuild\\n' > .dockerignore",
        text.replace('\n', "\\n")
    );
    lab.ok(&["run", "--no-up", "a1", "--", "sh", "-c", &script]);
    lab.ok(&["env", "up", "a1"]);
    let said = lab.ok(&["env", "logs", "a1", "-s", "a"]);
    assert!(
        said.contains("told\n") && said.contains("seen\n") && !said.contains("hidden"),
        "{said}"
    );
    // What was built is not built again until it is asked for.
    lab.ok(&["run", "--no-up", "a1", "--", "sh", "-c", "echo changed > src/a"]);
    lab.ok(&["env", "up", "a1"]);
    assert!(!lab.ok(&["env", "logs", "a1", "-s", "a"]).contains("changed"));
    lab.ok(&["env", "up", "--build", "a1"]);
    assert!(lab.ok(&["env", "logs", "a1", "-s", "a"]).contains("changed"));
}

#[test]
fn an_image_that_no_registry_has_is_named() {
    let lab = lab("services: {a: {image: 'localhost:1/none:1'}}\n");
    lab.run(&["env", "up", "a1"]).fails(6, &["the image localhost:1/none:1", "docker pull"]);
}

#[test]
fn where_compose_is_found_it_is_started_only_for_what_needs_it() {
    let plain = "  a: {image: 'atelier-test:1', command: sleep 1000, stop_grace_period: 0s}\n";
    let mut lab = Lab::with_services("shop", &format!("services:\n{plain}"));
    let program = lab.user_home().join("docker-compose");
    std::os::unix::fs::symlink(std::env::var("ATELIER_TEST_COMPOSE").unwrap(), program).unwrap();
    let path = format!("{}:{}", lab.user_home().display(), std::env::var("PATH").unwrap());
    lab.unset("ATELIER_COMPOSE");
    lab.set("PATH", &path);
    lab.ok(&["env", "create", "a1"]);
    lab.ok(&["env", "up", "a1"]);
    let id = lab.json(&["env", "show", "a1"])["id"].as_str().unwrap().to_owned();
    let by_compose = || {
        let all = containers(&format!("dev.atelier.environment={id}"));
        let made = |c: &&serde_json::Value| c["Labels"].get("com.docker.compose.version").is_some();
        (all.len(), all.iter().filter(made).count())
    };
    assert_eq!(by_compose(), (1, 0));
    // Only Compose knows links.
    let script = "printf '  b: {image: \"atelier-test:1\", command: sleep 1000, links: [a], stop_grace_period: 0s}\\n' >> compose.yaml";
    lab.ok(&["run", "--no-up", "a1", "--", "sh", "-c", script]);
    lab.ok(&["env", "up", "a1"]);
    assert_eq!(by_compose(), (2, 2));
    // What Compose has made stays with it.
    lab.ok(&["run", "--no-up", "a1", "--", "sed", "-i", "/links/d", "compose.yaml"]);
    lab.ok(&["env", "up", "a1"]);
    assert_eq!(by_compose(), (1, 1));
}
