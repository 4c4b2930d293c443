//! The life of tools: real processes, started, found, asked, ended.

#![allow(clippy::unwrap_used, clippy::panic)]

mod lab;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;

use atelier_api::Fault;
use atelier_toolrun::lifecycle::{self, Became, Report, Server, State, Status, Verb};
use atelier_toolrun::secrets::{self, Answer, Secret};
use atelier_tools::Slug;
use lab::{Lab, free_port, wait_until};

impl Lab {
    fn start(&self, slugs: &[&Slug]) -> Report {
        let slugs: Vec<Slug> = slugs.iter().map(|slug| (*slug).clone()).collect();
        self.with(|manner| lifecycle::start(&self.home, &slugs, manner)).unwrap()
    }

    fn stop(&self, slug: &Slug, installed: &[&Slug]) -> Report {
        let installed: Vec<Slug> = installed.iter().map(|slug| (*slug).clone()).collect();
        let slugs = [slug.clone()];
        self.with(|manner| lifecycle::stop(&self.home, &slugs, &installed, manner)).unwrap()
    }

    fn status(&self, slug: &Slug) -> Status {
        let slugs = [slug.clone()];
        self.with(|manner| lifecycle::status(&self.home, &slugs, manner)).remove(0)
    }

    fn logs(&self, slug: &Slug) -> String {
        let mut out = Vec::new();
        let stop = || true;
        self.with(|manner| {
            lifecycle::logs(&self.home, slug, 100, false, &mut out, &stop, manner).unwrap()
        });
        String::from_utf8(out).unwrap()
    }

    fn set_secret(&self, slug: &Slug, name: &str, text: &str) {
        let tool = lifecycle::Tool::load(&self.home, slug).unwrap();
        let answers = BTreeMap::from([(name.to_owned(), Answer::Set(Secret::new(text)))]);
        secrets::apply(&self.home, slug, &tool.plugin, &[], &answers).unwrap();
    }
}

fn became(report: &Report) -> Vec<(String, Became)> {
    report.tools.iter().map(|one| (one.slug.to_string(), one.became)).collect()
}

fn alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z")
}

const SLEEPER: &str = "service: {type: process, command: [sh, -c, 'echo up; exec sleep 1000']}\n";

#[test]
fn a_process_is_kept_shown_and_ended() {
    let lab = Lab::new();
    let slug = lab.tool("sleeper", SLEEPER);
    assert_eq!(lab.status(&slug).state, State::Stopped);
    assert_eq!(became(&lab.start(&[&slug])), [("sleeper".into(), Became::Started)]);
    let status = lab.status(&slug);
    assert_eq!(status.state, State::Running, "{status:?}");
    assert!(status.memory > Some(0) && status.since.is_some() && !status.pids.is_empty());
    assert_eq!(became(&lab.start(&[&slug]))[0].1, Became::Already);
    assert_eq!(lab.status(&slug).pids, status.pids);
    wait_until("its log has a line", || lab.logs(&slug).contains("up"));
    assert_eq!(became(&lab.stop(&slug, &[&slug]))[0].1, Became::Stopped);
    assert!(!status.pids.iter().any(|pid| alive(*pid)));
    assert_eq!(lab.status(&slug).state, State::Stopped);
    assert!(lab.logs(&slug).contains("ended with 143"), "{}", lab.logs(&slug));
}

#[test]
fn a_process_gets_its_settings_and_no_log_shows_a_secret() {
    let lab = Lab::new();
    let slug = lab.tool(
        "talker",
        "service: {type: process, command: [sh, -c, 'echo key=$KEY port=$PORT dir=$ATELIER_TOOL_DIR end; sleep 1000']}\n\
         env_vars: [{name: KEY, secret: true, required: true}, {name: PORT, default: '99'}]\n",
    );
    let report = lab.start(&[&slug]);
    let problem = report.tools[0].problem.as_ref().unwrap();
    assert_eq!((problem.code.as_str(), report.exit().code()), ("tool.settings.missing", 8));
    lab.set_secret(&slug, "KEY", "tok-1234567890");
    assert_eq!(lab.start(&[&slug]).exit().code(), 0);
    wait_until("it has spoken", || lab.logs(&slug).contains("end"));
    let log = lab.logs(&slug);
    let folder = lab.home.plugin(&slug);
    assert!(log.contains(&format!("key=•••• port=99 dir={} end", folder.display())), "{log}");
    let raw = fs::read_to_string(lab.home.run(&slug).join("log")).unwrap();
    assert!(!raw.contains("tok-"), "{raw}");
    let pid = lab.status(&slug).pids[0];
    for file in ["cmdline", "environ"] {
        let text = fs::read(format!("/proc/{pid}/{file}")).unwrap();
        let has = String::from_utf8_lossy(&text).contains("tok-1234567890");
        assert_eq!(has, file == "environ", "{file}");
    }
}

