//! Headers that belong to one connection and never pass the proxy (RFC 9110, section 7.6.1), and tokens
//! in lists.

use hyper::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
    TRANSFER_ENCODING, UPGRADE,
};

/// Whether a header is about the connection it came on.
pub(crate) fn is_hop_by_hop(name: &HeaderName) -> bool {
    name == CONNECTION
        || name == TRANSFER_ENCODING
        || name == TE
        || name == UPGRADE
        || name == PROXY_AUTHORIZATION
        || name == PROXY_AUTHENTICATE
        || name == "keep-alive"
        || name == "proxy-connection"
        || name == "http2-settings"
}

/// Whether a comma-separated list holds a token.
pub(crate) fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).any(|value| {
        value.split(',').any(|item| {
            let item = item.split_once(';').map_or(item, |(item, _)| item);
            item.trim().eq_ignore_ascii_case(token)
        })
    })
}

/// Takes the headers of the upstream's connection out of its answer.
pub(crate) fn strip_answer(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
        // An answer must not lose its framing because its sender named it here.
        .filter(|name| name != CONTENT_LENGTH)
        .collect();
    for name in named {
        headers.remove(name);
    }
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    } else if let Some(length) = headers.get(CONTENT_LENGTH).cloned() {
        headers.insert(CONTENT_LENGTH, length);
    }
    let connection = [CONNECTION, TRANSFER_ENCODING, TE, UPGRADE, PROXY_AUTHENTICATE];
    for name in connection {
        headers.remove(name);
    }
    headers.remove("keep-alive");
    headers.remove("proxy-connection");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_loses_what_its_connection_header_names() {
        let mut headers = HeaderMap::new();
        headers.insert(CONNECTION, "keep-alive, X-Own, content-length".parse().unwrap());
        headers.insert("keep-alive", "timeout=5".parse().unwrap());
        headers.insert("x-own", "1".parse().unwrap());
        headers.insert("x-other", "2".parse().unwrap());
        headers.append(CONTENT_LENGTH, "3".parse().unwrap());
        headers.append(CONTENT_LENGTH, "3".parse().unwrap());
        strip_answer(&mut headers);
        assert_eq!(headers.len(), 2);
        assert_eq!(headers["x-other"], "2");
        assert_eq!(headers[CONTENT_LENGTH], "3");
    }

    #[test]
    fn a_token_is_found_in_any_list_of_the_name() {
        let mut headers = HeaderMap::new();
        headers.append(CONNECTION, "keep-alive".parse().unwrap());
        headers.append(CONNECTION, "close , UPGRADE".parse().unwrap());
        headers.append(TE, "trailers;q=1".parse().unwrap());
        assert!(has_token(&headers, &CONNECTION, "upgrade"));
        assert!(has_token(&headers, &TE, "trailers"));
        assert!(!has_token(&headers, &CONNECTION, "grade"));
    }
}
