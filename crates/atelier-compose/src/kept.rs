//! Models that were loaded before. Starting Compose to read a project takes a tenth of a second; the files of
//! a project's next environment, or of the same one an hour later, are mostly the same.
//!
//! A model is taken again only when everything that it was made of is byte for byte as it was. Files whose
//! inputs can't be told from their text (`include`, `extends`, a path with a variable in it) are read anew.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use crate::error::Result;
use crate::loader::Loader;
use crate::model::{Model, replaced};
use crate::request::{Request, find};
use crate::text;

/// How many are kept.
const KEPT: usize = 32;

/// The models.
#[derive(Debug, Default)]
pub struct Kept(Mutex<VecDeque<(Inputs, Model)>>);

/// What a model is made of.
#[derive(Debug, Clone)]
struct Inputs {
    folder: PathBuf,
    argv: Vec<OsString>,
    profiles: Vec<String>,
    name: String,
    /// Files, named from the folder on where they are in it, with what they hold.
    files: Vec<(PathBuf, Option<Vec<u8>>)>,
    /// The variables whose names occur in a file.
    variables: BTreeMap<String, String>,
}

impl Kept {
    /// As [`Loader::load`].
    ///
    /// # Errors
    /// Those of [`Loader::load`].
    pub fn load(&self, loader: &Loader, request: &Request) -> Result<Model> {
        let inputs = match loader {
            Loader::Tool(tool) => Inputs::of(request, &tool.argv),
            Loader::Native => None,
        };
        let Some(inputs) = inputs else { return loader.load(request) };
        if let Some(model) = self.find(&inputs) {
            return Ok(model);
        }
        let model = loader.load(request)?;
        // Unless somebody wrote to them meanwhile.
        if let Some(after) = Inputs::of(request, &inputs.argv).filter(|after| after.same(&inputs)) {
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            kept.truncate(KEPT - 1);
            kept.push_front((after, model.clone()));
        }
        Ok(model)
    }

    fn find(&self, inputs: &Inputs) -> Option<Model> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (before, model) = kept.iter().find(|(before, _)| before.same(inputs))?;
        let (from, to) = (before.folder.to_str()?, inputs.folder.to_str()?);
        Some(Model(replaced(&model.0, from, to)))
    }
}

impl Inputs {
    /// `None` when they can't be told.
    fn of(request: &Request, argv: &[OsString]) -> Option<Self> {
        let folder = std::path::absolute(&request.folder).ok()?;
        // A short path might occur in a text by chance.
        if request.project_name.is_empty() || folder.components().count() < 4 {
            return None;
        }
        let composed = find(request).ok()??;
        let mut paths = composed.clone();
        paths.extend(request.env_files.iter().map(|file| folder.join(file)));
        paths.push(folder.join(".env"));
        // Where the first file lies elsewhere, relative paths and `.env` are looked for there.
        let beside = composed.first()?.parent()?.to_owned();
        paths.push(beside.join(".env"));
        for file in &composed {
            paths.extend(named(&text::read(file).ok()?, &beside)?);
        }
        let mut files = Vec::new();
        for path in paths {
            let contents = match text::read(&path) {
                Ok(contents) => Some(contents),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
                Err(_) => return None,
            };
            let path = path.strip_prefix(&folder).map(Path::to_owned).unwrap_or(path);
            files.push((path, contents));
        }
        let occurs = |name: &str| {
            let contents = files.iter().filter_map(|(_, contents)| contents.as_deref());
            contents.into_iter().any(|text| contains(text, name.as_bytes()))
        };
        let variables = request.variables.iter().filter(|(name, _)| {
            // These say which files there are, whatever stands in them.
            name.starts_with("COMPOSE_") || occurs(name)
        });
        Some(Self {
            argv: argv.to_vec(),
            profiles: request.profiles.clone(),
            name: request.project_name.clone(),
            variables: variables.map(|(name, value)| (name.clone(), value.clone())).collect(),
            files,
            folder,
        })
    }

    /// Whether the same model comes of them, but for the folder.
    fn same(&self, other: &Self) -> bool {
        self.argv == other.argv
            && self.profiles == other.profiles
            && self.name == other.name
            && self.files == other.files
            && self.variables == other.variables
    }
}

/// The files that a Compose file names; `None` when it can't be told.
fn named(contents: &[u8], beside: &Path) -> Option<Vec<PathBuf>> {
    let file: Value = serde_saphyr::from_slice(contents).ok()?;
    let mut found = Vec::new();
    walk(&file, beside, &mut found).then_some(found)
}

fn walk(value: &Value, beside: &Path, found: &mut Vec<PathBuf>) -> bool {
    match value {
        Value::Object(map) => map.iter().all(|(key, value)| match key.as_str() {
            "include" | "extends" => false,
            "env_file" | "label_file" => paths(value, beside, found),
            _ => walk(value, beside, found),
        }),
        Value::Array(items) => items.iter().all(|item| walk(item, beside, found)),
        _ => true,
    }
}

fn paths(value: &Value, beside: &Path, found: &mut Vec<PathBuf>) -> bool {
    match value {
        Value::String(path) => {
            found.push(beside.join(path));
            !path.contains('$') && !path.starts_with('~')
        }
        Value::Array(items) => items.iter().all(|item| paths(item, beside, found)),
        Value::Object(map) => map.get("path").is_some_and(|path| paths(path, beside, found)),
        _ => false,
    }
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    word.is_empty() || text.windows(word.len()).any(|window| window == word)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn inputs(folder: &Path, text: &str) -> Option<Inputs> {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("compose.yaml"), text).unwrap();
        let variables = [("ATELIER_ENV", "a1"), ("UNUSED", "x")];
        let request = Request {
            folder: folder.to_owned(),
            project_name: "p".into(),
            variables: variables.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
            ..Request::default()
        };
        Inputs::of(&request, &["docker-compose".into()])
    }

    #[test]
    fn the_same_files_in_another_folder_are_the_same_and_what_they_name_counts() {
        let dir = tempfile::tempdir().unwrap();
        let text = "services: {web: {image: 'x:${ATELIER_ENV}', env_file: [web.env]}}\n";
        let (one, two) = (dir.path().join("a/b/one"), dir.path().join("a/b/two"));
        let first = inputs(&one, text).unwrap();
        assert_eq!(first.variables.keys().collect::<Vec<_>>(), ["ATELIER_ENV"]);
        assert!(first.same(&inputs(&two, text).unwrap()));
        fs::write(two.join("web.env"), "A=1\n").unwrap();
        assert!(!first.same(&inputs(&two, text).unwrap()));
        fs::write(one.join(".env"), "UNUSED=1\n").unwrap();
        let changed = inputs(&one, text).unwrap();
        assert!(!first.same(&changed));
        assert_eq!(changed.variables.len(), 2, "the variable wins over the file's");
    }

    #[test]
    fn files_that_cannot_be_told_are_read_anew() {
        let dir = tempfile::tempdir().unwrap();
        for text in [
            "include: [other.yaml]\n",
            "services: {web: {extends: {file: other.yaml, service: x}}}\n",
            "services: {web: {image: x, env_file: '${WHICH}.env'}}\n",
            "x-common: &c {extends: base}\nservices: {web: {<<: *c}}\n",
        ] {
            assert!(inputs(&dir.path().join("a/b/c"), text).is_none(), "{text}");
        }
    }
}
