//! Building an image from a Dockerfile, by whichever builder is here and works. The result comes
//! to us as an archive.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use crate::command::{command, find, output, stream};
use crate::digest::Digest;
use crate::{BuildRequest, Image, ImageError, ImageStore, Result};

/// How long a builder may take to say that it works.
const PROBE: Duration = Duration::from_secs(15);
/// How much of the end of its output is kept for an error.
const TAIL: usize = 12;

/// A program that builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Builder {
    Docker,
    Podman,
    Buildah,
}

impl Builder {
    /// In the order in which they are tried.
    const ALL: [Self; 3] = [Self::Docker, Self::Podman, Self::Buildah];

    const fn program(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Buildah => "buildah",
        }
    }

    /// Something that only succeeds where it can build: `docker` alone, without its daemon, can't.
    const fn probe(self) -> &'static [&'static str] {
        match self {
            Self::Docker => &["version", "--format", "{{.Server.Version}}"],
            Self::Podman | Self::Buildah => &["info"],
        }
    }
}

impl ImageStore {
    /// Builds an image by Docker, Podman or Buildah. `output` gets each line that the builder
    /// prints.
    ///
    /// # Errors
    /// [`ImageError::NoBuilder`], [`ImageError::Build`], and those of an import.
    pub async fn build(
        &self,
        request: &BuildRequest,
        output: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<Image> {
        check(request)?;
        let builder = choose().await?;
        let temp = self.temp()?;
        let archive = temp.path().join("image.tar");
        // A name of ours in the builder, so that building again replaces the old result and finds
        // its cache.
        let label = format!("atelier-build:{}", &Digest::of(&key(request)).hex()[..16]);
        let said = Tail::default();
        let told = |line: &str| {
            said.add(line);
            output(line);
        };
        for args in [build_args(builder, request, &label), save_args(builder, &label, &archive)] {
            let mut command = command(builder.program(), &args);
            if needs_chroot() {
                command.env("BUILDAH_ISOLATION", "chroot");
            }
            let status = stream(command, &told).await.map_err(|error| ImageError::Build {
                builder: builder.program(),
                why: error.to_string(),
            })?;
            if !status.success() {
                let why = said.text();
                return Err(ImageError::Build { builder: builder.program(), why });
            }
        }
        let name = request.tag.clone().unwrap_or(label);
        self.import(&archive, Some(&name)).await
    }
}

/// What is wrong with a request is said before a builder says it in its own words.
fn check(request: &BuildRequest) -> Result<()> {
    if let Some(tag) = &request.tag {
        crate::reference::local_name(tag)?;
    }
    let context = std::fs::metadata(&request.context);
    let context = context.map_err(ImageError::io("reading", &request.context))?;
    if !context.is_dir() {
        let what = request.context.display().to_string();
        return Err(ImageError::invalid(what, "a build needs a folder"));
    }
    let file = dockerfile(request);
    std::fs::metadata(&file).map(drop).map_err(ImageError::io("reading", file))
}

/// The Dockerfile, or the Containerfile where there is only that.
fn dockerfile(request: &BuildRequest) -> std::path::PathBuf {
    match &request.dockerfile {
        Some(file) => file.clone(),
        None => {
            let other = request.context.join("Containerfile");
            let file = request.context.join("Dockerfile");
            if !file.exists() && other.exists() { other } else { file }
        }
    }
}

fn key(request: &BuildRequest) -> Vec<u8> {
    let context = std::fs::canonicalize(&request.context).unwrap_or(request.context.clone());
    format!("{context:?}\0{:?}\0{:?}", request.dockerfile, request.target).into_bytes()
}

/// The first builder that works.
async fn choose() -> Result<Builder> {
    let mut said = Vec::new();
    for builder in Builder::ALL {
        let program = builder.program();
        if find(program).is_none() {
            said.push(format!("{program} is not installed"));
            continue;
        }
        match output(command(program, builder.probe()), b"", PROBE).await {
            Ok(done) if done.status.success() => return Ok(builder),
            Ok(done) => said.push(format!("{program} does not work: {}", done.why())),
            Err(error) => said.push(format!("{program} does not work: {error}")),
        }
    }
    Err(ImageError::NoBuilder { why: said.join("; ") })
}

fn build_args(builder: Builder, request: &BuildRequest, label: &str) -> Vec<OsString> {
    let mut args: Vec<OsString> = vec!["build".into(), "--tag".into(), label.into()];
    // Else a failed build leaves a container behind, mounted.
    args.push("--force-rm".into());
    args.extend(["--file".into(), dockerfile(request).into_os_string()]);
    for (name, value) in &request.build_args {
        args.extend(["--build-arg".into(), format!("{name}={value}").into()]);
    }
    if let Some(target) = &request.target {
        args.extend(["--target".into(), target.into()]);
    }
    if request.no_cache {
        args.push("--no-cache".into());
    } else if builder == Builder::Buildah {
        args.push("--layers".into());
    }
    args.extend(["--".into(), request.context.clone().into_os_string()]);
    args
}

fn save_args(builder: Builder, label: &str, archive: &Path) -> Vec<OsString> {
    let mut target = OsString::from("oci-archive:");
    target.push(archive);
    let file = archive.as_os_str().to_owned();
    match builder {
        Builder::Docker => vec!["save".into(), "--output".into(), file, label.into()],
        Builder::Podman => vec![
            "save".into(),
            "--format".into(),
            "oci-archive".into(),
            "--output".into(),
            file,
            label.into(),
        ],
        Builder::Buildah => vec!["push".into(), label.into(), target],
    }
}

/// Whether Buildah's steps can only be kept apart by `chroot`: there is no runtime, or it refuses
/// machines with the old control groups. What the user has set counts more.
fn needs_chroot() -> bool {
    let runs = ["crun", "runc"].iter().any(|program| find(program).is_some());
    let unified = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    std::env::var_os("BUILDAH_ISOLATION").is_none() && !(runs && unified)
}

/// The end of what a builder printed.
#[derive(Default)]
struct Tail(std::sync::Mutex<std::collections::VecDeque<String>>);

impl Tail {
    fn add(&self, line: &str) {
        let mut lines = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        lines.push_back(line.chars().take(500).collect());
        if lines.len() > TAIL {
            lines.pop_front();
        }
    }

    fn text(&self) -> String {
        let lines = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        lines.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}
