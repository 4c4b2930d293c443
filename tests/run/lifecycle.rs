//! From a name to a command's exit code.

use crate::support::{Lab, wait_until};

#[test]
fn the_command_runs_in_a_new_environment_and_gives_its_exit_code() {
    let lab = Lab::new();
    let done = lab.run(&["run", "fix-login", "--", "sh", "-c", "cat src/app.txt; exit 7"]);
    assert_eq!((done.code, done.stdout.as_str()), (7, "one\ntwo\nthree\n"), "{}", done.stderr);
    let done = lab.run(&["run", "fix-login", "--", "sh", "-c", "kill -TERM $$"]);
    assert_eq!(done.code, 128 + 15);
    let list = lab.json(&["env", "ls"]);
    assert_eq!(list[0]["name"], "fix-login");
    assert_eq!(list.as_array().unwrap().len(), 1);
}

#[test]
fn what_a_command_writes_stays_in_its_environment() {
    let lab = Lab::new();
    lab.ok(&["run", "a", "--", "sh", "-c", "echo mine > note.txt; echo four >> src/app.txt"]);
    assert_eq!(lab.ok(&["run", "a", "--", "cat", "note.txt"]), "mine\n");
    assert!(!lab.project.join("note.txt").exists());
    assert_eq!(lab.read("src/app.txt"), "one\ntwo\nthree\n");
    lab.run(&["run", "b", "--", "cat", "note.txt"]).fails(1, &["note.txt"]);
}

#[test]
fn what_the_user_edits_later_does_not_reach_an_environment() {
    let lab = Lab::new();
    lab.ok(&["run", "a", "--", "true"]);
    lab.write("src/app.txt", "edited\n");
    lab.write("later.txt", "new\n");
    assert_eq!(lab.ok(&["run", "a", "--", "cat", "src/app.txt"]), "one\ntwo\nthree\n");
    lab.run(&["run", "a", "--", "test", "-e", "later.txt"]).fails(1, &[]);
    // Uncommitted and untracked work comes along into a new one.
    assert_eq!(lab.ok(&["run", "b", "--", "cat", "src/app.txt", "later.txt"]), "edited\nnew\n");
    // A clean checkout has none of it.
    let clean = lab.ok(&[
        "run",
        "c",
        "--from",
        "HEAD",
        "--",
        "sh",
        "-c",
        "cat src/app.txt; ls; git status --short",
    ]);
    assert_eq!(clean, "one\ntwo\nthree\nREADME.md\nsrc\n");
}

#[test]
fn a_command_starts_in_the_folder_that_the_user_stands_in() {
    let lab = Lab::new();
    let output =
        lab.command(&["run", "a", "--", "pwd"]).current_dir(lab.project.join("src")).output();
    let here = String::from_utf8(output.unwrap().stdout).unwrap();
    assert_eq!(here.trim(), lab.project.join("src").to_str().unwrap());
}

#[test]
fn a_command_finds_where_it_is() {
    let lab = Lab::new();
    let vars = lab.ok(&["run", "fix", "--", "env"]);
    let workspace = format!("ATELIER_WORKSPACE={}", lab.project.display());
    for line in ["ATELIER_ENV=fix", "ATELIER_PROJECT=shop", &workspace] {
        assert!(vars.lines().any(|l| l == line), "{line} is not in {vars}");
    }
    assert!(vars.contains("ATELIER_URL=http://fix.shop.localhost:"), "{vars}");
}

#[test]
fn secrets_of_the_callers_environment_stay_outside() {
    let lab = Lab::new();
    let mut command = lab.command(&["run", "a", "-e", "GIVEN", "-e", "SET=yes", "--", "env"]);
    command.env("AWS_SECRET_ACCESS_KEY", "hidden").env("GIVEN", "by name").env("LANG", "C.UTF-8");
    let vars = String::from_utf8(command.output().unwrap().stdout).unwrap();
    assert!(!vars.contains("hidden"), "{vars}");
    for line in ["GIVEN=by name", "SET=yes", "LANG=C.UTF-8"] {
        assert!(vars.lines().any(|l| l == line), "{line} is not in {vars}");
    }
}

#[test]
fn rm_takes_the_environment_away_afterwards() {
    let lab = Lab::new();
    let done = lab.run(&["run", "--rm", "--", "sh", "-c", "echo hi; exit 3"]);
    assert_eq!((done.code, done.stdout.as_str()), (3, "hi\n"), "{}", done.stderr);
    assert_eq!(lab.json(&["env", "ls"]).as_array().unwrap().len(), 0);
}

#[test]
fn the_name_defaults_to_the_branch() {
    let lab = Lab::new();
    lab.git(&["checkout", "-q", "-b", "feature/Big_Thing"]);
    lab.ok(&["run", "--", "true"]);
    assert_eq!(lab.json(&["env", "ls"])[0]["name"], "feature-big-thing");
}

