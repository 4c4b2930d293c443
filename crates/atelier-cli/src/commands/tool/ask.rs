//! Questions at the terminal, one for each setting; secrets without an echo.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};

use atelier_plugin::Slug;
use atelier_toolrun::secrets::{Answer, Question, Secret};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::failure::Failure;
use crate::output::Paint;

/// What clears a setting.
const NOTHING: &str = "-";

/// Asks all of them. An empty answer keeps what there is.
pub(super) fn all(
    slug: &Slug,
    questions: &[Question],
) -> Result<BTreeMap<String, Answer>, Failure> {
    let paint = Paint::stderr();
    let _ = writeln!(
        io::stderr(),
        "{}: Enter keeps what stands in brackets, {NOTHING} clears it",
        paint.bold(slug.as_str())
    );
    let mut answers = BTreeMap::new();
    for question in questions {
        if let Some(answer) = one(question, paint)? {
            answers.insert(question.name.clone(), answer);
        }
    }
    Ok(answers)
}

fn one(question: &Question, paint: Paint) -> Result<Option<Answer>, Failure> {
    if let Some(text) = &question.description {
        let _ = writeln!(io::stderr(), "\n{}", paint.dim(text));
    }
    if !question.choices.is_empty() {
        let _ = writeln!(io::stderr(), "{}", paint.dim(&question.choices.join(" | ")));
    }
    loop {
        let said = line(&prompt(question), question.secret)?;
        let kept = question.current.is_some() || question.default.is_some() || !question.required;
        match said.expose() {
            "" if kept => return Ok(None),
            "" => hint(paint, &format!("{} is required", question.name)),
            NOTHING => return Ok(Some(Answer::Clear)),
            text => match question.check(text) {
                Ok(()) => return Ok(Some(Answer::Set(said))),
                Err(error) => hint(paint, &error.to_string()),
            },
        }
    }
}

fn hint(paint: Paint, text: &str) {
    let _ = writeln!(io::stderr(), "{}", paint.yellow(text));
}

fn prompt(question: &Question) -> String {
    let now = question.current.as_ref().or(question.default.as_ref());
    let mark = if question.required { "*" } else { "" };
    match now {
        Some(value) => format!("{}{mark} [{value}]: ", question.name),
        None => format!("{}{mark}: ", question.name),
    }
}

/// A line that the user types.
fn line(prompt: &str, hidden: bool) -> Result<Secret, Failure> {
    let _ = write!(io::stderr(), "{prompt}");
    let quiet = hidden.then(Quiet::begin).flatten();
    let mut text = zeroize::Zeroizing::new(String::new());
    let read = io::stdin().lock().read_line(&mut text);
    if quiet.is_some() {
        let _ = writeln!(io::stderr());
    }
    drop(quiet);
    match read? {
        0 => Err(Failure::usage("the input ended before all was answered; nothing was changed")),
        _ => Ok(Secret::new(text.trim_end_matches(['\n', '\r']))),
    }
}

/// A terminal that doesn't show what is typed, as long as it lives.
struct Quiet(Termios);

impl Quiet {
    fn begin() -> Option<Self> {
        let before = tcgetattr(io::stdin()).ok()?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &quiet).ok()?;
        Some(Self(before))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.0);
    }
}
