//! `GET /files`.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use flate2::Compression;
use flate2::read::GzEncoder;
use hyper::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_RANGE,
    CONTENT_TYPE, HeaderName, HeaderValue, IF_RANGE, RANGE, VARY,
};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use nix::sys::statfs::fstatfs;

use super::super::file_body::{FileBody, silent_at_end};
use super::super::reply::Reply;
use super::super::router::Query;
use super::super::state::Server;
use super::begun::Begun;
use super::encoding::{Encoding, choose};
use super::range::{Wanted, wanted};
use super::{Refusal, absolute, admit, refused};

/// File systems whose files do not say how long they are: proc, sysfs, both cgroups, debugfs,
/// tracefs, securityfs, by the numbers of `linux/magic.h`.
const MADE_UP: [i64; 7] =
    [0x9fa0, 0x6265_6572, 0x0027_e0eb, 0x6367_7270, 0x6462_6720, 0x7472_6163, 0x7363_6673];

/// Answers with what a file holds.
pub(in super::super) fn download<B>(server: &Server, request: &Request<B>) -> Response<Reply> {
    let query = Query::of(request.uri());
    match serve(server, request.headers(), &query) {
        Ok(mut response) => {
            if request.method() == Method::HEAD {
                *response.body_mut() = Reply::Whole(bytes::Bytes::new());
            }
            response
        }
        Err(refusal) => refused(&refusal),
    }
}

fn serve(server: &Server, headers: &HeaderMap, query: &Query) -> Result<Response<Reply>, Refusal> {
    let user = admit(server, headers, query, "read")?;
    let path = absolute(server, query.get("path").unwrap_or(""), &user)?;
    let (file, size) = open(&path)?;
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    // What a part is a part of must not change under it: If-Range cannot be answered without a
    // validator, so the whole is.
    let range = text(RANGE).filter(|_| !headers.contains_key(IF_RANGE));
    let encoding =
        choose(text(ACCEPT_ENCODING).unwrap_or(""), range.is_some()).ok_or_else(|| {
            let why = "no acceptable encoding found, supported: [identity, gzip]";
            (StatusCode::NOT_ACCEPTABLE, why.to_owned())
        })?;
    let mut response = match (encoding, size) {
        (Encoding::Gzip, _) => compressed(readable(Begun::unsized_file(file))?),
        (Encoding::Identity, None) => {
            Response::new(readable(Begun::unsized_file(file))?.reply(None))
        }
        (Encoding::Identity, Some(size)) => part(file, &wanted(range, size), size)?,
    };
    let headers = response.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(CONTENT_DISPOSITION, disposition(&path));
    Ok(response)
}

/// Opens a file; also its size, if it can be told.
fn open(path: &Path) -> Result<(File, Option<u64>), Refusal> {
    let shown = path.display();
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            (StatusCode::NOT_FOUND, format!("path '{shown}' does not exist"))
        }
        _ => {
            let why = format!("error opening file '{shown}': {error}");
            (StatusCode::INTERNAL_SERVER_ERROR, why)
        }
    };
    let kind = std::fs::metadata(path).map_err(failed)?.file_type();
    if kind.is_dir() {
        return Err((StatusCode::BAD_REQUEST, format!("path '{shown}' is a directory")));
    }
    if kind.is_fifo() || kind.is_socket() {
        return Err((StatusCode::BAD_REQUEST, format!("path '{shown}' is a pipe or a socket")));
    }
    // A device, or what a path turned into since, must not hold up everybody else.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let file = file.map_err(failed)?;
    let found = file.metadata().map_err(failed)?;
    let made_up = || fstatfs(&file).is_ok_and(|it| MADE_UP.contains(&it.filesystem_type().0));
    let knows_size = found.is_file() && found.size() > 0 && !made_up();
    Ok((file, knows_size.then(|| found.size())))
}

/// A file up to the end that was seen first. One that grows would otherwise have bytes again after its
/// end, which an encoder that has already written its last block waits for ever to get rid of.
struct Once<F> {
    file: F,
    ended: bool,
}

impl<F: Read> Read for Once<F> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.ended {
            return Ok(0);
        }
        let read = silent_at_end(self.file.read(into))?;
        self.ended = read == 0 && !into.is_empty();
        Ok(read)
    }
}

fn compressed(file: Begun<File>) -> Response<Reply> {
    let once = Once { file: file.into_reader(), ended: false };
    let reader = Box::new(GzEncoder::new(once, Compression::fast()));
    let mut response = Response::new(Reply::File(FileBody::new(reader, None)));
    response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    response
}

fn part(mut file: File, wanted: &Wanted, size: u64) -> Result<Response<Reply>, Refusal> {
    let unsatisfiable = StatusCode::RANGE_NOT_SATISFIABLE;
    let (from, promised) = match wanted {
        Wanted::All => (0, size),
        Wanted::Part(from, length) => (*from, *length),
        Wanted::Nothing => return Err((unsatisfiable, format!("the file has {size} bytes"))),
    };
    if from > 0 {
        file.seek(SeekFrom::Start(from))
            .map_err(|error| (unsatisfiable, format!("the file cannot be sought in: {error}")))?;
    }
    let (begun, length) = readable(Begun::sized(file, promised))?;
    let mut response = Response::new(begun.reply(Some(length)));
    response.headers_mut().insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if *wanted != Wanted::All {
        if length == 0 {
            return Err((unsatisfiable, format!("the file ends before its byte {from}")));
        }
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        // One that is shorter than it was ends with the part.
        let size = if length < promised { from + length } else { size };
        let range = format!("bytes {from}-{}/{size}", from + length - 1);
        if let Ok(range) = HeaderValue::try_from(range) {
            response.headers_mut().insert(CONTENT_RANGE, range);
        }
    }
    Ok(response)
}

fn readable<T>(begun: io::Result<T>) -> Result<T, Refusal> {
    begun.map_err(|error| {
        (StatusCode::INTERNAL_SERVER_ERROR, format!("error reading the file: {error}"))
    })
}

/// The file's name for whoever saves it (RFC 6266).
fn disposition(path: &Path) -> HeaderValue {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let plain = |it: char| it.is_ascii_graphic() && !matches!(it, '"' | '\\') || it == ' ';
    let text = if name.chars().all(plain) {
        format!("inline; filename=\"{name}\"")
    } else {
        let mut encoded = String::new();
        for byte in name.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                encoded.push(char::from(byte));
            } else {
                encoded.push_str(&format!("%{byte:02X}"));
            }
        }
        format!("inline; filename*=utf-8''{encoded}")
    };
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("inline"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file to which somebody writes after its end was read.
    struct Grows(Vec<&'static [u8]>);

    impl Read for Grows {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.0.pop().map_or(Ok(0), |mut part| part.read(into))
        }
    }

    #[test]
    fn a_file_that_grows_while_it_is_compressed_ends_where_its_end_was_seen() {
        let grows = Grows(vec![b"later", b"", b"first"]);
        let once = Once { file: grows, ended: false };
        let mut compressed = Vec::new();
        GzEncoder::new(once, Compression::fast()).read_to_end(&mut compressed).unwrap();
        let mut plain = String::new();
        flate2::read::GzDecoder::new(&*compressed).read_to_string(&mut plain).unwrap();
        assert_eq!(plain, "first");
    }
}
