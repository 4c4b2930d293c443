//! Prints what a folder's Compose project becomes: `cargo run --example rewrite -- FOLDER [TOOL]`.
use std::path::Path;

use atelier_compose::{Loader, Request, Scope, Tool, generate};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    let folder = std::path::absolute(folder)?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let named = std::env::args().nth(2);
    let loader = match named.as_deref() {
        Some("native") => Loader::Native,
        named => Tool::detect(named.map(Path::new), &path)?.map_or(Loader::Native, Loader::Tool),
    };
    let request = Request {
        folder: folder.clone(),
        variables: std::env::vars().collect(),
        ..Request::default()
    };
    let model = loader.load(&request)?;
    let mut scope = Scope::new("shop-a1", "10.224.7.0/24".parse()?);
    scope.subnet_v6 = Some("fd00:0:0:7::/64".parse()?);
    scope.labels.insert("atelier.env".to_owned(), "a1".to_owned());
    scope.root = folder;
    scope.tree = "/envs/a1".into();
    println!("{}", serde_json::to_string_pretty(&generate(&model, &scope)?)?);
    Ok(())
}
