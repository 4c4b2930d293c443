//! A project that was set up for Cilo, as it is.

use crate::support::Lab;

const FILE: &str = "
services:
  web:
    image: atelier-test:1
    command: httpd -f -p 80 -h /site
    env_file: [apps/web/.env]
    volumes: ['./apps/web:/site']
    stop_grace_period: 0s
    labels: {cilo.ingress: 'true'}
";

const CONFIG: &str = "
project: Web_Shop
build_tool: docker
compose_files: [deploy.yml]
env_files: [.env, apps/web/.env]
dns_suffix: .localhost
hostnames: [admin]
copy_dot_dirs: [.github]
ignore_dot_dirs: [.cache]
env:
  copy_mode: allowlist
  copy: [.env]
  ignore: [secret.env]
  init_hook: echo TOKEN=1 > .env.token
  render:
    - file: apps/web/.env
      tokens: true
    - file: .env
      replace: [{from: localhost, to: '${CILO_ENV}'}]
";

#[test]
fn its_settings_hold_and_what_cannot_is_said() {
    let mut lab = Lab::bare("repo");
    lab.serve_with_engine();
    lab.write("deploy.yml", FILE);
    lab.write(".cilo/config.yml", CONFIG);
    lab.write(".env", "HOST=localhost\n");
    lab.write(".env.local", "LOCAL=1\n");
    lab.write("apps/web/.env", "URL=${CILO_BASE_URL}\nWHO=${CILO_PROJECT}\n");
    lab.write(".cache/x", "x\n");
    lab.write("secret.env", "x\n");
    let list = "cat apps/web/.env .env .env.token; ls -A";
    let seen = lab.ok(&["run", "a1", "--", "sh", "-c", list]);
    assert_eq!(
        seen,
        "URL=http://web-shop.a1.test\nWHO=web-shop\nHOST=${CILO_ENV}\nTOKEN=1\n\
         .cilo\n.env\n.env.token\napps\ndeploy.yml\n"
    );
    let served =
        lab.ok(&["run", "a1", "--", "busybox", "wget", "-q", "-O", "-", "http://web/.env"]);
    assert!(served.starts_with("URL=http://web-shop.a1.test\n"), "{served}");
    let names = lab.json(&["hostnames", "ls", "a1"]).to_string();
    assert!(names.contains("admin.a1.test"), "{names}");
    let notes = lab.json(&["env", "show", "a1"])["notes"].to_string();
    for word in ["build_tool", "dns_suffix", "web-shop"] {
        assert!(notes.contains(word), "{word} is not in {notes}");
    }
    lab.write(".cilo/config.yml", "project: x\nenv:\n  copy_mode: some\n");
    lab.run(&["env", "create", "a2"]).fails(5, &[".cilo/config.yml:3:", "allowlist"]);
    // Its own file counts once there is one.
    lab.write("atelier.yaml", "name: web-shop\n");
    lab.ok(&["env", "create", "a3"]);
}
