//! The questions that a tool's settings are, as data: whoever has a terminal asks them, scripts give the
//! answers as arguments, and both are checked here.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use atelier_plugin::{Format, Plugin, Variable};
use schemars::JsonSchema;
use serde::Serialize;

use super::Secret;
use super::error::{Error, Result};
use super::key::{Keys, Recipients};
use super::store::{LONGEST, Settings, fits};
use crate::{Home, OfFile as _, Slug};

/// One question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Question {
    /// The variable.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Nothing runs without it.
    pub required: bool,
    /// Ask without an echo.
    pub secret: bool,
    /// What holds without an answer.
    pub default: Option<String>,
    /// What is set now; of a secret a hint such as `••••9f3a`.
    pub current: Option<String>,
    /// The only values it takes; empty: any.
    pub choices: Vec<String>,
    #[serde(skip)]
    format: Option<Format>,
}

/// The answer to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A new value.
    Set(Secret),
    /// No value any more.
    Clear,
}

/// What a setup has done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Done {
    /// The settings that were given a value or lost it.
    pub changed: Vec<String>,
    /// Required ones that have no value still.
    pub missing: Vec<String>,
    /// The files that were written, for the commit.
    #[serde(skip)]
    pub files: Vec<PathBuf>,
}

/// The questions of a tool, in the order in which its plugin has them.
///
/// # Errors
/// [`Error::Format`], [`Error::File`], [`Error::Key`].
pub fn questions(home: &Home, slug: &Slug, plugin: &Plugin) -> Result<Vec<Question>> {
    let settings = Settings::load(home, slug)?;
    let opened = settings.open(home, slug, Keys::load(home)?.as_ref())?;
    let current = |name: &str| match opened.closed.iter().any(|closed| closed == name) {
        true => Some("(sealed for another machine)".to_owned()),
        false => match opened.secrets.get(name) {
            Some(secret) => Some(secret.hint()),
            None => settings.plain(name).map(str::to_owned),
        },
    };
    let hide = |variable: &Variable, text: String| match variable.secret {
        true if settings.plain(&variable.name).is_some() => Secret::new(text).hint(),
        _ => text,
    };
    let question = |variable: &Variable| Question {
        current: current(&variable.name).map(|text| hide(variable, text)),
        ..Question::of(variable)
    };
    Ok(plugin.env_vars.iter().map(question).collect())
}

impl Question {
    fn of(variable: &Variable) -> Self {
        Self {
            name: variable.name.clone(),
            description: variable.description.clone(),
            required: variable.required,
            secret: variable.secret,
            default: variable.default.clone().filter(|text| !text.is_empty()),
            current: None,
            choices: variable.choices.clone(),
            format: variable.format,
        }
    }

    /// Whether an answer will do. The message never has the answer in it.
    ///
    /// # Errors
    /// [`Error::Value`].
    pub fn check(&self, answer: &str) -> Result<()> {
        fits(&self.name, answer)?;
        let wrong = |why: String| Err(Error::Value { name: self.name.clone(), why });
        if !self.choices.is_empty() && !self.choices.iter().any(|choice| choice == answer) {
            return wrong(format!("takes only {}", self.choices.join(", ")));
        }
        match self.format.and_then(|format| misfit(format, answer)) {
            Some(why) => wrong(why.to_owned()),
            None => Ok(()),
        }
    }
}

/// What is wrong with a value of a format.
fn misfit(format: Format, text: &str) -> Option<&'static str> {
    let (right, why) = match format {
        Format::Boolean => (matches!(text, "true" | "false"), "is true or false"),
        Format::Integer => (text.parse::<i64>().is_ok(), "is a whole number"),
        Format::Port => (text.parse::<u16>().is_ok_and(|port| port > 0), "is a port, 1 to 65535"),
        Format::Url => (is_url(text), "is a URL with its scheme, such as https://example.org"),
        Format::Path => (Path::new(&expand(text)).exists(), "is a file or folder that exists"),
    };
    (!right).then_some(why)
}

fn is_url(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let part = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    let begins = scheme.starts_with(|c: char| c.is_ascii_alphabetic());
    begins && scheme.chars().all(part) && !rest.is_empty() && !text.contains(char::is_whitespace)
}

fn expand(text: &str) -> String {
    match (text.strip_prefix("~/"), std::env::var("HOME")) {
        (Some(rest), Ok(home)) => format!("{home}/{rest}"),
        _ => text.to_owned(),
    }
}

/// Where the answers of a script come from besides its arguments.
pub struct Given<'a> {
    /// The standard input.
    pub input: &'a mut dyn Read,
    /// The environment of the command.
    pub environment: &'a dyn Fn(&str) -> Option<String>,
}

