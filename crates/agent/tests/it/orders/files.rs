//! Files of orders on their way from the process without rights into root's own folder.

use super::Issuer;
use agent::executor::files::{needed, read_left, store, sweep, take_over};
use agent::executor::spool::Wish;
use domain::digest::Sha256Digest;
use rustix::fs::{CWD, Mode, mkfifoat};
use std::os::unix::fs::{PermissionsExt, symlink};

fn wish(bytes: &[u8]) -> Wish {
    Wish {
        digest: protocol::sha256(bytes),
        size_bytes: bytes.len() as u64,
    }
}

#[test]
fn an_order_needs_each_of_its_files_once() {
    let issuer = Issuer::new();
    let mut order = issuer.order(1);
    order.snapshots.push(order.snapshots[0].clone());
    order.snapshots[0].signature = Some(Sha256Digest([1; 32]));
    let digests: Vec<_> = needed(&order).iter().map(|wish| wish.digest.0[0]).collect();
    assert_eq!(digests, [1, 7, 8]);
}

#[test]
fn what_has_its_digest_is_taken_over_and_is_nobody_elses_afterwards() {
    let issuer = Issuer::new();
    let (one, two) = (wish(b"one"), wish(b"two"));
    let left = |wish: &Wish| issuer.places.files().join(wish.digest.to_string());
    std::fs::write(left(&one), b"one").unwrap();
    let taken = take_over(&issuer.places, &[one, two]).unwrap();
    assert_eq!((taken.bytes, taken.missing), (3, vec![two]));
    assert!(!left(&one).exists());
    let own = store(&issuer.places).join(one.digest.to_string());
    let facts = std::fs::metadata(&own).unwrap();
    assert_eq!(facts.permissions().mode() & 0o777, 0o600);
    // What is there already is not taken again, and what comes late is.
    std::fs::write(left(&two), b"two").unwrap();
    let taken = take_over(&issuer.places, &[one, two]).unwrap();
    assert_eq!((taken.bytes, taken.missing), (3, Vec::new()));
    sweep(&issuer.places, &[two]).unwrap();
    assert!(!own.exists());
    assert!(store(&issuer.places).join(two.digest.to_string()).exists());
}

#[test]
fn what_is_altered_longer_a_link_or_a_pipe_is_not_taken_over() {
    let issuer = Issuer::new();
    let file = wish(b"as ordered");
    let path = issuer.places.files().join(file.digest.to_string());
    let missing = || {
        let taken = take_over(&issuer.places, &[file]).unwrap();
        assert_eq!((taken.bytes, taken.missing), (0, vec![file]));
        let kept = std::fs::read_dir(store(&issuer.places)).unwrap().count();
        assert_eq!(kept, 0, "nothing of it stays");
    };
    missing();
    std::fs::write(&path, b"as altered").unwrap();
    missing();
    assert!(!path.exists(), "it is of no more use");
    std::fs::write(&path, b"as ordered, and more").unwrap();
    missing();
    std::fs::remove_file(&path).unwrap();
    let elsewhere = issuer.places.state.join("elsewhere");
    std::fs::write(&elsewhere, b"as ordered").unwrap();
    symlink(&elsewhere, &path).unwrap();
    missing();
    assert!(read_left(&issuer.places, file.digest, 100).is_err());
    std::fs::remove_file(&path).unwrap();
    mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).unwrap();
    missing();
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    missing();
    std::fs::remove_dir(&path).unwrap();
    // A folder of files that is a link is none.
    let files = issuer.places.files();
    std::fs::remove_dir(&files).unwrap();
    symlink("/tmp", &files).unwrap();
    missing();
}

#[test]
fn a_bundle_is_read_whole_within_its_limit_and_under_its_own_name() {
    let issuer = Issuer::new();
    let file = wish(b"a bundle");
    let path = issuer.places.files().join(file.digest.to_string());
    assert!(read_left(&issuer.places, file.digest, 8).is_err());
    std::fs::write(&path, b"a bundle").unwrap();
    assert_eq!(read_left(&issuer.places, file.digest, 8).unwrap(), b"a bundle");
    assert!(read_left(&issuer.places, file.digest, 7).is_err());
    std::fs::write(&path, b"A bundle").unwrap();
    assert!(read_left(&issuer.places, file.digest, 8).is_err());
}
