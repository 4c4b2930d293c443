//! What a sandbox must not see.

use std::os::unix::fs::symlink;

use atelier_launch::grants::GRANTS;
use atelier_launch::{MountSource, WorkspaceMount};

use crate::harness::{Scene, everybody};

/// A home in which every credential that we know of exists, each with its group's name in it.
fn with_every_credential(scene: &Scene) {
    for grant in GRANTS {
        for path in grant.paths {
            let file = path.rsplit('/').next().unwrap_or(path);
            let looks_like_a_file = file.contains(['.', '_']) || file == "credentials";
            let is_file = looks_like_a_file && !path.starts_with(".var") && file != ".ssh";
            let place = if is_file { (*path).to_owned() } else { format!("{path}/inside") };
            scene.write(&place, &format!("secret-{}\n", grant.name));
        }
    }
}

fn seen(scene: &Scene) -> Vec<String> {
    let ran = scene.run("grep -rhos 'secret-[a-z0-9-]*' ~ --exclude-dir=project | sort -u");
    ran.output.lines().map(str::to_owned).collect()
}

#[test]
fn every_credential_is_hidden_unless_it_is_granted() {
    for who in everybody() {
        let mut scene = Scene::new(who);
        with_every_credential(&scene);
        assert_eq!(seen(&scene), [""; 0], "{who:?}");
        scene.spec.grants = vec!["ssh".into(), "npm".into()];
        assert_eq!(seen(&scene), ["secret-npm", "secret-ssh"], "{who:?}");
        scene.spec.grants = GRANTS.iter().map(|grant| grant.name.to_owned()).collect();
        assert_eq!(seen(&scene).len(), GRANTS.len(), "{who:?}");
    }
}

#[test]
fn a_credential_behind_a_link_is_hidden_where_it_lies() {
    for who in everybody() {
        let scene = Scene::new(who);
        scene.write("elsewhere/aws/credentials", "secret-aws\n");
        symlink(scene.user_home().join("elsewhere/aws"), scene.user_home().join(".aws")).unwrap();
        let ran = scene.run("ls ~/.aws ~/elsewhere/aws; cat ~/elsewhere/aws/credentials");
        assert!(!ran.output.contains("secret"), "{who:?}: {}", ran.output);
    }
}

#[test]
fn atelier_home_is_hidden_and_a_project_in_it_is_not() {
    for who in everybody() {
        let mut scene = Scene::new(who);
        scene.write(".atelier/state.db", "secret\n");
        let target = scene.spec.home.join("inner/project");
        scene.spec.mounts.push(WorkspaceMount {
            target: target.clone(),
            source: MountSource::Bind { source: scene.workspace(), readonly: false },
        });
        let ran = scene.run(&format!(
            "ls -A ~/.atelier; echo x >{0}/x && cat {0}/x; touch ~/.atelier/y; cat ~/.atelier/state.db",
            target.display()
        ));
        assert!(ran.output.starts_with("inner\nx\n"), "{who:?}: {}", ran.output);
        assert!(!ran.output.contains("secret"));
        assert!(!scene.spec.home.join("y").exists());
    }
}

#[test]
fn a_sandbox_may_have_credentials_of_its_own() {
    for who in everybody() {
        let scene = Scene::new(who);
        scene.run("mkdir ~/.ssh && echo own >~/.ssh/id");
        assert_eq!(scene.run("cat ~/.ssh/id").output, "own\n", "{who:?}");
        assert!(!scene.user_home().join(".ssh").exists());
    }
}

#[test]
fn more_paths_can_be_hidden() {
    for who in everybody() {
        let mut scene = Scene::new(who);
        let extra = scene.write("finance/2026.ods", "secret\n");
        scene.spec.hide_extra = vec![extra.parent().unwrap().to_owned()];
        assert_eq!(scene.run("ls -A ~/finance").output, "", "{who:?}");
    }
}

#[test]
fn sockets_of_the_host_are_gone() {
    for who in everybody() {
        let scene = Scene::new(who);
        let path = scene.user_home().join("agent.sock");
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        scene.give_away();
        let ran = scene.run(
            "perl -MSocket -e 'socket(S,PF_UNIX,SOCK_STREAM,0); \
             print connect(S,sockaddr_un(\"$ENV{HOME}/agent.sock\")) ? \"yes\" : \"no\"'; \
             ls -A /run/docker.sock /tmp",
        );
        assert!(ran.output.starts_with("no"), "{who:?}: {}", ran.output);
    }
}