#[test]
fn two_environments_listen_on_the_same_port() {
    let lab = Lab::new();
    let serve = "import http.server as h, os\n\
        class H(h.BaseHTTPRequestHandler):\n\
        \x20def do_GET(s):\n\
        \x20 s.send_response(200); s.end_headers(); s.wfile.write(os.environ['ATELIER_ENV'].encode())\n\
        h.HTTPServer(('', 8000), H).serve_forever()";
    let mut servers: Vec<_> = ["a", "b"]
        .iter()
        .map(|env| lab.spawn(&["run", env, "--", "python3", "-c", serve]))
        .collect();
    let ask =
        "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8000').read().decode())";
    for env in ["a", "b"] {
        wait_until("the server answers", || {
            lab.run(&["run", env, "--", "python3", "-c", ask]).stdout.trim() == env
        });
        let detail = lab.json(&["env", "show", env]);
        assert_eq!(detail["ports"][0], 8000);
    }
    // From outside each is reached by its name through the ingress.
    let ingress = lab.json(&["status"])["ingress"].as_str().unwrap().to_owned();
    for (host, wanted) in [("a.shop.localhost", "a"), ("8000-b.shop.localhost", "b")] {
        let ask = format!(
            "import http.client as c; k=c.HTTPConnection('{ingress}'); \
             k.request('GET','/',headers={{'Host':'{host}'}}); print(k.getresponse().read().decode())"
        );
        let output = std::process::Command::new("python3").args(["-c", &ask]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), wanted, "{output:?}");
    }
    // Nothing listens on the host.
    assert!(std::net::TcpStream::connect("127.0.0.1:8000").is_err());
    for server in &mut servers {
        server.kill().unwrap();
        server.wait().unwrap();
    }
}

#[test]
fn a_killed_client_hangs_up_its_command() {
    let lab = Lab::new();
    lab.ok(&["run", "a", "--", "true"]);
    let mut client = lab.spawn(&["run", "a", "--", "sleep", "1000"]);
    wait_until("the command runs", || {
        lab.json(&["env", "show", "a"])["running"][0]["pid"].is_u64()
    });
    client.kill().unwrap();
    client.wait().unwrap();
    wait_until("the command is gone", || {
        lab.json(&["env", "show", "a"])["running"].as_array().unwrap().is_empty()
    });
}

#[test]
fn options_of_an_existing_environment_are_not_changed_in_silence() {
    let lab = Lab::new();
    lab.ok(&["run", "a", "--memory", "256MiB", "--", "true"]);
    lab.ok(&["run", "a", "--memory", "256MiB", "--", "true"]);
    lab.run(&["run", "a", "--memory", "1GiB", "--", "true"]).fails(4, &["--memory", "hint"]);
    lab.run(&["run", "--new", "a", "--", "true"]).fails(4, &["has an environment a already"]);
}

#[test]
fn the_init_command_runs_once_and_a_failing_one_takes_the_environment_back() {
    let lab = Lab::new();
    lab.write("atelier.yaml", "init: echo made >> made.txt\nenv: {COLOUR: green}\n");
    lab.ok(&["run", "a", "--", "true"]);
    assert_eq!(
        lab.ok(&["run", "a", "--", "sh", "-c", "cat made.txt; echo $COLOUR"]),
        "made\ngreen\n"
    );
    lab.write("atelier.yaml", "init: echo oh no; exit 9\n");
    lab.run(&["run", "b", "--", "true"]).fails(1, &["init", "9", "oh no"]);
    assert_eq!(lab.json(&["env", "ls"]).as_array().unwrap().len(), 1);
}

#[test]
fn a_named_command_of_the_project_runs_by_its_name() {
    let lab = Lab::new();
    lab.write("atelier.yaml", "commands:\n  greet: echo hello $ATELIER_ENV\n");
    assert_eq!(lab.ok(&["run", "a", "greet"]), "hello a\n");
}

#[test]
fn a_server_that_a_command_left_behind_keeps_its_sandbox_from_idling() {
    let lab = Lab::new();
    std::fs::create_dir_all(lab.home()).unwrap();
    std::fs::write(lab.home().join("config.yaml"), "idle_stop: 1s\n").unwrap();
    lab.ok(&["run", "busy", "--", "sh", "-c", "sleep 1000 >/dev/null 2>&1 &"]);
    lab.ok(&["run", "idle", "--", "true"]);
    let state = |env| lab.json(&["env", "show", env])["state"].as_str().unwrap().to_owned();
    wait_until("the idle one is stopped", || state("idle") == "stopped");
    assert_eq!(state("busy"), "running");
    lab.ok(&["run", "idle", "--", "true"]);
}
