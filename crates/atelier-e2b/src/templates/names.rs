//! Names of templates: E2B's `name:tag` and ours.

use crate::E2bError;

/// The tag that is meant when none is given.
pub(crate) const DEFAULT_TAG: &str = "default";
/// The longest name, tag included.
const LONGEST: usize = 128;

/// A template's name without its tag, and the tag unless it is the default one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TemplateName {
    pub(crate) id: String,
    pub(crate) tag: Option<String>,
}

impl TemplateName {
    /// What a client wrote: in lower case, of the characters that E2B allows.
    pub(crate) fn asked(text: &str) -> Result<Self, E2bError> {
        let (id, tag) = match text.trim().split_once(':') {
            Some((id, tag)) => (id, Some(valid_tag(tag)?)),
            None => (text.trim(), None),
        };
        if let Some((namespace, _)) = id.split_once('/') {
            let why = format!("namespace '{namespace}' is not known: this server has one team");
            return Err(E2bError::Invalid(why));
        }
        let id = id.to_lowercase();
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b);
        if id.is_empty() || text.len() > LONGEST || !id.bytes().all(allowed) {
            return Err(E2bError::Invalid(format!("Invalid name: invalid template ID: {text}")));
        }
        Ok(Self { id, tag: tag.filter(|tag| tag != DEFAULT_TAG) })
    }

    /// The name of a template of ours.
    pub(crate) fn of_ours(name: &str) -> Self {
        match name.split_once(':') {
            Some((id, tag)) => Self { id: id.to_owned(), tag: Some(tag.to_owned()) },
            None => Self { id: name.to_owned(), tag: None },
        }
    }

    /// The same name with a tag.
    pub(crate) fn tagged(&self, tag: &str) -> Self {
        let tag = Some(tag.to_owned()).filter(|tag| tag != DEFAULT_TAG);
        Self { id: self.id.clone(), tag }
    }

    /// As our templates are called.
    pub(crate) fn ours(&self) -> String {
        match &self.tag {
            Some(tag) => format!("{}:{tag}", self.id),
            None => self.id.clone(),
        }
    }

    /// The tag in words.
    pub(crate) fn tag(&self) -> &str {
        self.tag.as_deref().unwrap_or(DEFAULT_TAG)
    }
}

/// A tag in lower case.
pub(crate) fn valid_tag(tag: &str) -> Result<String, E2bError> {
    let clean = tag.trim().to_lowercase();
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b);
    if clean.is_empty() || clean.len() > LONGEST || !clean.bytes().all(allowed) {
        return Err(E2bError::Invalid(format!("Invalid tag: invalid tag: {tag}")));
    }
    if uuid::Uuid::parse_str(&clean).is_ok() {
        return Err(E2bError::Invalid("Invalid tag: tag cannot be a UUID".to_owned()));
    }
    Ok(clean)
}

/// Tags, each once, in the order that they were given.
pub(crate) fn valid_tags(tags: &[String]) -> Result<Vec<String>, E2bError> {
    let mut clean = Vec::new();
    for tag in tags {
        let tag = valid_tag(tag)?;
        if !clean.contains(&tag) {
            clean.push(tag);
        }
    }
    Ok(clean)
}

/// What a new sandbox starts from: a template with or without tag, a snapshot, or an image.
pub(crate) fn of_request(template: &str) -> Result<String, E2bError> {
    let template = template.trim();
    let name = template.strip_suffix(":default").unwrap_or(template);
    if name.is_empty() || name.contains(char::is_whitespace) || name.contains(char::is_control) {
        return Err(E2bError::Invalid(format!("Invalid template reference: '{template}'")));
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_at_most_one_tag() {
        let name = TemplateName::asked(" My-App:V1.0 ").unwrap();
        assert_eq!((name.id.as_str(), name.tag()), ("my-app", "v1.0"));
        assert_eq!(name.ours(), "my-app:v1.0");
        assert_eq!(TemplateName::asked("a:default").unwrap().ours(), "a");
        assert_eq!(name.tagged("default").ours(), "my-app");
        assert_eq!(TemplateName::of_ours("a:b").tag(), "b");
    }

    #[test]
    fn other_names_are_refused() {
        for bad in ["", ":tag", "a:", "a b", "a:b:c", "ns/a", "ä", &"x".repeat(129)] {
            assert!(TemplateName::asked(bad).is_err(), "{bad}");
        }
        assert!(valid_tag("00000000-0000-0000-0000-000000000000").is_err());
    }

    #[test]
    fn a_sandbox_may_start_from_an_image() {
        assert_eq!(of_request("ubuntu:22.04").unwrap(), "ubuntu:22.04");
        assert_eq!(of_request("base:default").unwrap(), "base");
        assert!(of_request(" ").is_err());
    }
}
