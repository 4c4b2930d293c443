//! Files: contents and entries.

use std::sync::atomic::{AtomicBool, Ordering};

use atelier_api::Fault;
use atelier_guest::wire::FileType;

use crate::harness::Running;

#[tokio::test]
async fn a_file_is_written_with_the_folders_above_it_and_read_back() {
    let running = Running::start();
    let bytes: Vec<u8> = (0..300_000_u32).map(|n| (n % 253) as u8).collect();
    let written = running.guest.write("deep/er/file.bin", bytes.clone()).await.unwrap();
    assert_eq!(written.path, running.path("deep/er/file.bin"));
    assert_eq!(running.guest.read("deep/er/file.bin").await.unwrap(), bytes);
    let entry = running.guest.stat("deep/er/file.bin").await.unwrap();
    assert_eq!((entry.kind, entry.size), (FileType::File, Some(300_000)));
    assert_eq!(entry.permissions, "-rw-r--r--");
}

#[tokio::test]
async fn a_big_file_is_copied_in_and_out_in_pieces() {
    let running = Running::start();
    let source = running.path("source");
    std::fs::write(&source, vec![7_u8; 5_000_000]).unwrap();
    let from = tokio::fs::File::open(&source).await.unwrap();
    running.guest.write_from(&running.path("copy"), from).await.unwrap();
    let mut out = Vec::new();
    let copied = running.guest.read_to(&running.path("copy"), &mut out).await.unwrap();
    assert_eq!((copied, out.len()), (5_000_000, 5_000_000));
    assert!(out.iter().all(|byte| *byte == 7));
}

#[tokio::test]
async fn files_of_proc_that_claim_to_be_empty_are_read() {
    let running = Running::start();
    let status = running.guest.read("/proc/self/status").await.unwrap();
    assert!(status.starts_with(b"Name:\tatelier-guest"));
    let size = running.guest.read("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size").await;
    assert!(size.is_err() || !size.unwrap().is_empty());
}

/// The status of a read over a connection of its own; none when it was closed without an answer.
fn status_of_read(running: &Running, path: &str, headers: &str) -> Option<u16> {
    let request =
        format!("GET /files?path={path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
    let answer = running.exchange(request.as_bytes());
    String::from_utf8_lossy(&answer).split(' ').nth(1)?.parse().ok()
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_and_not_left_without_an_answer() {
    let running = Running::start();
    // It opens, and its first byte is no memory.
    for headers in ["", "Accept-Encoding: gzip\r\n"] {
        assert_eq!(status_of_read(&running, "/proc/self/mem", headers), Some(500), "{headers}");
    }
}

#[tokio::test]
async fn a_file_that_is_written_over_all_the_time_has_an_answer_every_time() {
    let running = Running::start();
    for (name, bytes) in [("tick", 20), ("big", 200_000)] {
        let path = running.path(name);
        let done = AtomicBool::new(false);
        let unanswered = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    std::fs::write(&path, vec![7; bytes]).unwrap();
                }
            });
            let (running, path) = (&running, &path);
            let read = |headers| (0..500).map(move |_| status_of_read(running, path, headers));
            let answers = read("").chain(read("Range: bytes=1-\r\n"));
            let unanswered = answers.filter(Option::is_none).count();
            done.store(true, Ordering::Relaxed);
            unanswered
        });
        assert_eq!(unanswered, 0, "of {name}");
    }
}

#[tokio::test]
async fn names_with_spaces_and_signs_are_kept() {
    let running = Running::start();
    let name = "a b+c%20&ä?.txt";
    running.guest.write(&running.path(name), "x").await.unwrap();
    assert_eq!(std::fs::read(running.path(name)).unwrap(), b"x");
    assert_eq!(running.guest.read(&running.path(name)).await.unwrap(), "x");
}

#[tokio::test]
async fn what_is_missing_is_not_found_and_a_folder_is_no_file() {
    let running = Running::start();
    assert_eq!(running.guest.read("missing").await.unwrap_err().code(), "guest.not_found");
    assert_eq!(running.guest.stat("missing").await.unwrap_err().code(), "guest.not_found");
    assert_eq!(running.guest.read("").await.unwrap_err().code(), "guest.invalid");
    assert_eq!(running.guest.list_dir("missing", 1).await.unwrap_err().code(), "guest.not_found");
}

#[tokio::test]
async fn a_full_disk_is_told_as_such() {
    let running = Running::start();
    let error = running.guest.write("/dev/full", "x").await.unwrap_err();
    assert_eq!(error.code(), "guest.disk_full", "{error}");
}

#[tokio::test]
async fn folders_are_made_listed_renamed_and_removed() {
    let running = Running::start();
    let guest = &running.guest;
    guest.make_dir("top/inner").await.unwrap();
    assert_eq!(guest.make_dir("top/inner").await.unwrap_err().code(), "guest.already_exists");
    guest.write("top/inner/file", "1").await.unwrap();
    std::os::unix::fs::symlink(running.path("top/inner/file"), running.path("top/link")).unwrap();
    let names = |entries: Vec<atelier_guest::wire::EntryInfo>| {
        entries.into_iter().map(|entry| entry.name).collect::<Vec<_>>()
    };
    assert_eq!(names(guest.list_dir("top", 1).await.unwrap()), ["inner", "link"]);
    assert_eq!(names(guest.list_dir("top", 2).await.unwrap()), ["inner", "file", "link"]);
    let link = guest.stat("top/link").await.unwrap();
    assert_eq!(link.kind, FileType::File);
    assert_eq!(link.symlink_target, Some(running.path("top/inner/file")));
    let moved = guest.rename("top/inner/file", "other/place").await.unwrap();
    assert_eq!(moved.path, running.path("other/place"));
    guest.remove("top").await.unwrap();
    guest.remove("top").await.unwrap();
    assert!(!std::path::Path::new(&running.path("top")).exists());
}

#[tokio::test]
async fn files_are_given_to_the_user_who_writes_them() {
    let running = Running::start();
    let user = running.guest.clone().with_user("12345:12346");
    user.write(&running.path("theirs/file"), "x").await.unwrap();
    for name in ["theirs", "theirs/file"] {
        let entry = running.guest.stat(&running.path(name)).await.unwrap();
        assert_eq!((entry.owner.as_str(), entry.group.as_str()), ("12345", "12346"));
    }
}
