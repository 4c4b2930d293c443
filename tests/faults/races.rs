//! Two commands at one environment.

use crate::support::{Done, Lab};

#[test]
fn two_runs_of_a_new_environment_share_the_one_that_is_made() {
    let lab = Lab::new();
    let clients: Vec<_> = (0..8)
        .map(|n| lab.spawn(&["run", "a", "--", "sh", "-c", &format!("echo {n} > made-by-{n}")]))
        .collect();
    for client in clients {
        let done = Done::of(client.wait_with_output().unwrap());
        assert_eq!(done.code, 0, "{}", done.stderr);
    }
    let seen = lab.ok(&["run", "a", "--", "sh", "-c", "ls made-by-* | wc -l"]);
    assert_eq!(seen.trim(), "8");
    assert_eq!(lab.json(&["env", "ls"]).as_array().unwrap().len(), 1);
}

#[test]
fn of_two_creates_one_wins_and_the_other_says_so() {
    let lab = Lab::new();
    let clients: Vec<_> = (0..6).map(|_| lab.spawn(&["env", "create", "a"])).collect();
    let mut codes: Vec<_> =
        clients.into_iter().map(|c| Done::of(c.wait_with_output().unwrap()).code).collect();
    codes.sort_unstable();
    assert_eq!(codes, [0, 4, 4, 4, 4, 4]);
}

#[test]
fn a_removal_and_a_run_at_once_end_in_one_of_two_whole_states() {
    let lab = Lab::new();
    for _ in 0..10 {
        lab.ok(&["run", "a", "--", "true"]);
        let remove = lab.spawn(&["env", "rm", "--yes", "--force", "a"]);
        let run = lab.spawn(&["run", "a", "--", "cat", "src/app.txt"]);
        let (remove, run) = (
            Done::of(remove.wait_with_output().unwrap()),
            Done::of(run.wait_with_output().unwrap()),
        );
        assert_eq!(remove.code, 0, "{}", remove.stderr);
        assert!(run.code == 0 || run.stderr.contains("error:"), "{run:?}");
        let list = lab.json(&["env", "ls"]);
        if list.as_array().unwrap().len() == 1 {
            assert_eq!(lab.ok(&["run", "a", "--", "head", "-1", "src/app.txt"]), "one\n");
        }
    }
}