#[test]
fn a_process_that_ends_at_once_did_not_start_and_tells_why() {
    let lab = Lab::new();
    let slug = lab
        .tool("broken", "service: {type: process, command: [sh, -c, 'echo no config; exit 3']}\n");
    let report = lab.start(&[&slug]);
    let problem = report.tools[0].problem.as_ref().unwrap();
    assert_eq!(problem.code, "tool.ended");
    assert!(
        problem.detail.contains("ended with 3") && problem.detail.contains("no config"),
        "{problem:?}"
    );
    assert_eq!(lab.status(&slug).state, State::Failed);
    let missing = lab.tool("missing", "service: {type: process, command: [no-such-program]}\n");
    let report = lab.start(&[&missing]);
    assert_eq!(report.exit().code(), 8, "{report:?}");
}

#[test]
fn a_process_that_fails_is_started_again_when_its_plugin_says_so() {
    let lab = Lab::new();
    let slug = lab.tool(
        "phoenix",
        "service: {type: process, restart: on-failure, command: [sh, -c, 'echo x >> runs; [ $(wc -l < runs) -ge 3 ] && exec sleep 1000; sleep 0.5; exit 1']}\n",
    );
    assert_eq!(lab.start(&[&slug]).exit().code(), 0);
    wait_until("it is there for the third time", || lab.status(&slug).restarts == 2);
    wait_until("it runs", || lab.status(&slug).state == State::Running);
    lab.stop(&slug, &[]);
    assert_eq!(lab.read(&slug, "runs").lines().count(), 3);
}

#[test]
fn what_a_killed_keeper_left_is_found_by_its_mark_and_ended() {
    let lab = Lab::new();
    let slug = lab.tool("orphan", SLEEPER);
    lab.start(&[&slug]);
    let noted = fs::read_to_string(lab.home.run(&slug).join("service.json")).unwrap();
    let noted: serde_json::Value = serde_json::from_str(&noted).unwrap();
    let keeper = i32::try_from(noted["keeper"]["pid"].as_i64().unwrap()).unwrap();
    let child = i32::try_from(noted["child"]["pid"].as_i64().unwrap()).unwrap();
    let kill = Command::new("kill").args(["-9", &keeper.to_string()]).status().unwrap();
    assert!(kill.success());
    wait_until("the keeper is gone", || !alive(keeper));
    // As if it had been killed before it could note anything.
    fs::remove_file(lab.home.run(&slug).join("service.json")).unwrap();
    let status = lab.status(&slug);
    assert_eq!((status.state, status.pids.contains(&child)), (State::Running, true));
    lab.stop(&slug, &[]);
    assert!(!alive(child));
}

#[test]
fn children_that_leave_the_group_are_ended_too() {
    let lab = Lab::new();
    let slug = lab.tool(
        "family",
        "service: {type: process, command: [sh, -c, 'setsid sleep 1000 & echo $! > child; trap \"\" TERM; while :; do sleep 0.1; done']}\n",
    );
    lab.start(&[&slug]);
    wait_until("the child is there", || !lab.read(&slug, "child").is_empty());
    let pids = lab.status(&slug).pids;
    let child: i32 = lab.read(&slug, "child").trim().parse().unwrap();
    assert!(pids.contains(&child));
    assert_eq!(became(&lab.stop(&slug, &[]))[0].1, Became::Stopped);
    assert!(!alive(child) && !pids.iter().any(|pid| alive(*pid)));
}

