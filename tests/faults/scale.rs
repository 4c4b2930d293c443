//! A hundred environments at once: all whole, and afterwards nothing is left.

use crate::support::{Lab, Traces};

#[test]
fn a_hundred_at_once_are_all_whole_and_go_without_a_trace() {
    let lab = Lab::new();
    lab.ok(&["run", "first", "--", "true"]);
    lab.ok(&["env", "rm", "--yes", "first"]);
    let before = Traces::of(&lab.home());
    let names: Vec<String> = (0..100).map(|n| format!("e{n}")).collect();
    let creates: Vec<_> = names.iter().map(|n| lab.spawn(&["env", "create", n])).collect();
    for create in creates {
        let output = create.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(lab.json(&["env", "ls"]).as_array().unwrap().len(), 100);
    // Every one runs, all at the same time.
    for batch in names.chunks(25) {
        let runs: Vec<_> = batch
            .iter()
            .map(|n| {
                lab.spawn(&[
                    "run",
                    n,
                    "--",
                    "sh",
                    "-c",
                    "cat src/app.txt; echo $ATELIER_ENV > name",
                ])
            })
            .collect();
        for run in runs {
            let output = run.wait_with_output().unwrap();
            assert_eq!(
                output.stdout,
                b"one\ntwo\nthree\n",
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }
    assert_eq!(lab.ok(&["run", "e42", "--", "cat", "name"]), "e42\n");
    let mut rm = vec!["env", "rm", "--yes"];
    rm.extend(names.iter().map(String::as_str));
    lab.ok(&rm);
    before.wait_until_nothing_more(&lab.home());
}
