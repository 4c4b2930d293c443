//! The server by its messages: what no well-behaved client sends, and what it answers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A message: its kind, then its fields.
fn message(kind: u8, fields: &[&[u8]]) -> Vec<u8> {
    let body: Vec<u8> = [&[kind], fields.concat().as_slice()].concat();
    [u32::try_from(body.len()).unwrap().to_be_bytes().as_slice(), &body].concat()
}

fn number(number: u32) -> [u8; 4] {
    number.to_be_bytes()
}

fn text(bytes: &[u8]) -> Vec<u8> {
    [number(u32::try_from(bytes.len()).unwrap()).as_slice(), bytes].concat()
}

fn path(path: &Path) -> Vec<u8> {
    text(path.as_os_str().as_bytes())
}

/// What is answered to all of these, message by message.
fn answers(requests: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut output = Vec::new();
    atelier_sftp::serve(requests.concat().as_slice(), &mut output).unwrap();
    let mut answers = Vec::new();
    let mut rest = output.as_slice();
    while let Some((length, more)) = rest.split_first_chunk::<4>() {
        let (answer, more) = more.split_at(u32::from_be_bytes(*length) as usize);
        answers.push(answer.to_vec());
        rest = more;
    }
    answers
}

/// The code of a status.
fn status(answer: &[u8]) -> u8 {
    assert_eq!(answer[0], 101, "{answer:?}");
    answer[8]
}

const INIT: [u8; 9] = [0, 0, 0, 5, 1, 0, 0, 0, 3];

#[test]
fn it_speaks_version_3_with_extensions() {
    let answers = answers(&[INIT.to_vec()]);
    assert_eq!(answers[0][..5], [2, 0, 0, 0, 3]);
    let rename = b"posix-rename@openssh.com";
    assert!(answers[0].windows(rename.len()).any(|it| it == rename));
}

#[test]
fn requests_that_are_sent_at_once_are_answered_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("new");
    let handle = text(&number(0));
    let write_create = number(2 | 8 | 16);
    let answers = answers(&[
        INIT.to_vec(),
        message(3, &[&number(1), &path(&file), &write_create, &number(4), &number(0o640)]),
        // The end before the beginning: writes go where they say.
        message(6, &[&number(2), &handle, &5u64.to_be_bytes(), &text(b"world")]),
        message(6, &[&number(3), &handle, &0u64.to_be_bytes(), &text(b"hello")]),
        message(4, &[&number(4), &handle]),
        message(4, &[&number(5), &handle]),
    ]);
    let ids: Vec<u8> = answers[1..].iter().map(|answer| answer[4]).collect();
    assert_eq!(ids, [1, 2, 3, 4, 5]);
    assert_eq!(answers[2..].iter().map(|it| status(it)).collect::<Vec<_>>(), [0, 0, 0, 4]);
    assert_eq!(std::fs::read(file).unwrap(), b"helloworld");
}

#[test]
fn what_is_wrong_is_answered_with_a_status() {
    let nowhere = path(Path::new("/nowhere/at/all"));
    let answers = answers(&[
        message(17, &[&number(1), &nowhere]),
        message(5, &[&number(2), &text(b"xyz"), &[0; 12]]),
        message(17, &[&number(3), &number(99)]),
        message(77, &[&number(4), &nowhere]),
        message(200, &[&number(5), &text(b"nothing@nowhere")]),
        message(12, &[&number(6), &text(&number(9))]),
    ]);
    assert_eq!(answers.iter().map(|it| status(it)).collect::<Vec<_>>(), [2, 4, 5, 8, 8, 4]);
}

#[test]
fn a_message_that_is_none_ends_the_session() {
    for broken in [vec![0, 0, 0, 0], vec![0xff; 8], vec![0, 0, 0, 9, 1], vec![0, 0, 0, 1, 3]] {
        assert!(atelier_sftp::serve(broken.as_slice(), &mut Vec::new()).is_err(), "{broken:?}");
    }
}

#[test]
fn a_big_folder_is_listed_whole() {
    let dir = tempfile::tempdir().unwrap();
    for index in 0..1000 {
        std::fs::write(dir.path().join(format!("{index:0100}")), "").unwrap();
    }
    let handle = text(&number(0));
    let mut requests = vec![message(11, &[&number(1), &path(dir.path())])];
    requests.extend((0..10).map(|id| message(12, &[&number(id), &handle])));
    let answers = answers(&requests);
    let names = answers.iter().filter(|answer| answer[0] == 104);
    let count: u32 = names.map(|it| u32::from_be_bytes(it[5..9].try_into().unwrap())).sum();
    assert_eq!(count, 1002);
    assert_eq!(status(answers.last().unwrap()), 1);
}

#[test]
fn a_rename_does_not_replace_and_the_other_kind_does() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    std::fs::write(&one, "1").unwrap();
    std::fs::write(&two, "2").unwrap();
    let answers = answers(&[
        message(18, &[&number(1), &path(&one), &path(&two)]),
        message(200, &[&number(2), &text(b"posix-rename@openssh.com"), &path(&one), &path(&two)]),
    ]);
    assert_eq!(answers.iter().map(|it| status(it)).collect::<Vec<_>>(), [4, 0]);
    assert_eq!(std::fs::read(two).unwrap(), b"1");
}
