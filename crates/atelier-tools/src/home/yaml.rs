//! YAML that users wrote, read with the place of a mistake.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::Problem;

/// A file's value.
pub(crate) fn value(text: &str) -> Result<Value, Problem> {
    typed(text, "")
}

/// A file as a type, the place of a mistake told.
pub(crate) fn typed<T: DeserializeOwned>(text: &str, file: &str) -> Result<T, Problem> {
    serde_saphyr::from_str(text).map_err(|error| {
        let place = error.location();
        let error = error.without_snippet();
        let text = error.render_with_options(serde_saphyr::RenderOptions::default());
        let words = text.rsplit_once(" at line ").map_or(text.as_str(), |(words, _)| words);
        Problem {
            file: file.to_owned(),
            line: place.map(|p| p.line()),
            column: place.map(|p| p.column()),
            message: words.trim_start_matches("error: ").trim_end_matches(':').to_owned(),
            hint: None,
        }
    })
}
