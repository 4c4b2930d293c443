//! Images built by an engine's own builder, from a folder of this machine.

use std::path::{Path, PathBuf};
use std::time::Duration;

use atelier_compose::direct::{Build, needs_buildkit};
use bollard::query_parameters::BuildImageOptionsBuilder;
use futures_util::StreamExt;

use crate::connect::{Engine, Kind};
use crate::context::{self, Extra};
use crate::error::EngineError;
use crate::ignored::Ignored;

/// The largest Dockerfile that is read, in bytes.
const LIMIT: u64 = 4 << 20;
/// Lines of its output that an error repeats.
const SAID: usize = 20;
/// How long a builder may be silent.
const LONG: Duration = Duration::from_secs(24 * 3600);
/// What a Dockerfile from elsewhere is called among the files.
const ELSEWHERE: &str = ".dockerfile.atelier";

/// What is built from.
struct Files {
    /// The Dockerfile's name among the files.
    name: String,
    text: String,
    /// Where it lies, for messages.
    place: PathBuf,
    extra: Option<Extra>,
    ignored: Ignored,
}

impl Engine {
    /// Builds an image and names it. `service` is for messages.
    ///
    /// # Errors
    /// [`EngineError::Build`] with the end of what the builder said, or with what it can't do.
    pub async fn build(
        &self,
        service: &str,
        image: &str,
        platform: Option<&str>,
        build: &Build,
    ) -> Result<(), EngineError> {
        let files = files(service, build)?;
        if self.kind() == Kind::Docker {
            needs_buildkit(service, &files.place, &files.text)?;
        }
        let mut options = BuildImageOptionsBuilder::new()
            .dockerfile(&files.name)
            .t(image)
            .rm(true)
            .forcerm(true)
            .nocache(build.no_cache)
            .buildargs(&build.args)
            .labels(&build.labels);
        options = match &build.target {
            Some(target) => options.target(target),
            None => options,
        };
        let mut options = options.build();
        options.platform = platform.unwrap_or_default().to_owned();
        options.pull = build.pull.then(|| "true".to_owned());
        options.networkmode = build.network.clone();
        options.extrahosts = (!build.hosts.is_empty()).then(|| build.hosts.join(","));
        options.shmsize = build.shm_size.and_then(|size| i32::try_from(size).ok());
        let keep = vec![PathBuf::from(&files.name), PathBuf::from(".dockerignore")];
        let archive = context::archive(build.context.clone(), files.ignored, files.extra, keep);
        let body = bollard::body_try_stream(archive);
        let docker = self.docker.clone().with_timeout(LONG);
        let mut said = Said::default();
        let mut lines = std::pin::pin!(docker.build_image(options, None, Some(body)));
        while let Some(line) = lines.next().await {
            let failed = match line {
                Ok(info) => {
                    said.more(info.stream.as_deref().unwrap_or_default());
                    info.error_detail.and_then(|e| e.message)
                }
                Err(error) => Some(words(&error)),
            };
            if let Some(why) = failed {
                let (service, said) = (service.to_owned(), said.end());
                return Err(EngineError::Build { service, why, said });
            }
        }
        Ok(())
    }
}

/// The innermost of an error's words: why a folder could not be read stands there.
fn words(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

#[derive(Default)]
struct Said(String);

impl Said {
    fn more(&mut self, text: &str) {
        self.0.push_str(text);
    }

    fn end(&self) -> String {
        let lines: Vec<&str> = self.0.lines().filter(|line| !line.trim().is_empty()).collect();
        lines[lines.len().saturating_sub(SAID)..].join("\n")
    }
}

fn files(service: &str, build: &Build) -> Result<Files, EngineError> {
    let read = |path: &Path| {
        // A pipe in its place would never begin, a device never end.
        let regular =
            path.metadata().and_then(|meta| match meta.is_file() && meta.len() <= LIMIT {
                true => std::fs::read_to_string(path),
                false => Err(std::io::Error::other("it is not a regular file of at most 4 MiB")),
            });
        regular.map_err(|error| EngineError::Build {
            service: service.to_owned(),
            why: format!("{}: {error}", path.display()),
            said: String::new(),
        })
    };
    let place = build.context.join(&build.dockerfile);
    let inside = place.strip_prefix(&build.context).ok().filter(|path| {
        path.components().all(|part| matches!(part, std::path::Component::Normal(_)))
    });
    let (name, text, extra) = match (&build.inline, inside) {
        (Some(text), _) => (ELSEWHERE.to_owned(), text.clone(), true),
        (None, Some(path)) => (path.display().to_string(), read(&place)?, false),
        (None, None) => (ELSEWHERE.to_owned(), read(&place)?, true),
    };
    // One of its own comes before the folder's.
    let mut own = place.clone().into_os_string();
    own.push(".dockerignore");
    let ignored = [PathBuf::from(own), build.context.join(".dockerignore")];
    let ignored = ignored.iter().find(|path| path.is_file());
    let ignored = ignored.map(|path| read(path)).transpose()?.unwrap_or_default();
    Ok(Files {
        extra: extra.then(|| Extra { name: name.clone(), contents: text.clone().into_bytes() }),
        ignored: Ignored::parse(&ignored),
        name,
        text,
        place,
    })
}
