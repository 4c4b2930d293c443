//! Tools that start at login: the files that say so, and a crontab that is the user's.

#![allow(clippy::unwrap_used, clippy::panic)]

mod lab;

use std::fs;
use std::process::Command;

use atelier_api::Fault;
use atelier_toolrun::lifecycle::{self, Starter, Status};
use atelier_tools::Slug;
use lab::Lab;

const SLEEPER: &str = "service: {type: process, command: [sleep, '1000']}\n";

impl Lab {
    fn status(&self, slug: &Slug) -> Status {
        let slugs = [slug.clone()];
        self.with(|manner| lifecycle::status(&self.home, &slugs, manner)).remove(0)
    }
}

#[test]
fn a_tool_is_registered_for_login_and_taken_off_again() {
    let lab = Lab::new();
    let slug = lab.tool("sleeper", SLEEPER);
    let config = lab.folder.path().join("user/.config");
    let register = |by: Starter| {
        lab.with(|manner| lifecycle::register_by(&lab.home, &slug, by, manner)).unwrap()
    };
    let done = register(Starter::Systemd);
    let unit = config.join("systemd/user/atelier-tool-sleeper.service");
    assert_eq!(done.file.as_ref(), Some(&unit));
    assert!(
        fs::read_link(
            config.join("systemd/user/default.target.wants/atelier-tool-sleeper.service")
        )
        .unwrap()
            == unit
    );
    assert_eq!(register(Starter::Systemd).by, Starter::Systemd);
    assert!(lab.status(&slug).at_login);
    if let Ok(output) = Command::new("systemd-analyze")
        .args(["verify", "--man=no", "--user"])
        .arg(&unit)
        .env("SYSTEMD_LOG_LEVEL", "warning")
        .output()
    {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let ours: Vec<_> = said
            .lines()
            .filter(|line| line.contains("atelier") && !line.contains("not executable"))
            .collect();
        assert!(ours.is_empty(), "{said}");
    }
    let desktop = register(Starter::Autostart).file.unwrap();
    assert!(fs::read_to_string(&desktop).unwrap().contains("tool start sleeper"));
    assert!(lab.with(|manner| lifecycle::unregister(&slug, manner)).unwrap());
    assert!(!unit.exists() && !desktop.exists() && !lab.status(&slug).at_login);
    assert!(!lab.with(|manner| lifecycle::unregister(&slug, manner)).unwrap());
    let skill = lab.tool("skill", "");
    let error = lab.with(|manner| lifecycle::register(&lab.home, &skill, manner)).unwrap_err();
    assert_eq!(error.code(), "tool.login");
}

#[test]
fn a_crontab_keeps_the_lines_of_its_user() {
    let mut lab = Lab::new();
    let bin = lab.folder.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let table = lab.folder.path().join("table");
    fs::write(&table, "# mine\n5 * * * * true\n").unwrap();
    let fake = format!(
        "#!/bin/sh\nif [ \"$1\" = -l ]; then cat {0}; else cat > {0}.new && mv {0}.new {0}; fi\n",
        table.display()
    );
    let program = bin.join("crontab");
    fs::write(&program, fake).unwrap();
    fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    lab.environment.insert("PATH".into(), format!("{}:/usr/bin:/bin", bin.display()).into());
    let slug = lab.tool("sleeper", SLEEPER);
    for _ in 0..2 {
        lab.with(|manner| lifecycle::register_by(&lab.home, &slug, Starter::Crontab, manner))
            .unwrap();
    }
    let text = fs::read_to_string(&table).unwrap();
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(text.starts_with("# mine\n5 * * * * true\n@reboot env 'PATH="), "{text}");
    assert!(lab.with(|manner| lifecycle::unregister(&slug, manner)).unwrap());
    assert_eq!(fs::read_to_string(&table).unwrap(), "# mine\n5 * * * * true\n");
}
