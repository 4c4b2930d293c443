//! Every Compose document that others wrote for their own loader, through ours: accepted and
//! refused as Compose does, rewritten without a change of meaning, and read without the tool
//! either the same or not at all.
//!
//! The documents are the files beside the project (`../shared/data/compose-loader`), and those of
//! the folders in ATELIER_TEST_COMPOSE_DOCUMENTS (`tests/compose/documents.py` collects them).

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use atelier_compose::{ComposeError, Loader, Model, Request, Tool, generate};
use serde_json::{Map, Value, json};

/// Compose waits for the disk and starts processes; more than this slows it down.
const THREADS: usize = 3;

#[derive(Default)]
struct Counts {
    accepted: usize,
    refused: usize,
    /// Accepted, but not for one environment: too many networks, say.
    impossible: usize,
    native: usize,
    unsupported: BTreeMap<String, usize>,
    wrong: Vec<String>,
}

#[test]
fn every_document_of_the_reference_loader_is_read_as_compose_reads_it() {
    let documents = documents();
    if documents.is_empty() {
        eprintln!("no documents: ../shared/data/compose-loader is missing");
        return;
    }
    let tool = support::compose5();
    let counts = Mutex::new(Counts::default());
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(path) = documents.get(next.fetch_add(1, Ordering::Relaxed)) {
                    one(&tool, path, &counts);
                }
            });
        }
    });
    let counts = counts.into_inner().unwrap();
    let unsupported: usize = counts.unsupported.values().sum();
    println!(
        "{} documents: {} accepted, {} refused as by Compose {}; {} not possible for an environment; \
         without the tool {} the same and {unsupported} refused as unsupported",
        documents.len(),
        counts.accepted,
        counts.refused,
        tool.version,
        counts.impossible,
        counts.native,
    );
    let mut keys: Vec<_> = counts.unsupported.into_iter().collect();
    keys.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    println!("most wanted without the tool: {:?}", &keys[..keys.len().min(25)]);
    assert!(counts.accepted > 0 && counts.native > 0);
    assert!(counts.wrong.is_empty(), "{}\n{} wrong", counts.wrong.join("\n"), counts.wrong.len());
}

fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut folders = vec![root.join("../shared/data/compose-loader")];
    let more = std::env::var_os("ATELIER_TEST_COMPOSE_DOCUMENTS").unwrap_or_default();
    folders.extend(std::env::split_paths(&more).filter(|p| p.is_dir()));
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "yaml" || e == "yml") {
                files.push(path.canonicalize().unwrap());
            }
        }
    }
    files.sort();
    files
}

fn one(tool: &Tool, path: &Path, counts: &Mutex<Counts>) {
    let request =
        Request { files: vec![path.to_owned()], ..support::request(path.parent().unwrap()) };
    let theirs = Loader::Tool(tool.clone()).load(&request);
    let mut wrong = Vec::new();
    match &theirs {
        Ok(model) => match generate(model, &support::scope()) {
            Ok(generated) => wrong.extend(meaning(tool, model, &generated.file).err()),
            Err(ComposeError::NoRoom { .. } | ComposeError::Unsupported { .. }) => {
                counts.lock().unwrap().impossible += 1;
            }
            Err(e) => wrong.push(format!("is not rewritten: {e}")),
        },
        Err(ComposeError::Invalid { .. } | ComposeError::ToolFailed { .. }) => {}
        Err(e) => wrong.push(format!("is refused oddly: {e}")),
    }
    let ours = Loader::Native.load(&request);
    match (&theirs, &ours) {
        (Ok(theirs), Ok(ours)) => {
            let (theirs, ours) = (known(&theirs.0), known(&ours.0));
            if theirs != ours {
                let place = first(&theirs, &ours);
                wrong.push(format!("is read differently without the tool: {place}"));
            }
        }
        (Err(theirs), Ok(_)) => wrong.push(format!("is accepted without the tool: {theirs}")),
        (Ok(_), Err(ComposeError::Invalid { message, line, .. })) => {
            wrong.push(format!("is invalid without the tool: {line:?} {message}"));
        }
        _ => {}
    }
    let mut counts = counts.lock().unwrap();
    *(if theirs.is_ok() { &mut counts.accepted } else { &mut counts.refused }) += 1;
    match ours {
        Ok(_) if theirs.is_ok() => counts.native += 1,
        Err(ComposeError::Unsupported { key, .. }) if theirs.is_ok() => {
            let mut parts = key.split('.');
            let key = match (parts.next(), parts.next(), parts.next()) {
                (Some("services"), Some(_), Some(key)) => format!("services.{key}"),
                (first, ..) => first.unwrap_or_default().to_owned(),
            };
            *counts.unsupported.entry(key).or_default() += 1;
        }
        _ => {}
    }
    counts.wrong.extend(wrong.into_iter().map(|w| format!("{}: {w}", path.display())));
}

