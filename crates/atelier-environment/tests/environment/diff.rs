//! What an environment changed, in git's own words.

use atelier_environment::{DiffOptions, LayerMode, Source, Status, diff};

use crate::support::{World, inside, sh, text};

const FILES: [(&str, &str); 8] = [
    ("a.txt", "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13\n14\n15\n16\n17\n18\n19\n20\n"),
    ("gone.txt", "bye\n"),
    ("tool.sh", "#!/bin/sh\n"),
    ("end.txt", "no newline"),
    ("dos.txt", "one\r\ntwo\r\n"),
    ("dir/x", "x\n"),
    ("dir/y", "y\n"),
    ("was-file", "f\n"),
];

const EDITS: &str = r#"
    sed -i 's/^2$/two/; s/^19$/nineteen/' a.txt; rm gone.txt; chmod +x tool.sh
    printf 'still no newline' > end.txt; printf 'one\r\n2\r\n' > dos.txt
    rm -r dir; printf 'now a file\n' > dir; rm was-file; mkdir was-file; echo in > was-file/in
    printf 'spaced\n' > 'a name.txt'; printf 'tab\n' > "$(printf 'tab\tquote"')"; printf 'e\n' > é.txt
    ln -s a.txt link; : > empty; mkdir -p deep/er; echo d > deep/er/d; touch a.txt; mkfifo pipe
    mkdir hollow; cp -p tool.sh copy.sh; printf '\r\n' > crlf; echo bad > "$(printf 'non\377utf8')"
"#;

/// The files of a folder with kind, executable bit and content, without `.git`.
const TREE: &str = "find . -name .git -prune -o ! -type d ! -type p -printf '%P %y %M %l\n' | sed 's/[-rws]*\\(.\\) $/\\1/' | LC_ALL=C sort
    find . -name .git -prune -o -type f -print0 | LC_ALL=C sort -z | xargs -0r sha256sum";

#[test]
fn git_accepts_the_diff_and_makes_the_same_of_it() {
    for mode in [LayerMode::Overlay, LayerMode::Copy] {
        let world = World::git(&FILES);
        let workspace = world.try_create("e", &Source::WorkingTree, mode).unwrap();
        inside(&workspace, EDITS);
        let diff = world.diff(&workspace);
        let text_path = world.tmp.path().join("env.patch");
        diff.write_unified(&mut std::fs::File::create(&text_path).unwrap()).unwrap();
        world.sh(&format!(
            "git apply --check {0} && git apply --whitespace=nowarn {0}",
            text_path.display()
        ));
        assert_eq!(world.sh(TREE), inside(&workspace, TREE), "{mode:?}\n{}", text(&diff));
        assert_eq!(diff.skipped.len(), 1, "{:?}", diff.skipped);
    }
}

#[test]
fn the_text_is_what_git_would_write() {
    let world = World::git(&FILES);
    let workspace = world.create("e");
    inside(&workspace, EDITS);
    inside(&workspace, "rm pipe");
    let ours = text(&world.diff(&workspace));
    // The same edits in a clone, and git's own diff of them, without the lines we leave out.
    let clone = world.tmp.path().join("clone");
    sh(world.tmp.path(), "git clone -q project clone");
    sh(&clone, EDITS);
    let theirs = sh(
        &clone,
        "rm pipe; git add -A; git -c diff.renames=false diff --cached --patience | grep -av '^index '",
    );
    // git puts what follows the second @@ there, too.
    let strip = |s: &str| {
        s.lines()
            .filter(|l| !l.starts_with("@@ ") || l.len() > 3)
            .map(|l| match l.strip_prefix("@@ ").and_then(|r| r.split_once(" @@")) {
                Some((range, _)) => format!("@@ {range} @@"),
                None => l.to_owned(),
            })
            .collect::<Vec<_>>()
    };
    let sorted = |s: &str| {
        let mut files: Vec<Vec<String>> = Vec::new();
        for line in strip(s) {
            if line.starts_with("diff --git") {
                files.push(Vec::new());
            }
            files.last_mut().unwrap().push(line);
        }
        files.sort();
        files
    };
    assert_eq!(sorted(&ours), sorted(&theirs));
}

