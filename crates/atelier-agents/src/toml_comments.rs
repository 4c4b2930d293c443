//! Comments around a TOML table that comes or goes. toml_edit has those above a table as the table's own,
//! and those at the end of the file as the file's: a new table would come to stand above the latter, and
//! one that goes would take the former along.

use toml_edit::{DocumentMut, Item, Table};

/// After a table was made: the comment at the end of the file stays where it is, above the new table.
pub(crate) fn keep_end(document: &mut DocumentMut, key: &str, name: &str) {
    let end = document.trailing().as_str().unwrap_or_default().to_owned();
    // Read again, since only then tables know their places.
    let Ok(read) = document.to_string().parse() else { return };
    if end.trim().is_empty() {
        return;
    }
    *document = read;
    if table(document, key, name).is_none() || after(document, key, name).is_some() {
        return;
    }
    document.set_trailing("");
    if let Some(table) = table(document, key, name) {
        let blank = if end.ends_with('\n') { "\n" } else { "\n\n" };
        table.decor_mut().set_prefix(end + blank);
    }
}

/// Before a table goes: the comment above it is given to what comes next.
pub(crate) fn keep_above(document: &mut DocumentMut, key: &str, name: &str) {
    let Some(table) = table(document, key, name) else { return };
    let above = table.decor().prefix().and_then(|prefix| prefix.as_str()).unwrap_or_default();
    if !above.contains('#') {
        return;
    }
    // Without the empty line that was made between it and the table.
    let above = match above.strip_suffix("\n\n") {
        Some(text) => format!("{text}\n"),
        None => above.to_owned(),
    };
    if let Some(next) = after(document, key, name) {
        let own = next.decor().prefix().and_then(|prefix| prefix.as_str()).unwrap_or_default();
        let both = above + own;
        next.decor_mut().set_prefix(both);
    } else {
        let end = document.trailing().as_str().unwrap_or_default().to_owned();
        document.set_trailing(above + &end);
    }
}

fn table<'d>(document: &'d mut DocumentMut, key: &str, name: &str) -> Option<&'d mut Table> {
    document.get_mut(key)?.as_table_like_mut()?.get_mut(name)?.as_table_mut()
}

/// The table that comes after one and those below it in the file.
fn after<'d>(document: &'d mut DocumentMut, key: &str, name: &str) -> Option<&'d mut Table> {
    let own = document.get(key)?.as_table_like()?.get(name)?;
    let last = places(own).into_iter().max()?;
    let all = document.iter().flat_map(|(_, item)| places(item));
    let next = all.filter(|place| *place > last).min()?;
    document.iter_mut().find_map(|(_, item)| at(item, next))
}

/// The places of the tables in an item.
fn places(item: &Item) -> Vec<isize> {
    let of = |table: &Table| {
        let below = table.iter().flat_map(|(_, item)| places(item));
        table
            .position()
            .filter(|_| !table.is_implicit())
            .into_iter()
            .chain(below)
            .collect::<Vec<_>>()
    };
    match item {
        Item::Table(table) => of(table),
        Item::ArrayOfTables(tables) => tables.iter().flat_map(of).collect(),
        _ => Vec::new(),
    }
}

/// The table at a place.
fn at(item: &mut Item, place: isize) -> Option<&mut Table> {
    fn of(table: &mut Table, place: isize) -> Option<&mut Table> {
        if table.position() == Some(place) && !table.is_implicit() {
            return Some(table);
        }
        table.iter_mut().find_map(|(_, item)| at(item, place))
    }
    match item {
        Item::Table(table) => of(table, place),
        Item::ArrayOfTables(tables) => tables.iter_mut().find_map(|table| of(table, place)),
        _ => None,
    }
}
