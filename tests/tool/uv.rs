//! Packages of PyPI where `uv` is installed: hashes for every platform, so that a machine without it has them too.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use super::Shed;

#[test]
fn uv_pins_for_every_platform_and_a_machine_without_it_installs_from_that() {
    let tools = std::env::var_os("ATELIER_TEST_MCP").expect("scripts/test installs it (tests/mcp)");
    let mut shed = Shed::new();
    let bin = shed.lab.user_home().join("bin");
    fs::create_dir_all(&bin).unwrap();
    symlink(PathBuf::from(tools).join("venv/bin/uv"), bin.join("uv")).unwrap();
    let plain = std::env::var("PATH").unwrap();
    shed.lab.set("PATH", &format!("{}:{plain}", bin.display()));
    let plugin = "schema_version: atelier/1\nname: Spread\ndescription: makes tables\n\
        packages: [{pypi: tabulate==0.9.0}, {pypi: markupsafe==3.0.2}]\n\
        mcp: {transport: stdio, command: uvx, args: [tabulate, --help]}\n";
    shed.publish("spread", &[("plugin.yaml", plugin)]);
    shed.init();
    shed.ok(&["add", "spread", "--yes"]);
    let hashes = |shed: &Shed, name: &str| {
        let shown = shed.json(&["show", "spread"]);
        let packages = shown["packages"].as_array().unwrap().clone();
        let package = packages.iter().find(|package| package["name"] == name).unwrap().clone();
        package["sha256s"].as_array().unwrap().len()
    };
    assert_eq!(hashes(&shed, "tabulate"), 2, "its wheel and its source");
    assert!(hashes(&shed, "markupsafe") > 20, "wheels for every platform");
    assert!(shed.ok(&["exec", "spread"]).contains("Usage: tabulate"));
    assert!(shed.ok(&["outdated"]).len() < 10_000);

    fs::remove_dir_all(shed.tools().join(".local/packages/spread")).unwrap();
    shed.lab.set("PATH", &plain);
    shed.ok(&["install", "--all", "--frozen"]);
    assert!(shed.ok(&["exec", "spread"]).contains("Usage: tabulate"));
    let lock = shed.tools().join("locks/spread/requirements.txt");
    let spoilt = fs::read_to_string(&lock).unwrap().replace("sha256:0", "sha256:1");
    fs::write(&lock, spoilt).unwrap();
    shed.fails(&["install", "--all", "--frozen"], 5, &["requirements.txt"]);
}