#[test]
fn each_change_has_its_status_and_numbers() {
    let world = World::git(&FILES);
    let workspace = world.create("e");
    inside(
        &workspace,
        "echo 21 >> a.txt; rm gone.txt; chmod +x tool.sh; printf '\\0\\1' > bin; rm end.txt; ln -s a.txt end.txt",
    );
    let diff = world.diff(&workspace);
    let seen: Vec<_> = diff
        .changes
        .iter()
        .map(|c| (c.path.to_str().unwrap(), c.status, c.insertions, c.deletions, c.binary))
        .collect();
    assert_eq!(
        seen,
        [
            ("a.txt", Status::Modified, 1, 0, false),
            ("bin", Status::Added, 0, 0, true),
            ("end.txt", Status::Type, 1, 1, false),
            ("gone.txt", Status::Deleted, 0, 1, false),
            ("tool.sh", Status::Mode, 0, 0, false),
        ]
    );
    assert_eq!((diff.insertions, diff.deletions), (2, 2));
    let json = serde_json::to_value(&diff).unwrap();
    assert_eq!(json["changes"][4]["old_mode"], "100644");
    assert_eq!(json["changes"][4]["new_mode"], "100755");
    assert_eq!(
        diff.stat(60),
        " a.txt    |   1 +\n bin      | Bin 0 -> 2 bytes\n end.txt  |   2 +-\n gone.txt |   1 -\n tool.sh  |   0\n 5 files changed, 2 insertions(+), 2 deletions(-)\n"
    );
    assert!(text(&diff).contains("Binary files /dev/null and b/bin differ\n"));
}

#[test]
fn touching_copying_up_and_restoring_is_no_change() {
    let world = World::git(&FILES);
    let workspace = world.create("e");
    inside(
        &workspace,
        "touch a.txt; cp -p gone.txt k; rm gone.txt; mv k gone.txt; : >> dir/x; rm dir/y; printf 'y\n' > dir/y; git status -s; chmod 600 a.txt",
    );
    assert!(world.diff(&workspace).is_empty());
}

#[test]
fn what_git_ignores_is_left_out_unless_it_is_tracked_or_asked_for() {
    let world = World::git(&[(".gitignore", "*.log\n/build/\n"), ("a", "a\n")]);
    world.sh("mkdir build; echo t > build/tracked; git add -f build/tracked; git commit -qm t; echo l > old.log");
    let workspace = world.create("e");
    inside(&workspace, "echo n > new.log; rm old.log; echo 2 >> build/tracked; echo x > build/x
        echo '!kept.log' >> .gitignore; echo k > kept.log; echo f > forced.log; git add -f forced.log
        echo hook > .git/hooks/pre-commit; mkdir sub; echo '*.o' > sub/.gitignore; touch sub/a.o sub/b.c");
    let paths = |all| {
        let diff = diff(&workspace, &world.project(), DiffOptions { all }).unwrap();
        diff.changes.iter().map(|c| c.path.to_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        paths(false),
        [".gitignore", "build/tracked", "forced.log", "kept.log", "sub/.gitignore", "sub/b.c"]
    );
    assert_eq!(paths(true).len(), 10);
    assert!(!paths(true).iter().any(|p| p.starts_with(".git/")));
}

#[test]
fn the_snapshot_is_what_counts_not_what_the_user_does_later() {
    let world = World::git(&[("a", "1\n")]);
    world.write("a", "dirty\n");
    let first = world.create("one");
    world.write("a", "later\n");
    let second = world.create("two");
    assert!(world.diff(&first).is_empty() && world.diff(&second).is_empty());
    inside(&first, "echo env > a");
    assert!(text(&world.diff(&first)).contains("-dirty\n+env\n"));
}
