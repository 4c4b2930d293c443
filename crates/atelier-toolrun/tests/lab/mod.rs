//! A home with tools for one test; whatever it has started is ended with it.

#![allow(dead_code)]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use atelier_toolrun::lifecycle::{self, Happening, Manner};
use atelier_tools::{Home, Slug};

/// What happened, as lines.
pub type Told = Mutex<Vec<String>>;

pub struct Lab {
    pub folder: tempfile::TempDir,
    pub home: Home,
    pub environment: BTreeMap<OsString, OsString>,
    pub told: Told,
}

impl Lab {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::below(folder.path().join("home"));
        let mut environment = BTreeMap::new();
        environment.insert("PATH".into(), std::env::var_os("PATH").unwrap());
        environment.insert("HOME".into(), folder.path().join("user").into());
        fs::create_dir_all(folder.path().join("user")).unwrap();
        Self { folder, home, environment, told: Mutex::default() }
    }

    /// A tool with this `plugin.yaml`, whose head is written for it.
    pub fn tool(&self, slug: &str, plugin: &str) -> Slug {
        let parsed: Slug = slug.parse().unwrap();
        let folder = self.home.plugin(&parsed);
        fs::create_dir_all(folder.join("custom")).unwrap();
        let head = format!("schema_version: atelier/1\nname: {slug}\ndescription: A test\n");
        fs::write(folder.join("plugin.yaml"), format!("{head}{plugin}")).unwrap();
        parsed
    }

    pub fn file(&self, slug: &Slug, name: &str, text: &str) -> PathBuf {
        let path = self.home.plugin(slug).join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    pub fn read(&self, slug: &Slug, name: &str) -> String {
        fs::read_to_string(self.home.plugin(slug).join(name)).unwrap_or_default()
    }

    /// Calls with a manner whose happenings are kept.
    pub fn with<T>(&self, call: impl FnOnce(&Manner<'_>) -> T) -> T {
        let progress = |what: &Happening| {
            let text = what.text.clone().unwrap_or_default();
            self.told.lock().unwrap().push(format!("{} {:?} {text}", what.slug, what.what));
        };
        call(&Manner {
            environment: self.environment.clone(),
            keeper: vec![keeper().into()],
            program: PathBuf::from("/usr/bin/atelier"),
            engine: None,
            progress: &progress,
        })
    }

    pub fn told(&self) -> Vec<String> {
        self.told.lock().unwrap().clone()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let entries = fs::read_dir(self.home.plugins()).into_iter().flatten().flatten();
        for entry in entries {
            if let Ok(slug) = entry.file_name().to_str().unwrap_or_default().parse() {
                let _ = lifecycle::end_all(&self.home, &slug);
            }
        }
    }
}

/// The example that is a keeper.
pub fn keeper() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let path = tests.parent().and_then(Path::parent).unwrap().join("examples/keeper");
    assert!(path.exists(), "{} is not built", path.display());
    path
}

/// A port that nobody has.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits for something that must happen, at most half a minute.
pub fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what} does not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}
