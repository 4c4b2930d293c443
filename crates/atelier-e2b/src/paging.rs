//! Pages of a list: a limit, and a token that says where the next page begins.

use axum::Json;
use axum::http::HeaderValue;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Serialize;

use crate::E2bError;
use crate::request::Params;

/// The header that carries the token of the next page.
const NEXT: &str = "x-next-token";
/// The most that one page holds, and what it holds when nothing is said.
const MOST: i64 = 100;

/// The order of a list by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Newest,
    Oldest,
}

/// Which page is asked for.
#[derive(Debug)]
pub(crate) struct Page {
    limit: usize,
    order: Order,
    after: Option<(Timestamp, String)>,
}

impl Page {
    /// What `limit`, `nextToken` and `order` ask for.
    pub(crate) fn asked(params: &Params) -> Result<Self, E2bError> {
        let order = match params.get("order") {
            None | Some("desc") => Order::Newest,
            Some("asc") => Order::Oldest,
            Some(other) => {
                return Err(E2bError::Invalid(format!("Invalid order parameter: '{other}'")));
            }
        };
        let limit = params.number("limit")?.unwrap_or(MOST);
        if limit < 1 {
            return Err(E2bError::Invalid("limit is at least 1".to_owned()));
        }
        let limit = usize::try_from(limit.min(MOST)).unwrap_or(1);
        let invalid = || E2bError::Invalid("Invalid next token".to_owned());
        let after =
            params.get("nextToken").map(|t| read(t, order).ok_or_else(invalid)).transpose()?;
        Ok(Self { limit, order, after })
    }

    /// The page of these, each with the time and the id that order it.
    pub(crate) fn of<T>(self, mut all: Vec<(Timestamp, String, T)>) -> Paged<T> {
        all.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        if self.order == Order::Newest {
            all.reverse();
        }
        if let Some((time, id)) = &self.after {
            all.retain(|(t, i, _)| match self.order {
                Order::Newest => (t, i) < (time, id),
                Order::Oldest => (t, i) > (time, id),
            });
        }
        let more = all.len() > self.limit;
        all.truncate(self.limit);
        let next = all.last().filter(|_| more).map(|(t, id, _)| write(*t, id, self.order));
        Paged { items: all.into_iter().map(|(_, _, item)| item).collect(), next }
    }
}

/// One page, as it is answered.
pub(crate) struct Paged<T> {
    items: Vec<T>,
    next: Option<String>,
}

impl<T: Serialize> IntoResponse for Paged<T> {
    fn into_response(self) -> Response {
        let mut response = Json(self.items).into_response();
        if let Some(Ok(token)) = self.next.map(|token| HeaderValue::from_str(&token)) {
            response.headers_mut().insert(NEXT, token);
        }
        response
    }
}

/// A token: order, time in nanoseconds, and the id in hexadecimal, so that it passes any URL.
fn write(time: Timestamp, id: &str, order: Order) -> String {
    let order = if order == Order::Newest { 'd' } else { 'a' };
    let id: String = id.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("{order}-{}-{id}", time.as_nanosecond())
}

/// A token of this order; one of the other order would repeat what was seen.
fn read(token: &str, order: Order) -> Option<(Timestamp, String)> {
    let prefix = if order == Order::Newest { "d-" } else { "a-" };
    let (time, id) = token.strip_prefix(prefix)?.rsplit_once('-')?;
    let bytes: Option<Vec<u8>> = (0..id.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(id.get(at..at + 2)?, 16).ok())
        .collect();
    let time = Timestamp::from_nanosecond(time.parse().ok()?).ok()?;
    Some((time, String::from_utf8(bytes?).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64, id: &str) -> (Timestamp, String, String) {
        (Timestamp::from_second(second).unwrap(), id.to_owned(), id.to_owned())
    }

    fn walk(order: Order, limit: usize) -> Vec<Vec<String>> {
        let (mut pages, mut after) = (Vec::new(), None);
        loop {
            let all = vec![at(1, "a"), at(3, "c"), at(2, "b"), at(2, "b2")];
            let page = Page { limit, order, after: after.take() }.of(all);
            pages.push(page.items);
            match page.next {
                Some(token) => after = Some(read(&token, order).unwrap()),
                None => return pages,
            }
        }
    }

    #[test]
    fn pages_go_through_all_once_in_either_order() {
        assert_eq!(walk(Order::Newest, 2), [["c", "b2"], ["b", "a"]]);
        assert_eq!(walk(Order::Oldest, 3), [vec!["a", "b", "b2"], vec!["c"]]);
        assert_eq!(walk(Order::Newest, 4).len(), 1);
    }

    #[test]
    fn a_token_of_the_other_order_is_refused() {
        let token = write(Timestamp::from_second(5).unwrap(), "é-1", Order::Newest);
        assert_eq!(read(&token, Order::Newest).unwrap().1, "é-1");
        assert!(read(&token, Order::Oldest).is_none());
        for bad in ["", "d-", "d-x-00", "d-1-0", "d-1-zz"] {
            assert!(read(bad, Order::Newest).is_none(), "{bad}");
        }
    }
}
