//! Somebody has the server, its database and every key on it. Hosts that were told of an approver's key follow nothing that
//! this key has not signed.

use super::{Yard, assert_installed, by_dpkg, text};
use std::path::Path;
use testkit::lab::booted::BootedHost;
use testkit::skip;

/// The public half of a new approver's key in this file.
fn made_key(yard: &Yard, file: &Path) -> String {
    let made = yard.fleet.one(&["change", "key", file.to_str().unwrap()]);
    text(&made, "public")
}

#[test]
fn who_has_the_server_and_all_its_keys_but_not_the_approvers_installs_nothing() {
    let yard = match Yard::open(&[("web1", "bookworm")], |_| ()) {
        Ok(yard) => yard,
        Err(missing) => return skip::skip_for(&missing),
    };
    let host = &yard.hosts[0];
    let keys = tempfile::tempdir().unwrap();
    let (own, stolen) = (keys.path().join("approver"), keys.path().join("thief"));
    let public = made_key(&yard, &own);
    let thiefs = made_key(&yard, &stolen);
    host.run(&["patchyard-agent", "approvers", "add", &public])
        .unwrap();
    yard.allow_all();
    let before = by_dpkg(host);

    // The thief is the server: it asks nobody for a signature.
    let change = yard.begin(&["--update", "openssl", "--hosts", "web1"]);
    is_refused(&yard, &change, host, &before);
    // It asks for one, of a key of the thief's own.
    approver(&yard, &format!("thief={thiefs}"));
    let change = yard.begin(&["--update", "openssl", "--hosts", "web1"]);
    sign(&yard, &change, &stolen).unwrap();
    is_refused(&yard, &change, host, &before);
    // Only the approver's own key opens the host.
    approver(&yard, &format!("approver={public}"));
    let change = yard.begin(&["--update", "openssl", "--hosts", "web1"]);
    sign(&yard, &change, &stolen).unwrap_err();
    sign(&yard, &change, &own).unwrap();
    let ended = yard.ended(&change);
    assert_installed(&ended[0]);
}

/// Whose signature the server asks for from now on.
fn approver(yard: &Yard, approver: &str) {
    yard.fleet.say(&["change", "approvers", "--approver", approver]);
}

fn sign(yard: &Yard, change: &str, key: &Path) -> Result<String, String> {
    yard.fleet.try_say(&[
        "change",
        "approve",
        change,
        "--yes",
        "--key",
        key.to_str().unwrap(),
    ])
}

fn is_refused(yard: &Yard, change: &str, host: &BootedHost, before: &std::collections::BTreeSet<String>) {
    let ended = yard.ended(change);
    assert_eq!(ended[0]["failure"], "refused", "{:#}", ended[0]);
    let detail = text(&ended[0], "detail");
    assert!(detail.contains("approver"), "{detail}");
    assert_eq!(by_dpkg(host), *before);
}