/// What is written is accepted, and means the same but for what belongs to the environment.
fn meaning(tool: &Tool, before: &Model, file: &Value) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("compose.yaml"), file.to_string()).unwrap();
    let mut request = support::request(folder.path());
    request.project_name = String::new();
    request.profiles = vec!["*".to_owned()];
    let after = Loader::Tool(tool.clone())
        .load(&request)
        .map_err(|e| format!("what is written is refused: {e}"))?;
    let (before, after) = (own(&before.0), own(&after.0));
    if before == after { Ok(()) } else { Err(format!("changes: {}", first(&before, &after))) }
}

/// A project without extensions: the one thing that the loader of ours leaves out.
fn known(value: &Value) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .filter(|(key, value)| {
                // A service may be called like that too.
                !key.starts_with("x-") || value.get("networks").is_some()
            })
            .map(|(key, value)| (key.clone(), known(value)))
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(items) => items.iter().map(known).collect(),
        other => other.clone(),
    }
}

/// A project without what the scope changes.
fn own(model: &Value) -> Value {
    let mut model = model.as_object().cloned().unwrap_or_default();
    model.remove("name");
    model.remove("networks");
    model.retain(|key, _| !key.starts_with("x-"));
    for section in ["volumes", "secrets", "configs"] {
        let entries = model.get_mut(section).and_then(Value::as_object_mut);
        for entry in entries.into_iter().flatten().filter_map(|(_, e)| e.as_object_mut()) {
            if entry.get("external") != Some(&json!(true)) {
                entry.remove("name");
            }
            without_label(entry);
        }
    }
    let services = model.get_mut("services").and_then(Value::as_object_mut);
    for service in services.into_iter().flatten().filter_map(|(_, s)| s.as_object_mut()) {
        service.remove("container_name");
        service.remove("ports");
        without_label(service);
        // What runs before a service is on the same networks, with the same labels.
        for step in service.get_mut("pre_start").and_then(Value::as_array_mut).into_iter().flatten()
        {
            if let Some(map) = step.as_object_mut() {
                map.remove("networks");
                map.remove("image");
                without_label(map);
            }
        }
        if let Some(Value::Object(networks)) = service.get_mut("networks") {
            for (_, network) in networks.iter_mut() {
                if let Some(map) = network.as_object_mut() {
                    map.remove("ipv4_address");
                    map.remove("ipv6_address");
                }
                if network.as_object().is_some_and(Map::is_empty) {
                    *network = Value::Null;
                }
            }
        }
        if let Some(Value::Object(build)) = service.get_mut("build") {
            build.remove("tags");
            without_label(build);
            service.remove("image");
            service.remove("pull_policy");
        }
    }
    model.into()
}

fn without_label(entry: &mut Map<String, Value>) {
    if let Some(Value::Object(labels)) = entry.get_mut("labels") {
        labels.remove("atelier.env");
        if labels.is_empty() {
            entry.remove("labels");
        }
    }
}

/// The first place where two values differ.
fn first(one: &Value, other: &Value) -> String {
    match (one, other) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys()) {
                let (x, y) = (a.get(key), b.get(key));
                if x != y {
                    let null = Value::Null;
                    let inner = match (x, y) {
                        (Some(x), Some(y)) => first(x, y),
                        (x, y) => {
                            format!("{} / {}", shown(x.unwrap_or(&null)), shown(y.unwrap_or(&null)))
                        }
                    };
                    return format!("{key}.{inner}");
                }
            }
            String::new()
        }
        (a, b) => format!("{} / {}", shown(a), shown(b)),
    }
}

fn shown(value: &Value) -> String {
    value.to_string().chars().take(200).collect()
}
