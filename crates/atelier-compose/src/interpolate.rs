//! Variables in values: `$VAR`, `${VAR}`, `${VAR:-word}` and its kin, as Compose reads them.

use crate::error::Result;

/// How a variable is looked up.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The text with its variables replaced.
///
/// # Errors
/// What is wrong with the text, in words: the caller knows the place.
pub(crate) fn interpolate(text: &str, lookup: Lookup<'_>) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let (value, behind) = one(&rest[at..], lookup)?;
        out.push_str(&value);
        rest = behind;
    }
    out.push_str(rest);
    Ok(out)
}

/// What stands at the start of `text`, a dollar, and what is behind it.
fn one<'a>(text: &'a str, lookup: Lookup<'_>) -> Result<(String, &'a str), String> {
    let behind = &text[1..];
    if let Some(behind) = behind.strip_prefix('$') {
        return Ok(("$".to_owned(), behind));
    }
    if behind.starts_with('{') {
        let end = closing(text).ok_or_else(|| wrong(text))?;
        let value = braced(&text[2..end], lookup)?;
        return Ok((value, &text[end + 1..]));
    }
    let length = name_length(behind);
    if length == 0 {
        return Err(wrong(text));
    }
    let (name, behind) = behind.split_at(length);
    Ok((lookup(name).unwrap_or_default(), behind))
}

/// What stands between braces: a name, or a name, an operator and a word.
fn braced(inner: &str, lookup: Lookup<'_>) -> Result<String, String> {
    let (name, rest) = inner.split_at(name_length(inner));
    if name.is_empty() || inner.contains('\n') {
        return Err(wrong(inner));
    }
    let value = lookup(name);
    if rest.is_empty() {
        return Ok(value.unwrap_or_default());
    }
    let (colon, rest) = rest.strip_prefix(':').map_or((false, rest), |rest| (true, rest));
    let given = value.as_ref().is_some_and(|v| !(colon && v.is_empty()));
    let mut rest = rest.chars();
    let operator = rest.next();
    let word = rest.as_str();
    match operator {
        Some('-') if given => Ok(value.unwrap_or_default()),
        Some('-') => interpolate(word, lookup),
        Some('+') if given => interpolate(word, lookup),
        Some('+') => Ok(value.unwrap_or_default()),
        Some('?') if given => Ok(value.unwrap_or_default()),
        Some('?') => Err(missing(name, &interpolate(word, lookup)?)),
        _ => Err(wrong(inner)),
    }
}

fn missing(name: &str, why: &str) -> String {
    let why = if why.is_empty() { String::new() } else { format!(": {why}") };
    format!("required variable {name} is missing a value{why}")
}

fn wrong(text: &str) -> String {
    let start: String = text.chars().take(40).collect();
    format!("invalid interpolation at `{start}`; a `$` that is meant as such is written `$$`")
}

/// Where the brace that opens second is closed. Compose does not look at what follows a brace.
fn closing(text: &str) -> Option<usize> {
    let mut open = 0_usize;
    let mut skip = false;
    for (at, byte) in text.bytes().enumerate() {
        if std::mem::take(&mut skip) {
            continue;
        }
        match byte {
            b'{' => {
                open += 1;
                skip = true;
            }
            b'}' => {
                open = open.checked_sub(1)?;
                if open == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

fn name_length(text: &str) -> usize {
    let good = |(at, c): (usize, char)| {
        c == '_' || c.is_ascii_alphabetic() || (at > 0 && c.is_ascii_digit())
    };
    text.char_indices().find(|pair| !good(*pair)).map_or(text.len(), |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn with(text: &str) -> Result<String, String> {
        interpolate(text, &|name| match name {
            "FOO" => Some("foo".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        })
    }

    #[test]
    fn variables_are_replaced_as_the_specification_says() {
        for (text, expected) in [
            ("a $FOO b", "a foo b"),
            ("${FOO}bar", "foobar"),
            ("$FOO-$NONE.", "foo-."),
            ("${NONE:-x}${NONE-y}", "xy"),
            ("${EMPTY:-x}${EMPTY-y}", "x"),
            ("${FOO:+x}${EMPTY:+y}${EMPTY+z}${NONE+w}", "xz"),
            ("${FOO:?e}${EMPTY?e}", "foo"),
            ("${NONE:-${FOO}-${NONE:-deep}}", "foo-deep"),
            ("${NONE:-{\"a\": 1}}", "{\"a\": 1}"),
            ("$$FOO $${FOO} $$$FOO", "$FOO ${FOO} $foo"),
            ("${NONE:-http://h:80/}", "http://h:80/"),
        ] {
            assert_eq!(with(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_broken_template_and_a_missing_variable_are_told() {
        for text in ["$", "$1", "${", "${FOO", "${}", "${1A}", "${FOO!x}", "${FOO:x}", "$ x"] {
            assert!(with(text).is_err_and(|e| e.contains("invalid interpolation")), "{text}");
        }
        assert_eq!(
            with("${NONE:?set it to $FOO}").unwrap_err(),
            "required variable NONE is missing a value: set it to foo"
        );
    }

    proptest! {
        #[test]
        fn text_with_doubled_dollars_comes_through_whole(text in any::<String>()) {
            prop_assert_eq!(with(&text.replace('$', "$$")), Ok(text));
        }

        #[test]
        fn no_text_makes_it_panic(text in r"[$\{\}:?+\-A-Z_ \n]{0,40}") {
            let _ = with(&text);
        }

        #[test]
        fn values_are_not_read_again(value in any::<String>()) {
            let out = interpolate("<${X}>", &|_| Some(value.clone()));
            prop_assert_eq!(out, Ok(format!("<{value}>")));
        }
    }
}
