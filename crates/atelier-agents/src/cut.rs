//! Takes a property out of a JSON text. The syntax tree's own way takes comments of the neighbours along.

use jsonc_parser::ast::{Object, Value};
use jsonc_parser::common::{Range, Ranged};
use jsonc_parser::tokens::{Token, TokenAndRange};
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

/// The text without the property at a path of keys; the same text where there is none.
pub(crate) fn cut(text: &str, path: &[&str], options: &ParseOptions) -> String {
    let collect = CollectOptions { tokens: true, ..CollectOptions::default() };
    let Ok(parsed) = parse_to_ast(text, &collect, options) else { return text.to_owned() };
    let (Some(value), Some(tokens)) = (&parsed.value, &parsed.tokens) else {
        return text.to_owned();
    };
    let Some(range) = value.as_object().and_then(|object| find(object, path)) else {
        return text.to_owned();
    };
    let comma = comma(tokens, range);
    let mut cuts = vec![range];
    // A comma after it is its own. A last one takes the comma before it along.
    cuts.extend(comma);
    cuts.sort_by_key(|cut| cut.start);
    without(text, &cuts, range)
}

fn find(object: &Object<'_>, path: &[&str]) -> Option<Range> {
    let (key, rest) = path.split_first()?;
    let prop = object.properties.iter().find(|prop| prop.name.as_str() == *key)?;
    match (&prop.value, rest.is_empty()) {
        (_, true) => Some(prop.range()),
        (Value::Object(inner), false) => find(inner, rest),
        _ => None,
    }
}

/// The comma that goes with a property.
fn comma(tokens: &[TokenAndRange<'_>], range: Range) -> Option<Range> {
    let is_comma = |token: &&TokenAndRange<'_>| matches!(token.token, Token::Comma);
    let after = tokens.iter().find(|token| token.range.start >= range.end).filter(is_comma);
    let before = tokens.iter().rfind(|token| token.range.end <= range.start).filter(is_comma);
    after.or(before).map(|token| token.range)
}

/// The text without the ranges, and without the line that the property leaves empty.
fn without(text: &str, cuts: &[Range], property: Range) -> String {
    let (mut rest, mut at, mut hole) = (String::new(), 0, 0);
    for cut in cuts {
        rest.push_str(&text[at..cut.start]);
        if cut.start == property.start {
            hole = rest.len();
        }
        at = cut.end;
    }
    rest.push_str(&text[at..]);
    let line = rest[..hole].rfind('\n').map_or(0, |newline| newline + 1);
    let end = rest[hole..].find('\n').map_or(rest.len(), |newline| hole + newline + 1);
    if line > 0 && rest[line..end].trim().is_empty() {
        rest.replace_range(line..end, "");
    }
    rest
}
