//! What the tests need as a program of its own: the keeper of a tool's process, as `atelier tool keep` is,
//! and backups and restores that can be killed.

use std::path::PathBuf;

use atelier_toolrun::data;
use atelier_toolrun::lifecycle::{self, Manner};
use atelier_tools::{Home, Slug};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let home = Home::below(PathBuf::from(std::env::var_os("ATELIER_HOME").unwrap_or_default()));
    let code = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [slug] => slug.parse().map_or(2, |slug| keep(&home, &slug)),
        [verb, slug] => slug.parse().map_or(2, |slug| with_data(&home, verb, &slug)),
        _ => 2,
    };
    std::process::exit(code);
}

fn keep(home: &Home, slug: &Slug) -> i32 {
    let environment = std::env::vars_os().collect();
    lifecycle::keep(home, slug, environment, &mut std::io::stdout()).unwrap_or(1)
}

fn with_data(home: &Home, verb: &str, slug: &Slug) -> i32 {
    let manner = Manner {
        environment: std::env::vars_os().collect(),
        keeper: std::env::current_exe().map(|own| vec![own.into()]).unwrap_or_default(),
        program: PathBuf::new(),
        engine: None,
        progress: &|_| {},
    };
    let done = match verb {
        "backup" => data::backup(home, slug, &[], &manner).map(drop),
        "restore" => data::restore(home, slug, None, &manner).map(drop),
        _ => return 2,
    };
    i32::from(done.is_err())
}
