//! Files of all kinds that may lie where an agent's should.

use std::os::unix::fs::symlink;

use super::*;

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn replace(&self, name: &str, text: &str) -> Result<bool> {
        Snapshot::read(&self.at(name))?.replace(text, 0o600, &self.at("backups"))
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn a_link_stays_a_link_and_what_it_leads_to_is_written() {
    let place = Place::new();
    fs::create_dir(place.at("dotfiles")).unwrap();
    fs::write(place.at("dotfiles/real"), "old").unwrap();
    symlink("dotfiles/real", place.at("second")).unwrap();
    symlink("second", place.at("first")).unwrap();
    assert!(place.replace("first", "new").unwrap());
    assert_eq!(fs::read_to_string(place.at("dotfiles/real")).unwrap(), "new");
    assert!(place.at("first").is_symlink() && place.at("second").is_symlink());
    symlink("dotfiles/fresh", place.at("dangling")).unwrap();
    assert!(place.replace("dangling", "new").unwrap());
    assert_eq!(fs::read_to_string(place.at("dotfiles/fresh")).unwrap(), "new");
    symlink("loop", place.at("loop")).unwrap();
    assert!(matches!(place.replace("loop", ""), Err(AgentError::Unfit { .. })));
}

#[test]
fn the_mode_and_a_byte_order_mark_stay() {
    let place = Place::new();
    fs::write(place.at("a"), "\u{feff}{}").unwrap();
    fs::set_permissions(place.at("a"), fs::Permissions::from_mode(0o664)).unwrap();
    assert_eq!(Snapshot::read(&place.at("a")).unwrap().text(), "{}");
    assert!(place.replace("a", "{ }").unwrap());
    assert_eq!(mode(&place.at("a")), 0o664);
    assert_eq!(fs::read_to_string(place.at("a")).unwrap(), "\u{feff}{ }");
    assert!(place.replace("sub/fresh", "x").unwrap());
    assert_eq!(mode(&place.at("sub/fresh")), 0o600);
    assert_eq!(mode(&place.at("sub")), 0o700);
}

#[test]
fn the_owner_stays() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let place = Place::new();
    fs::write(place.at("a"), "x").unwrap();
    std::os::unix::fs::chown(place.at("a"), Some(1234), Some(1235)).unwrap();
    assert!(place.replace("a", "y").unwrap());
    let metadata = fs::metadata(place.at("a")).unwrap();
    assert_eq!((metadata.uid(), metadata.gid()), (1234, 1235));
}

#[test]
fn what_is_no_text_file_is_refused() {
    let place = Place::new();
    fs::create_dir(place.at("folder")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        place.at("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    fs::write(place.at("binary"), [0xff, 0xfe]).unwrap();
    File::create(place.at("large")).unwrap().set_len(LARGEST + 1).unwrap();
    for name in ["folder", "pipe", "binary", "large"] {
        let error = Snapshot::read(&place.at(name)).unwrap_err();
        assert!(matches!(error, AgentError::Unfit { .. }), "{name}: {error}");
    }
}

#[test]
fn a_file_that_is_read_only_is_left_alone_even_by_root() {
    let place = Place::new();
    fs::write(place.at("a"), "x").unwrap();
    fs::set_permissions(place.at("a"), fs::Permissions::from_mode(0o444)).unwrap();
    assert!(matches!(place.replace("a", "y"), Err(AgentError::ReadOnly { .. })));
    assert_eq!(fs::read_to_string(place.at("a")).unwrap(), "x");
}

#[test]
fn what_another_program_wrote_meanwhile_is_not_lost() {
    let place = Place::new();
    fs::write(place.at("a"), "read").unwrap();
    let snapshot = Snapshot::read(&place.at("a")).unwrap();
    fs::write(place.at("a"), "theirs").unwrap();
    assert!(!snapshot.replace("ours", 0o600, &place.at("backups")).unwrap());
    assert_eq!(fs::read_to_string(place.at("a")).unwrap(), "theirs");
    let nothing = Snapshot::read(&place.at("b")).unwrap();
    fs::write(place.at("b"), "theirs").unwrap();
    assert!(!nothing.replace("ours", 0o600, &place.at("backups")).unwrap());
    assert_eq!(fs::read_to_string(place.at("b")).unwrap(), "theirs");
    let gone = Snapshot::read(&place.at("a")).unwrap();
    fs::remove_file(place.at("a")).unwrap();
    assert!(!gone.replace("ours", 0o600, &place.at("backups")).unwrap());
    assert!(!place.at("a").exists());
}

#[test]
fn a_few_backups_are_kept_for_the_user_alone() {
    let place = Place::new();
    fs::write(place.at(".config"), "0").unwrap();
    for text in ["1", "2", "3", "4", "5", "6", "7"] {
        assert!(place.replace(".config", text).unwrap());
    }
    let mut kept: Vec<_> =
        fs::read_dir(place.at("backups")).unwrap().map(|e| e.unwrap().path()).collect();
    kept.sort();
    let texts: Vec<_> = kept.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    assert_eq!(texts, ["2", "3", "4", "5", "6"]);
    assert!(kept.iter().all(|path| mode(path) == 0o600));
    assert_eq!(mode(&place.at("backups")), 0o700);
}

#[test]
fn what_a_killed_run_left_is_cleared() {
    let place = Place::new();
    fs::write(place.at(".config.toml.atelier-x1"), "half").unwrap();
    fs::write(place.at(".config.toml.mine"), "mine").unwrap();
    clear_leftovers(&place.at("config.toml"));
    assert!(!place.at(".config.toml.atelier-x1").exists());
    assert!(place.at(".config.toml.mine").exists());
}