/// Reads answers from arguments: `NAME=VALUE` (not for a secret), `NAME=@FILE`, `NAME=-` (the standard
/// input), `NAME` (the variable of that name), `NAME=` (no value any more). `NAME=@@x` is the text `@x`.
///
/// # Errors
/// [`Error::Unknown`], [`Error::OnCommandLine`], [`Error::Value`], [`Error::File`], [`Error::InputTwice`].
pub fn answers(
    slug: &Slug,
    plugin: &Plugin,
    arguments: &[String],
    given: &mut Given<'_>,
) -> Result<BTreeMap<String, Answer>> {
    let mut answers = BTreeMap::new();
    let mut from_input: Option<String> = None;
    for argument in arguments {
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (argument.as_str(), None),
        };
        let variable = plugin.variable(name).ok_or_else(|| unknown(slug, plugin, name))?;
        if value == Some("-")
            && let Some(first) = from_input.replace(name.to_owned())
        {
            return Err(Error::InputTwice { first, second: name.to_owned() });
        }
        let answer = answer(variable, value, given)?;
        if let Answer::Set(text) = &answer {
            Question::of(variable).check(text.expose())?;
        }
        answers.insert(name.to_owned(), answer);
    }
    Ok(answers)
}

fn unknown(slug: &Slug, plugin: &Plugin, name: &str) -> Error {
    let known = plugin.env_vars.iter().map(|variable| variable.name.clone()).collect();
    // Whoever forgot the name must not find the value in an error text.
    let name = name.chars().take(64).collect();
    Error::Unknown { slug: slug.clone().into(), name, known }
}

fn answer(variable: &Variable, value: Option<&str>, given: &mut Given<'_>) -> Result<Answer> {
    let name = &variable.name;
    let text = match value {
        Some("") => return Ok(Answer::Clear),
        Some("-") => read(name, given.input, Path::new("/dev/stdin"))?,
        Some(value) => match value.strip_prefix('@') {
            Some(rest) if rest.starts_with('@') && !variable.secret => Secret::new(rest),
            Some(path) => {
                let path = PathBuf::from(expand(path));
                let mut file = std::fs::File::open(&path).map_err(Error::file("read", &path))?;
                read(name, &mut file, &path)?
            }
            None if variable.secret => return Err(Error::OnCommandLine { name: name.clone() }),
            None => Secret::new(value),
        },
        None => match (given.environment)(name) {
            Some(text) => Secret::new(text),
            None => {
                let why = "is not set in this command's environment".to_owned();
                return Err(Error::Value { name: name.clone(), why });
            }
        },
    };
    Ok(Answer::Set(text))
}

/// All of an input. The line break after a single line is the editor's or echo's, not the value's.
fn read(name: &str, input: &mut dyn Read, path: &Path) -> Result<Secret> {
    let mut bytes = zeroize::Zeroizing::new(Vec::new());
    let most = LONGEST as u64 + 2;
    input.take(most).read_to_end(&mut bytes).map_err(Error::file("read", path))?;
    let Ok(text) = std::str::from_utf8(&bytes) else {
        return Err(Error::Value { name: name.to_owned(), why: "is no UTF-8 text".to_owned() });
    };
    let line = text.strip_suffix('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    Ok(Secret::new(line.filter(|line| !line.contains('\n')).unwrap_or(text)))
}

/// Takes the answers over. What is required is looked at by whoever starts the tool, and told here.
///
/// # Errors
/// [`Error::Value`] for an answer that does not do, [`Error::File`], [`Error::Encrypt`],
/// [`Error::Recipient`].
pub fn apply(
    home: &Home,
    slug: &Slug,
    plugin: &Plugin,
    recipients: &[String],
    answers: &BTreeMap<String, Answer>,
) -> Result<Done> {
    let mut settings = Settings::load(home, slug)?;
    let mut sealing: Option<Recipients> = None;
    let mut changed = Vec::new();
    for (name, answer) in answers {
        let variable = plugin.variable(name).ok_or_else(|| unknown(slug, plugin, name))?;
        match answer {
            Answer::Clear => {
                settings.remove(name);
            }
            Answer::Set(text) => {
                Question::of(variable).check(text.expose())?;
                if variable.secret {
                    let to = match &mut sealing {
                        Some(to) => to,
                        none => {
                            none.insert(Recipients::of(recipients, &Keys::load_or_make(home)?)?)
                        }
                    };
                    settings.set_secret(name, text, to)?;
                } else {
                    settings.set_plain(name, text.expose())?;
                }
            }
        }
        changed.push(name.clone());
    }
    let files = settings.save(home, slug)?;
    let lacking = |variable: &&Variable| {
        let default = variable.default.as_deref().is_some_and(|text| !text.is_empty());
        variable.required && !default && !settings.has(&variable.name)
    };
    let missing = plugin.env_vars.iter().filter(lacking).map(|v| v.name.clone()).collect();
    Ok(Done { changed, missing, files })
}
