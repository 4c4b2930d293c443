//! Against the agents themselves, from npm (tests/agents): our file is what their own commands write,
//! they read back what we wrote and connect to it, they keep it when they write, and they find the skills.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "real/cli.rs"]
mod cli;
mod support;

use std::fs;

use atelier_agents::{Agent, Outcome, Scope, Server, Skill, Transport, What};
use cli::Real;
use serde_json::{Value, json};
use support::{Lab, agent, read, tool};

/// A server with variables, and what the agent's own command is told to write the same.
fn with_env() -> Server {
    let mut server = tool("one");
    if let Transport::Stdio { env, .. } = &mut server.transport {
        env.insert("A".into(), "1".into());
        env.insert("B".into(), "2".into());
    }
    server
}

fn http(header: bool) -> Server {
    let mut server = Server::http("two", "http://127.0.0.1:9/mcp");
    if let (true, Transport::Http { headers, .. }) = (header, &mut server.transport) {
        headers.insert("X-Team".into(), "b".into());
    }
    server
}

fn sse() -> Server {
    let transport = Transport::Sse { url: "http://127.0.0.1:9/sse".into(), headers: [].into() };
    Server { name: "three".into(), transport, timeout: None }
}

/// The file that we write when the agent was never there.
fn ours(agent: Agent, scope: Scope, servers: &[Server]) -> String {
    let lab = Lab::new();
    for server in servers {
        lab.wiring().plug(agent, scope, server, false).unwrap();
    }
    read(&agent.file(&lab.places, scope).unwrap())
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

#[test]
fn claudes_own_command_writes_the_same() {
    let real = Real::new();
    for (scope, file) in [("user", ".claude.json"), ("project", "project/.mcp.json")] {
        let add = format!("claude mcp add --scope {scope}");
        real.run(&words(&format!("{add} one -e A=1 -e B=2 -- /usr/bin/atelier tool exec one")));
        real.run(&words(&format!("{add} --transport http two http://127.0.0.1:9/mcp")));
        real.run(&words(&format!("{add} --transport sse three http://127.0.0.1:9/sse")));
        real.run(&words(&format!("{add} four -- /usr/bin/atelier tool exec four")));
        let scope = if scope == "user" { Scope::User } else { Scope::Project };
        let ours = ours(agent("claude"), scope, &[with_env(), http(false), sse(), tool("four")]);
        let theirs = read(&real.lab.path(file));
        if scope == Scope::Project {
            assert_eq!(ours, theirs);
        }
        // The user's file has more in it; what is under the key is the same to the byte.
        let inner = ours.trim_start_matches("{\n").trim_end_matches("\n}");
        assert!(theirs.contains(inner), "{inner}\nis not in\n{theirs}");
    }
}

#[test]
fn codex_own_command_writes_the_same() {
    let real = Real::new();
    real.run(&words("codex mcp add one --env A=1 --env B=2 -- /usr/bin/atelier tool exec one"));
    real.run(&words("codex mcp add two --url http://127.0.0.1:9/mcp"));
    real.run(&words("codex mcp add four -- /usr/bin/atelier"));
    let servers = [with_env(), http(false), Server::stdio("four", "/usr/bin/atelier", &[])];
    let ours = ours(agent("codex"), Scope::User, &servers);
    assert_eq!(ours, read(&real.lab.path(".codex/config.toml")));
}

#[test]
fn geminis_own_command_writes_the_same() {
    let real = Real::new();
    // In a folder that is not trusted its command forgets what the project's file had.
    real.trust();
    for (scope, file) in
        [("user", ".gemini/settings.json"), ("project", "project/.gemini/settings.json")]
    {
        let add = format!("gemini mcp add --scope {scope}");
        real.run(&words(&format!("{add} -e A=1 -e B=2 one /usr/bin/atelier tool exec one")));
        real.run(&words(&format!("{add} --transport http two http://127.0.0.1:9/mcp -H X-Team:b")));
        real.run(&words(&format!("{add} --transport sse three http://127.0.0.1:9/sse")));
        real.run(&words(&format!("{add} --timeout 9000 four /usr/bin/atelier tool exec four")));
        let scope = if scope == "user" { Scope::User } else { Scope::Project };
        let slow = Server { timeout: Some(9000), ..tool("four") };
        let ours = ours(agent("gemini"), scope, &[with_env(), http(true), sse(), slow]);
        assert_eq!(ours, read(&real.lab.path(file)));
    }
}

#[test]
fn auggies_own_command_writes_the_same() {
    for (flag, file, scope) in [
        ("", ".augment/settings.json", Scope::User),
        ("--project", "project/.augment/settings.json", Scope::Project),
    ] {
        let real = Real::new();
        let add = |line: &str, args: &[&str]| {
            let line = format!("auggie mcp add {flag} {line}");
            real.run(&[&words(&line), args].concat());
        };
        let one = "one --command /usr/bin/atelier --env A=1 --env B=2 --args";
        add(one, &["tool exec one"]);
        add("two --transport http --url http://127.0.0.1:9/mcp --header X-Team:b", &[]);
        add("three --transport sse --url http://127.0.0.1:9/sse", &[]);
        add("four --command /usr/bin/atelier", &[]);
        let four = Server::stdio("four", "/usr/bin/atelier", &[]);
        let ours = ours(agent("auggie"), scope, &[with_env(), http(true), sse(), four]);
        assert_eq!(ours, read(&real.lab.path(file)));
    }
}

#[test]
fn opencodes_own_command_writes_the_same() {
    let real = Real::new();
    real.run(&words("opencode mcp add one --env A=1 --env B=2 -- /usr/bin/atelier tool exec one"));
    real.run(&words("opencode mcp add two --url http://127.0.0.1:9/mcp --header X-Team=b"));
    let ours = ours(agent("opencode"), Scope::User, &[with_env(), http(true)]);
    assert_eq!(ours, read(&real.lab.path(".config/opencode/opencode.jsonc")));
}

/// Plugs, plugs again, changes, and takes out, with the agent asked each time: `seen` gives what its
/// own program knows of `everything`, as text; nothing when it knows no such server.
fn life(real: &Real, agent: Agent, seen: impl Fn(&Real) -> Option<String>) {
    assert_eq!(seen(real), None, "{agent}: before");
    let server = Server::stdio("everything", &real.server(), &["stdio"]);
    assert_eq!(real.lab.plug(agent, &server), Outcome::Added);
    assert!(seen(real).unwrap().contains(&real.server()), "{agent}: {:?}", seen(real));
    assert_eq!(real.lab.plug(agent, &server), Outcome::Unchanged, "{agent}: it kept what we wrote");
    let changed = Server::stdio("everything", "/usr/bin/env", &["node", &real.server(), "stdio"]);
    assert_eq!(real.lab.plug(agent, &changed), Outcome::Updated);
    assert!(seen(real).unwrap().contains("/usr/bin/env"), "{agent}");
    assert_eq!(real.lab.wiring().drift(|_| true), [], "{agent}");
    assert_eq!(real.lab.unplug(agent, "everything"), Outcome::Removed);
    assert_eq!(seen(real), None, "{agent}: after");
}

/// The part of a text between a line that begins with `name` and the next empty one.
fn about(said: &str, name: &str) -> Option<String> {
    let from = said.lines().skip_while(|line| !line.contains(name));
    let part: Vec<_> = from.take_while(|line| !line.trim().is_empty()).collect();
    (!part.is_empty()).then(|| part.join("\n"))
}

#[test]
fn claude_connects_to_what_was_plugged() {
    let real = Real::new();
    real.run(&words("claude mcp add --scope user mine -- /bin/mine"));
    life(&real, agent("claude"), |real| {
        let said = real.try_run(&words("claude mcp get everything"));
        if said.code != Some(0) {
            return None;
        }
        assert!(said.out.contains("Connected"), "{}", said.out);
        Some(said.out)
    });
    assert!(real.run(&words("claude mcp get mine")).contains("/bin/mine"), "the user's own stays");
    // What the agent itself removes is known to be missing.
    real.lab.plug(agent("claude"), &tool("notion"));
    real.run(&words("claude mcp remove --scope user notion"));
    assert_eq!(real.lab.wiring().drift(|_| true)[0].what, What::Missing);
}

#[test]
fn codex_reads_back_what_was_plugged() {
    let real = Real::new();
    let codex = agent("codex");
    let own = "# mine\n[mcp_servers.mine] # by hand\ncommand = \"/bin/mine\"\n";
    real.lab.write(&real.lab.file(codex), own);
    let listed = |real: &Real| -> Vec<Value> {
        serde_json::from_str(&real.run(&words("codex mcp list --json"))).unwrap()
    };
    let find =
        |real: &Real, name: &str| listed(real).into_iter().find(|entry| entry["name"] == name);
    life(&real, codex, |real| Some(find(real, "everything")?["transport"].to_string()));
    assert_eq!(read(&real.lab.file(codex)), own);
    real.lab.plug(codex, &Server { timeout: Some(9500), ..http(true) });
    let two = find(&real, "two").unwrap();
    assert_eq!(two["transport"]["http_headers"], json!({"X-Team": "b"}));
    assert_eq!(two["tool_timeout_sec"], 9.5);
    // Its own command goes over ours without a question; that is seen.
    real.run(&words("codex mcp add two -- /bin/theirs"));
    assert_eq!(real.lab.wiring().drift(|_| true)[0].what, What::Changed);
    // In a project it reads them once the project is trusted.
    real.lab.wiring().plug(codex, Scope::Project, &tool("here"), false).unwrap();
    assert_eq!(find(&real, "here"), None);
    let project = real.lab.path("project");
    let trust = format!("[projects.\"{}\"]\ntrust_level = \"trusted\"\n", project.display());
    fs::write(real.lab.file(codex), read(&real.lab.file(codex)) + &trust).unwrap();
    assert_eq!(find(&real, "here").unwrap()["transport"]["args"], json!(["tool", "exec", "here"]));
}

#[test]
fn gemini_connects_to_what_was_plugged() {
    let real = Real::new();
    let gemini = agent("gemini");
    let own =
        "{\n  // mine\n  \"mcpServers\": {\n    \"mine\": { \"command\": \"/bin/mine\" }\n  }\n}\n";
    real.lab.write(&real.lab.file(gemini), own);
    real.trust();
    life(&real, gemini, |real| {
        let said = real.try_run(&words("gemini mcp list"));
        let part = about(&(said.out + &said.err), "everything")?;
        assert!(part.contains("Connected"), "{part}");
        Some(part)
    });
    assert_eq!(read(&real.lab.file(gemini)), own);
}

#[test]
fn opencode_connects_to_what_was_plugged() {
    let real = Real::new();
    let opencode = agent("opencode");
    let own = "{\n  \"$schema\": \"https://opencode.ai/config.json\",\n  // mine\n  \"mcp\": {\n    \"mine\": {\"type\": \"local\", \"command\": [\"/bin/mine\"], \"enabled\": false}, // off\n  },\n}\n";
    real.lab.write(&real.lab.file(opencode), own);
    life(&real, opencode, |real| {
        let said = real.run(&words("opencode mcp list"));
        let part: Vec<_> =
            said.lines().skip_while(|line| !line.contains("everything ")).take(2).collect();
        let first = part.first()?;
        assert!(first.contains("connected"), "{said}");
        Some(part.join("\n"))
    });
    assert_eq!(read(&real.lab.file(opencode)), own);
}

#[test]
fn auggie_reads_back_what_was_plugged() {
    let real = Real::new();
    let auggie = agent("auggie");
    real.run(&words("auggie mcp add mine --command /bin/mine"));
    let own = read(&real.lab.file(auggie));
    life(&real, auggie, |real| {
        let listed: Value =
            serde_json::from_str(&real.run(&words("auggie mcp list --json"))).unwrap();
        let servers = listed["servers"].as_array().unwrap().clone();
        assert!(servers.iter().any(|server| server["name"] == "mine"));
        Some(servers.iter().find(|server| server["name"] == "everything")?.to_string())
    });
    assert_eq!(read(&real.lab.file(auggie)), own);
}

/// Plugs skills at both levels, asks, and takes them out again.
fn skill_life(name: &str, ask: &[&str]) {
    let real = Real::new();
    let agent = agent(name);
    real.trust();
    fs::create_dir(real.lab.path("project/.git")).unwrap();
    let levels = [(Scope::User, "for-the-user"), (Scope::Project, "for-the-project")];
    let known = || {
        let said = real.try_run(ask);
        levels.map(|(_, name)| said.out.contains(name) || said.err.contains(name))
    };
    assert_eq!(known(), [false; 2], "{agent}: before");
    for (scope, name) in levels {
        // As most plugins have it: without frontmatter.
        let skill = Skill::from_text(name, "Reads \"notes\": all of them", "# Notes\n").unwrap();
        real.lab.wiring().plug_skill(agent, scope, &skill, false).unwrap();
    }
    assert_eq!(known(), [true; 2], "{agent}: user, project");
    for (scope, name) in levels {
        real.lab.wiring().unplug_skill(agent, scope, name, false).unwrap();
    }
    assert_eq!(known(), [false; 2], "{agent}: after");
}

#[test]
fn claude_finds_skills() {
    skill_life("claude", &["claude", "-p", "/context"]);
}

#[test]
fn codex_finds_skills() {
    skill_life("codex", &["codex", "debug", "prompt-input", "x"]);
}

#[test]
fn gemini_finds_skills() {
    skill_life("gemini", &["gemini", "skills", "list", "--all"]);
}

#[test]
fn opencode_finds_skills() {
    skill_life("opencode", &["opencode", "debug", "skill"]);
}

#[test]
fn the_folder_of_zeds_skills_is_one_that_others_read_too() {
    let real = Real::new();
    let skill = Skill::from_text("shared", "Notes", "# Notes\n").unwrap();
    real.lab.wiring().plug_skill(agent("zed"), Scope::User, &skill, false).unwrap();
    assert!(real.run(&words("opencode debug skill")).contains("\"shared\""));
    assert!(real.run(&words("codex debug prompt-input x")).contains("shared"));
}