#[test]
fn a_taken_port_is_told_with_its_holder_before_anything_runs() {
    let lab = Lab::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let other = lab.tool("other", SLEEPER);
    let slug = lab.tool("web", &format!("{SLEEPER}ports: [{{port: {port}, name: ui}}]\n"));
    let report = lab.start(&[&other, &slug]);
    assert_eq!(report.exit().code(), 9);
    assert_eq!(became(&report)[0], ("other".into(), Became::Untried));
    let detail = &report.tools[1].problem.as_ref().unwrap().detail;
    assert!(detail.contains(&format!("port {port} is held by")), "{detail}");
    assert!(detail.contains(&format!("process {}", std::process::id())), "{detail}");
    assert_eq!(lab.status(&other).state, State::Stopped);
    let ports = lab.status(&slug).ports;
    assert!(ports[0].listening && ports[0].holder.is_some());
}

#[test]
fn what_is_required_is_well_before_its_dependents_start_and_stops_after_them() {
    let lab = Lab::new();
    let port = free_port();
    let serve = format!(
        "import http.server, time; time.sleep(0.3); http.server.HTTPServer((\"127.0.0.1\", {port}), http.server.SimpleHTTPRequestHandler).serve_forever()"
    );
    let base = lab.tool("base", &format!("service: {{type: process, command: [python3, -c, '{serve}']}}\nhealth: {{http: 'http://127.0.0.1:{port}/', interval: 100ms}}\n"));
    let check = format!(
        "python3 -c \"import urllib.request; urllib.request.urlopen(\\\"http://127.0.0.1:{port}/\\\")\" && echo yes > up"
    );
    let top = lab.tool(
        "top",
        &format!(
            "requires: [base]\nlifecycle: {{start: '{check}', stop: rm up, status: test -e up}}\n"
        ),
    );
    let report = lab.start(&[&top]);
    assert_eq!(
        became(&report),
        [("base".into(), Became::Started), ("top".into(), Became::Started)],
        "{report:?}"
    );
    assert_eq!(lab.status(&base).unwell.as_deref(), Some(""));
    assert_eq!(lab.status(&top).state, State::Running);
    let stopped = lab.stop(&base, &[&base, &top]);
    assert_eq!(
        became(&stopped),
        [("top".into(), Became::Stopped), ("base".into(), Became::Stopped)]
    );
}

#[test]
fn a_dependent_of_what_is_not_well_is_not_started() {
    let lab = Lab::new();
    let port = free_port();
    let base = lab.tool("base", &format!("{SLEEPER}health: {{tcp: '127.0.0.1:{port}', interval: 50ms, retries: 2, start_period: 0s}}\n"));
    let top = lab.tool("top", "requires: [base]\nlifecycle: {start: touch up}\n");
    let report = lab.start(&[&top]);
    let codes: Vec<_> =
        report.tools.iter().map(|t| t.problem.as_ref().unwrap().code.as_str()).collect();
    assert_eq!(codes, ["tool.unhealthy", "tool.blocked"]);
    assert!(!lab.home.plugin(&top).join("up").exists());
    assert_eq!(lab.status(&base).state, State::Unhealthy);
}

#[test]
fn a_ring_and_a_missing_requirement_are_named() {
    let lab = Lab::new();
    let first = lab.tool("first", "requires: [second]\n");
    lab.tool("second", "requires: [third]\n");
    lab.tool("third", "requires: [second]\n");
    let lone = lab.tool("lone", "requires: [nobody]\n");
    let error = |slug: &Slug| {
        lab.with(|manner| lifecycle::start(&lab.home, std::slice::from_ref(slug), manner))
            .unwrap_err()
    };
    assert_eq!(
        error(&first).to_string(),
        "tools that need one another in a ring: second needs third needs second"
    );
    assert_eq!(error(&first).exit().code(), 5);
    assert_eq!(error(&lone).exit().code(), 3);
}

#[test]
fn a_failing_command_is_told_with_its_code_and_last_lines_without_secrets() {
    let lab = Lab::new();
    let slug = lab.tool(
        "angry",
        "lifecycle: {start: 'echo trying $KEY; echo no such user >&2; exit 42', install: echo hello from $ATK_PLUGIN_DIR, uninstall: 'true'}\n\
         env_vars: [{name: KEY, secret: true}]\n",
    );
    lab.set_secret(&slug, "KEY", "tok-1234567890");
    let report = lab.start(&[&slug]);
    let problem = report.tools[0].problem.as_ref().unwrap();
    assert_eq!((problem.code.as_str(), report.exit().code()), ("tool.command", 1));
    assert!(problem.detail.contains("ended with 42: trying ••••\nno such user"), "{problem:?}");
    assert!(lab.told().iter().any(|line| line == "angry Says trying ••••"), "{:?}", lab.told());
    let log = fs::read_to_string(lab.home.run(&slug).join("start.log")).unwrap();
    assert!(!log.contains("tok-"), "{log}");
    let ran = lab.with(|manner| lifecycle::hook(&lab.home, &slug, Verb::Install, manner)).unwrap();
    assert!(ran && lab.told().iter().any(|line| line.contains("hello from /")));
}

