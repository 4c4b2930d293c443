//! Credentials of the home directory: hidden, unless granted by name.

use std::fs;

use crate::support::Lab;

fn lab_with_credentials() -> Lab {
    let lab = Lab::new();
    for (folder, file) in [
        (".ssh", "id_ed25519"),
        (".aws", "credentials"),
        (".config/gcloud", "credentials.db"),
        (".mozilla/firefox", "logins.json"),
        (".local/share/keyrings", "login.keyring"),
        ("", ".netrc"),
        ("", ".git-credentials"),
    ] {
        let folder = lab.user_home().join(folder);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(file), "SECRET\n").unwrap();
    }
    fs::write(lab.user_home().join("notes.txt"), "plain\n").unwrap();
    lab
}

const ALL: &str = "cd; cat notes.txt; cat .ssh/* .aws/* .config/gcloud/* .mozilla/firefox/* \
                   .local/share/keyrings/* .netrc .git-credentials 2>/dev/null; true";

#[test]
fn credentials_are_hidden_and_other_files_are_not() {
    let lab = lab_with_credentials();
    assert_eq!(lab.ok(&["run", "a", "--", "sh", "-c", ALL]), "plain\n");
}

#[test]
fn a_grant_shows_what_it_names_and_nothing_else() {
    let lab = lab_with_credentials();
    let seen = lab.ok(&["run", "a", "--grant", "ssh", "--", "sh", "-c", ALL]);
    assert_eq!(seen, "plain\nSECRET\n");
    let only = lab.ok(&["run", "a", "--", "sh", "-c", "cat ~/.ssh/id_ed25519"]);
    assert_eq!(only, "SECRET\n");
}

#[test]
fn the_projects_file_grants_too() {
    let lab = lab_with_credentials();
    lab.write("atelier.yaml", "grants: [aws]\n");
    assert_eq!(lab.ok(&["run", "a", "--", "sh", "-c", "cat ~/.aws/credentials"]), "SECRET\n");
}

#[test]
fn an_unknown_grant_names_the_known_ones() {
    let lab = Lab::new();
    lab.run(&["run", "a", "--grant", "everything", "--", "true"]).fails(2, &["everything", "ssh"]);
}
