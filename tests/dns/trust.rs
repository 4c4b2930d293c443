//! `dns trust`.

use std::fs;

use super::Tree;
use crate::support::Lab;

#[test]
fn the_homes_authority_comes_into_the_store_and_goes_again() {
    let lab = Lab::bare("p");
    let tree = Tree::new(&lab);
    let before = tree.everything();
    let said = lab.ok(&tree.args(&["trust", "--dry-run"]));
    assert!(said.starts_with("write /usr/local/share/ca-certificates/atelier-"), "{said}");
    assert!(said.ends_with("run update-ca-certificates\n"), "{said}");
    assert_eq!(tree.everything(), before);
    lab.run(&tree.args(&["trust"])).fails(2, &["--yes"]);
    lab.ok(&tree.args(&["trust", "--yes"]));
    let own = fs::read(lab.home().join("keys/ca.pem")).unwrap();
    assert!(tree.everything().into_values().any(|(_, content)| content == own));
    assert_eq!(lab.ok(&tree.args(&["trust", "--yes"])), "it is trusted already\n");
    lab.ok(&tree.args(&["trust", "--remove", "--yes"]));
    assert_eq!(tree.everything(), before);
    assert_eq!(lab.ok(&tree.args(&["trust", "--remove"])), "it is not trusted\n");
}

#[test]
fn what_is_no_authority_is_refused() {
    let lab = Lab::bare("p");
    let tree = Tree::new(&lab);
    lab.write("note.pem", "no certificate");
    let done = lab.run(&tree.args(&["trust", "--yes", "--certificate", "note.pem"]));
    done.fails(8, &["note.pem does not hold the certificate of an authority"]);
    lab.run(&tree.args(&["trust", "--yes", "--certificate", "nowhere.pem"]))
        .fails(8, &["nowhere.pem"]);
}