#[test]
fn a_script_that_leaves_a_daemon_behind_does_not_hold_the_command() {
    let lab = Lab::new();
    let slug = lab.tool("daemon", "lifecycle: {start: 'sleep 1000 & echo $! > pid'}\n");
    assert_eq!(lab.start(&[&slug]).exit().code(), 0);
    let pid: i32 = lab.read(&slug, "pid").trim().parse().unwrap();
    assert_eq!(lab.status(&slug).state, State::Running);
    assert!(alive(pid));
    lab.stop(&slug, &[]);
    assert!(!alive(pid));
    assert_eq!(lab.status(&slug).state, State::Stopped);
}

#[test]
fn a_restart_that_could_not_start_again_stops_nothing() {
    let lab = Lab::new();
    let slug = lab.tool("keeps", SLEEPER);
    lab.start(&[&slug]);
    let pids = lab.status(&slug).pids;
    lab.file(&slug, "custom/overrides.yaml", "env_vars: [{name: NEW, required: true}]\n");
    let slugs = [slug.clone()];
    let again = || lab.with(|manner| lifecycle::restart(&lab.home, &slugs, &slugs, manner));
    assert_eq!(again().unwrap_err().exit().code(), 8);
    assert_eq!(lab.status(&slug).pids, pids);
    fs::remove_file(lab.home.plugin(&slug).join("custom/overrides.yaml")).unwrap();
    assert_eq!(became(&again().unwrap())[0].1, Became::Started);
    assert_ne!(lab.status(&slug).pids, pids);
}

#[test]
fn a_server_gets_what_it_names_and_nothing_of_ours() {
    let mut lab = Lab::new();
    lab.environment.insert("ATELIER_TOKEN".into(), "ours".into());
    lab.environment.insert("LANG".into(), "C".into());
    let slug = lab.tool(
        "notes",
        "mcp: {transport: stdio, command: sh, args: [-c, 'echo $API_KEY_ID $API_KEY $ATK_PLUGIN_DIR $HOME'], env: [API_KEY, API_KEY_ID]}\n\
         env_vars: [{name: API_KEY, secret: true, required: true}, {name: API_KEY_ID, default: '7'}, {name: OTHER, default: x}]\n",
    );
    let server = || lab.with(|manner| lifecycle::server(&lab.home, &slug, manner));
    assert_eq!(server().unwrap_err().exit().code(), 8);
    lab.set_secret(&slug, "API_KEY", "tok-1234567890");
    let Ok(Server::Program(exec)) = server() else { panic!("no program") };
    assert!(exec.program.ends_with("sh") && exec.program.is_absolute());
    let folder = lab.home.plugin(&slug);
    assert_eq!(
        exec.arguments[1],
        format!("echo 7 tok-1234567890 {} $HOME", folder.display()).as_str()
    );
    let get = |name: &str| exec.environment.get(std::ffi::OsStr::new(name)).cloned();
    assert_eq!(get("API_KEY"), Some("tok-1234567890".into()));
    assert_eq!((get("OTHER"), get("ATELIER_TOKEN"), get("LANG")), (None, None, Some("C".into())));
    let path = get("PATH").unwrap().into_string().unwrap();
    assert!(path.starts_with(lab.home.shims().to_str().unwrap()), "{path}");
    assert!(!format!("{:?}", exec.masker).contains("tok-"));
}

#[test]
fn a_remote_server_with_a_secret_in_it_is_private() {
    let lab = Lab::new();
    let slug = lab.tool(
        "remote",
        "mcp: {transport: http, endpoint: 'https://x.example/$REGION', headers: {Authorization: Bearer $KEY}, env: [KEY, REGION]}\n\
         env_vars: [{name: KEY, secret: true, required: true}, {name: REGION, default: eu}]\n",
    );
    lab.set_secret(&slug, "KEY", "tok-1234567890");
    let server = lab.with(|manner| lifecycle::server(&lab.home, &slug, manner)).unwrap();
    let Server::Remote(remote) = server else { panic!("no remote") };
    assert_eq!(remote.url.expose(), "https://x.example/eu");
    assert_eq!(remote.headers[0].1.expose(), "Bearer tok-1234567890");
    assert!(remote.private && !format!("{remote:?}").contains("tok-"));
}

