//! A tool whose plugin asks for a sandbox: its server runs, and sees neither the home nor the user's files.

use std::fs;

use super::{SPEAKER, Shed};

#[test]
fn a_server_in_a_sandbox_answers_and_sees_no_home_of_ateliers() {
    let shed = Shed::new();
    let plugin = SPEAKER[0].1.replace(
        "schema_version: '2026-08-20'",
        "schema_version: atelier/1\nsandbox: {runtime: host}",
    );
    let home = shed.lab.home();
    let looks = format!(
        "text = f\"keys {{os.path.exists('{0}/keys')}} values {{os.path.exists('{0}/tools/tools.yaml')}} {{len(os.environ['API_KEY'])}}\"",
        home.display()
    );
    let server =
        SPEAKER[1].1.replace("text = f\"{sys.argv[1]} {len(os.environ['API_KEY'])}\"", &looks);
    assert_ne!(server, SPEAKER[1].1);
    shed.publish("speaker-one", &[("plugin.yaml", &plugin), ("server.py", &server)]);
    shed.init();
    shed.ok(&["add", "speaker-one", "--yes"]);
    let done =
        shed.lab.with_input(&["tool", "setup", "speaker-one", "--set", "API_KEY=-"], b"12345");
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(home.join("keys/tools.key").exists(), "there is something to hide");
    fs::write(home.join("config.yaml"), "tools: {consent: deny}\n").unwrap();
    let said = super::mcp::call(&shed, "tool_call", &["name=speaker-one", "function=whoami"]);
    assert!(said.to_string().contains("keys False values False 5"), "{said}");
    assert_eq!(
        shed.lab.ok(&["env", "ls", "--all-projects", "-q"]).trim(),
        "",
        "it left none behind"
    );
}

#[test]
fn its_own_script_finds_the_pinned_packages_in_the_sandbox_without_a_network() {
    let shed = Shed::new();
    let plugin = "schema_version: atelier/1\nname: Speaker One\ndescription: says who it is\n\
        sandbox: {runtime: host}\npackages: [{npm: semver@7.7.2}, {pypi: tabulate==0.9.0}]\n\
        env_vars: [{name: API_KEY, default: '12345'}]\n\
        mcp: {transport: stdio, command: bash, args: [$ATELIER_TOOL_DIR/server.sh], env: [API_KEY]}\n";
    let script = "#!/bin/bash\nversion=$(npx -y semver 1.2.3)\n\
        rows=$(printf 'a b' | uvx tabulate | tr -d ' \\n')\n\
        exec python3 \"${0%/*}/server.py\" \"$version $rows\"\n";
    let files = [("plugin.yaml", plugin), ("server.sh", script), ("server.py", SPEAKER[1].1)];
    shed.publish("speaker-one", &files);
    shed.init();
    shed.ok(&["add", "speaker-one", "--yes"]);
    fs::write(shed.lab.home().join("config.yaml"), "tools: {consent: deny}\n").unwrap();
    let said = super::mcp::call(&shed, "tool_call", &["name=speaker-one", "function=whoami"]);
    assert!(said.to_string().contains("1.2.3 --ab-- 5"), "{said}");
}
