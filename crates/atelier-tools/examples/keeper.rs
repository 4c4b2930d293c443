//! The keeper of a tool's process as a program of its own: what `atelier tool keep` is, for the tests.

use atelier_tools::{Home, lifecycle};

fn main() {
    let environment = std::env::vars_os().collect();
    let home = std::env::var_os("ATELIER_HOME").unwrap_or_default();
    let slug = std::env::args().nth(1).unwrap_or_default();
    let code = match slug.parse() {
        Ok(slug) => {
            let home = Home::below(std::path::PathBuf::from(home));
            lifecycle::keep(&home, &slug, environment, &mut std::io::stdout()).unwrap_or(1)
        }
        Err(_) => 2,
    };
    std::process::exit(code);
}