#[test]
fn custom_scripts_win_and_none_is_found_outside() {
    let lab = Lab::new();
    let slug = lab.tool("scripts", "env_vars: [{name: WHO, default: me}]\n");
    lab.file(&slug, "hello.sh", "echo plugin $WHO $1\n");
    lab.file(&slug, "secret/../outside.sh", "#!/bin/sh\necho outside\n");
    std::os::unix::fs::symlink("/bin/ls", lab.home.plugin(&slug).join("link")).unwrap();
    let script = |name: &str| {
        lab.with(|manner| lifecycle::script(&lab.home, &slug, name, &["a b".into()], manner))
    };
    let run = |exec: &lifecycle::Exec| {
        let mut command = Command::new(&exec.program);
        command.args(&exec.arguments).env_clear().envs(&exec.environment);
        let output = command.current_dir(exec.folder.as_ref().unwrap()).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(run(&script("hello").unwrap()), "plugin me a b\n");
    lab.file(&slug, "custom/hello.sh", "echo custom $PWD\n");
    assert_eq!(
        run(&script("hello.sh").unwrap()),
        format!("custom {}\n", lab.home.plugin(&slug).display())
    );
    for bad in ["../x", "/bin/sh", "nope", "", "link"] {
        let error = script(bad).unwrap_err();
        assert_eq!((error.code(), error.exit().code()), ("tool.no_script", 3), "{bad}");
    }
    assert!(script("nope").unwrap_err().hints()[0].contains("hello"));
}

#[test]
fn verbs_that_change_the_home_leave_nothing_of_a_removed_service() {
    use atelier_tools::Hooks;
    let lab = Lab::new();
    let life = "lifecycle: {install: touch installed, uninstall: touch uninstalled}\n";
    let slug = lab.tool("sleeper", &format!("{SLEEPER}{life}"));
    lab.with(|manner| {
        let unplug = |_: &Slug| Ok(vec!["codex".to_owned()]);
        let (home, configure) = (&lab.home, &|_: &Slug| Ok(Vec::new()));
        let hooks = lifecycle::ServiceHooks { home, manner, configure, unplug: &unplug };
        hooks.install(&slug).unwrap();
        hooks.start(&slug).unwrap();
        assert!(hooks.is_running(&slug));
        hooks.health(&slug).unwrap();
        let by = lifecycle::Starter::Systemd;
        lifecycle::register_by(&lab.home, &slug, by, manner).unwrap();
        hooks.uninstall(&slug).unwrap();
        assert!(!hooks.is_running(&slug));
        assert_eq!(hooks.unplug(&slug).unwrap(), ["codex"]);
        hooks.stop(&slug).unwrap();
    });
    let folder = lab.home.plugin(&slug);
    assert!(folder.join("installed").exists() && folder.join("uninstalled").exists());
    assert!(!lab.status(&slug).at_login);
}

#[test]
fn a_log_is_followed_and_masked() {
    let lab = Lab::new();
    let slug = lab.tool(
        "ticker",
        "service: {type: process, command: [sh, -c, 'while :; do echo tick $KEY; sleep 0.05; done']}\nenv_vars: [{name: KEY, secret: true}]\n",
    );
    lab.set_secret(&slug, "KEY", "tok-1234567890");
    lab.start(&[&slug]);
    let (mut reader, writer) = std::io::pipe().unwrap();
    std::thread::scope(|scope| {
        let (lab, slug) = (&lab, &slug);
        scope.spawn(move || {
            let mut writer = writer;
            lab.with(|manner| {
                lifecycle::logs(&lab.home, slug, 1, true, &mut writer, &|| false, manner)
            })
            .unwrap();
            writer.flush().unwrap_or_default();
        });
        let mut seen = Vec::new();
        while seen.iter().filter(|byte| **byte == b'\n').count() < 5 {
            let mut piece = [0; 64];
            let length = reader.read(&mut piece).unwrap();
            seen.extend_from_slice(&piece[..length]);
        }
        assert!(String::from_utf8_lossy(&seen).starts_with("tick ••••\n"));
        // Whoever reads goes: following ends by itself.
        drop(reader);
    });
}
