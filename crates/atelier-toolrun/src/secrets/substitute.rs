//! `$NAME` and `${NAME}` in arguments, URLs and headers. Names are exact (`$API_KEY` is no part of
//! `$API_KEY_ID`), what is not known stays as it is for the program itself, and a value is not looked
//! through again.

/// The plugin's folder, as ATK names it.
pub const ATK_PLUGIN_DIR: &str = "ATK_PLUGIN_DIR";
/// The plugin's folder, as Atelier names it.
pub const TOOL_DIR: &str = "ATELIER_TOOL_DIR";

/// Replaces the names that `lookup` knows.
pub fn substitute(text: &str, lookup: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let taken = reference(rest).and_then(|(name, length)| Some((lookup(name)?, length)));
        match taken {
            Some((value, length)) => {
                out.push_str(&value);
                rest = &rest[length..];
            }
            None => {
                out.push('$');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// The names that a text refers to.
#[must_use]
pub fn references(text: &str) -> Vec<&str> {
    let places = text.match_indices('$');
    places.filter_map(|(at, _)| reference(&text[at..]).map(|(name, _)| name)).collect()
}

/// The name that a text beginning with `$` refers to, and the length of all of it.
fn reference(text: &str) -> Option<(&str, usize)> {
    let after = &text[1..];
    let (braced, body) = match after.strip_prefix('{') {
        Some(body) => (true, body),
        None => (false, after),
    };
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let length = body.find(|c| !is_part(c)).unwrap_or(body.len());
    let name = &body[..length];
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    match braced {
        false => Some((name, 1 + length)),
        true => body[length..].starts_with('}').then_some((name, length + 3)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(name: &str) -> Option<String> {
        let pairs = [("API_KEY", "k$ID"), ("API_KEY_ID", "7"), ("ATK_PLUGIN_DIR", "/p")];
        pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn names_are_exact_and_values_are_not_looked_through_again() {
        for (text, expected) in [
            ("$API_KEY/$API_KEY_ID", "k$ID/7"),
            ("${API_KEY}_ID", "k$ID_ID"),
            ("$ATK_PLUGIN_DIR/run.sh", "/p/run.sh"),
            ("echo $HOME ${API_KEY:-x} $1 $$ $", "echo $HOME ${API_KEY:-x} $1 $$ $"),
            ("$API_KEYS é$API_KEY", "$API_KEYS ék$ID"),
            ("${API_KEY", "${API_KEY"),
        ] {
            assert_eq!(substitute(text, known), expected, "{text}");
        }
        assert_eq!(references("a $B ${C_1} $2 ${D"), ["B", "C_1"]);
    }
}
