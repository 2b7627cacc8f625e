//! The keys over years: what renews itself, what alarms, and what stays the same.

use super::*;
use crate::clock::SeededChance;
use protocol::card::CardError;

const NAMES: [&str; 1] = ["localhost"];

struct World {
    folder: tempfile::TempDir,
    chance: SeededChance,
    now: Timestamp,
}

impl World {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            chance: SeededChance::new(1),
            now: Timestamp::from_second(1_790_000_000).expect("a time"),
        }
    }

    fn open(&self, epoch: u64) -> Result<Authority, AuthorityError> {
        let folder = self.folder.path().join("keys");
        Authority::open(&folder, &names(), None, epoch, self.now, &self.chance)
    }

    fn opened(&self, epoch: u64) -> Authority {
        self.open(epoch).expect("the keys open")
    }
}

fn names() -> Vec<String> {
    NAMES.map(str::to_owned).to_vec()
}

fn listener_until(authority: &Authority) -> Timestamp {
    authority.listener.read().expect("nobody panicked").validity.until
}

#[test]
fn every_secret_lies_sealed_and_opens_again_after_a_restart() {
    let world = World::new();
    let first = world.opened(1);
    let folder = world.folder.path().join("keys");
    let mut sealed: Vec<String> = std::fs::read_dir(&folder)
        .expect("it is there")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    sealed.sort();
    let expected = [
        "answers", "audit", "chain", "issuing", "listener", "orders", "root", "tickets",
    ]
    .map(|name| format!("{name}.sealed"));
    assert_eq!(
        sealed
            .iter()
            .filter(|name| name.ends_with(".sealed"))
            .cloned()
            .collect::<Vec<_>>(),
        expected
    );
    let seed = *first.answers_key().seed();
    for name in &sealed {
        let bytes = std::fs::read(folder.join(name)).expect("it can be read");
        assert!(!bytes.windows(32).any(|part| part == seed), "{name}");
    }
    let again = world.opened(1);
    assert_eq!(first.card(&[]), again.card(&[]));
    assert_eq!(first.root_digest(), again.root_digest());
    let host = domain::id::HostId([1; 16]);
    assert!(again.link_key().is_ours(host, &first.link_key().issue(host, 3)));
}

#[test]
fn a_new_epoch_is_on_the_card_and_links_of_the_older_life_are_known() {
    let world = World::new();
    let before = world.opened(1);
    let after = world.opened(2);
    let pins = [before.root_digest()];
    let trust = after.card(&[]).verify(&pins).expect("the same root");
    assert_eq!(trust.epoch, 2);
    assert_eq!(before.answers_key().id(), after.answers_key().id());
    let host = domain::id::HostId([1; 16]);
    assert!(after.link_key().is_ours(host, &before.link_key().issue(host, 9)));
}

#[test]
fn an_agent_that_pins_another_root_believes_no_card() {
    let (world, other) = (
        World::new(),
        World {
            chance: SeededChance::new(2),
            ..World::new()
        },
    );
    let card = world.opened(1).card(&[]);
    let refused = card.verify(&[other.opened(1).root_digest()]);
    assert!(matches!(refused, Err(CardError::OtherAuthority)));
}

#[test]
fn the_listeners_certificate_renews_itself_thirty_days_ahead_and_for_other_names() {
    let mut world = World::new();
    let authority = world.opened(1);
    let first = listener_until(&authority);
    world.now += DAY * 59;
    let nothing = authority
        .renew(&names(), world.now, &world.chance)
        .expect("it looks");
    assert_eq!(nothing, Renewed::default());
    world.now += DAY * 2;
    let renewed = authority
        .renew(&names(), world.now, &world.chance)
        .expect("it renews");
    assert!(renewed.listener && !renewed.issuing);
    assert!(listener_until(&authority) > first);
    let other = vec!["patchyard.example".to_owned()];
    let renewed = authority
        .renew(&other, world.now, &world.chance)
        .expect("it renews");
    assert!(renewed.listener);
    world.now += DAY * 365 * 5;
    let renewed = authority
        .renew(&other, world.now, &world.chance)
        .expect("it renews");
    assert!(renewed.listener && renewed.issuing);
}

#[test]
fn what_does_not_renew_itself_alarms_in_time_and_soonest_first() {
    let mut world = World::new();
    let authority = world.opened(1);
    assert_eq!(authority.alarms(world.now), []);
    world.now += DAY * (365 * 5 - 100);
    let alarms = authority.alarms(world.now);
    let what: Vec<_> = alarms.iter().map(|alarm| (alarm.what, alarm.is_over)).collect();
    assert_eq!(
        what,
        [
            (Ending::Listener, true),
            (Ending::Issuing, false),
            (Ending::Answers, false),
            (Ending::Orders, false)
        ]
    );
    assert!(alarms.is_sorted_by_key(|alarm| alarm.until));
    assert!(
        alarms[0]
            .sentence()
            .starts_with("The listener's certificate ended at ")
    );
}

#[test]
fn without_the_key_of_the_root_the_server_runs_until_something_has_to_be_made_anew() {
    let mut world = World::new();
    let before = world.opened(1);
    let key = world.folder.path().join("keys/root.sealed");
    let elsewhere = world.folder.path().join("root.sealed");
    std::fs::rename(&key, &elsewhere).expect("it is moved");
    let offline = world.opened(1);
    assert_eq!(offline.root_digest(), before.root_digest());
    assert_eq!(offline.card(&[]), before.card(&[]));
    world.now += DAY * 61;
    let renewed = offline
        .renew(&names(), world.now, &world.chance)
        .expect("it renews");
    assert!(renewed.listener, "the issuing authority is here");
    std::fs::remove_file(world.folder.path().join("keys/issuing.sealed")).expect("it is lost");
    let refused = world.open(1);
    assert!(matches!(
        refused,
        Err(AuthorityError::RootOffline { name: "issuing" })
    ));
    std::fs::rename(&elsewhere, &key).expect("it is put back");
    world.opened(1);
}

fn prepared(world: &World, authority: &Authority) -> Sha256Digest {
    let next = authority
        .draw_next_root(world.now, &world.chance)
        .expect("it is drawn");
    let digest = next.digest();
    authority
        .prepare_next_root(next, world.now, &world.chance)
        .expect("it is kept");
    digest
}

fn switched(world: &World, authority: &Authority, to: Sha256Digest) {
    authority
        .switch_root(to, &names(), world.now, &world.chance)
        .expect("it takes its place");
}

/// Whether somebody who pins only this root believes what the listener shows, by the library's own rules.
fn is_shown_a_way_to(authority: &Authority, root: &CertificateDer<'static>, now: Timestamp) -> bool {
    use rustls::client::danger::ServerCertVerifier;
    let chain = authority
        .listener
        .read()
        .expect("nobody panicked")
        .certified
        .cert
        .clone();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(root.clone()).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = rustls::client::WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .expect("one root is enough");
    let seconds = u64::try_from(now.as_second()).expect("after 1970");
    let time = rustls_pki_types::UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
    let name = "localhost".try_into().expect("a name");
    verifier
        .verify_server_cert(&chain[0], &chain[1..], &name, &[], time)
        .is_ok()
}

#[test]
fn the_next_root_is_believed_by_those_who_pin_the_present_one() {
    let world = World::new();
    let authority = world.opened(1);
    let pins = [authority.root_digest()];
    let believed = |authority: &Authority, pins: &[Sha256Digest]| {
        authority.card(&[]).verify(pins).expect("pinned").authorities
    };
    assert_eq!(believed(&authority, &pins), pins);
    let next = prepared(&world, &authority);
    assert_eq!(believed(&authority, &pins), [pins[0], next]);
    assert_eq!(
        believed(&world.opened(1), &pins),
        [pins[0], next],
        "after a restart too"
    );
    let too_early = authority.card(&[]).verify(&[next]);
    assert!(
        matches!(too_early, Err(CardError::NoAnswersKey)),
        "the next one vouches for nobody yet"
    );
}

#[test]
fn after_the_switch_both_roots_lead_to_the_server_and_after_the_retirement_the_new_one_alone() {
    let world = World::new();
    let authority = world.opened(1);
    let (old, old_root) = (authority.root_digest(), authority.root_certificate());
    let next = prepared(&world, &authority);
    switched(&world, &authority, next);
    switched(&world, &authority, next);
    let new_root = authority.root_certificate();
    for authority in [&authority, &world.opened(1)] {
        assert_eq!(authority.root_digest(), next);
        for root in [&old_root, &new_root] {
            assert!(is_shown_a_way_to(authority, root, world.now));
        }
        for pins in [vec![old], vec![next], vec![old, next]] {
            let trust = authority.card(&[]).verify(&pins).expect("believed");
            assert_eq!(trust.authorities.first(), Some(&next), "pinned: {pins:?}");
        }
    }
    authority
        .retire_former_root(&names(), world.now, &world.chance)
        .expect("it goes");
    for authority in [&authority, &world.opened(1)] {
        assert!(is_shown_a_way_to(authority, &new_root, world.now));
        assert!(
            !is_shown_a_way_to(authority, &old_root, world.now),
            "who was away too long"
        );
        let refused = authority.card(&[]).verify(&[old]);
        assert!(matches!(refused, Err(CardError::OtherAuthority)));
        assert_eq!(
            authority
                .card(&[])
                .verify(&[old, next])
                .expect("believed")
                .authorities,
            [next]
        );
    }
}

#[test]
fn one_change_of_roots_at_a_time_and_only_to_the_one_that_was_prepared() {
    let world = World::new();
    let authority = world.opened(1);
    let at = |authority: &Authority, to| authority.switch_root(to, &names(), world.now, &world.chance);
    let stage = |refused| match refused {
        Err(AuthorityError::Stage(stage)) => stage,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        stage(at(&authority, Sha256Digest([7; 32]))),
        WrongStage::NotPrepared
    );
    let first = prepared(&world, &authority);
    let second = prepared(&world, &authority);
    assert_eq!(
        stage(at(&authority, first)),
        WrongStage::NotPrepared,
        "another was prepared since"
    );
    let early = authority.retire_former_root(&names(), world.now, &world.chance);
    assert_eq!(stage(early), WrongStage::NoFormer);
    switched(&world, &authority, second);
    let third = authority.draw_next_root(world.now, &world.chance).map(drop);
    assert_eq!(stage(third), WrongStage::FormerIsKept);
}

#[test]
fn a_change_of_roots_that_was_cut_short_is_completed_or_forgotten() {
    let world = World::new();
    let keys = world.folder.path().join("keys");
    let authority = world.opened(1);
    let (old, old_root) = (authority.root_digest(), authority.root_certificate());
    let next = prepared(&world, &authority);
    // Cut off after the word was written and before the next root was.
    std::fs::rename(keys.join("root-next.sealed"), keys.join("aside")).expect("moved");
    let cut = world.opened(1);
    assert_eq!(
        (cut.root_digest(), cut.roots_shown().other),
        (old, OtherRoot::None)
    );
    std::fs::rename(keys.join("aside"), keys.join("root-next.sealed")).expect("moved");
    // Cut off right after the one write that decides: everything else is as it was before.
    let before: Vec<_> = ["issuing", "listener", "answers", "orders", "audit"]
        .map(|name| keys.join(format!("{name}.sealed")))
        .into_iter()
        .chain([keys.join("root.der"), keys.join("root-next.sealed")])
        .map(|path| (std::fs::read(&path).expect("it is there"), path))
        .collect();
    switched(&world, &authority, next);
    for (bytes, path) in before {
        std::fs::write(path, bytes).expect("it is put back");
    }
    let after = world.opened(1);
    assert_eq!(after.root_digest(), next);
    assert!(matches!(after.roots_shown().other, OtherRoot::Former { digest, .. } if digest == old));
    assert!(is_shown_a_way_to(&after, &old_root, world.now));
    assert!(is_shown_a_way_to(&after, &after.root_certificate(), world.now));
    assert!(!keys.join("root-next.sealed").exists());
}

#[test]
fn the_present_roots_key_is_needed_to_prepare_and_not_to_switch() {
    let world = World::new();
    let keys = world.folder.path().join("keys");
    let elsewhere = world.folder.path().join("root.sealed");
    let next = prepared(&world, &world.opened(1));
    std::fs::rename(keys.join("root.sealed"), &elsewhere).expect("it is moved");
    let offline = world.opened(1);
    let refused = offline.draw_next_root(world.now, &world.chance).map(drop);
    assert!(matches!(refused, Err(AuthorityError::RootOffline { .. })));
    assert_eq!(
        offline.card(&[]).authorities.len(),
        2,
        "it goes on being announced"
    );
    switched(&world, &offline, next);
    assert_eq!(world.opened(1).root_digest(), next);
    std::fs::rename(&elsewhere, keys.join("root.sealed")).expect("the old one is put back");
    assert!(matches!(world.open(1), Err(AuthorityError::FormerRoot)));
}

#[test]
fn an_altered_key_file_stops_the_server() {
    let world = World::new();
    world.opened(1);
    let path = world.folder.path().join("keys/answers.sealed");
    let mut bytes = std::fs::read(&path).expect("it can be read");
    bytes[40] ^= 1;
    std::fs::write(&path, bytes).expect("it is written");
    assert!(matches!(
        world.open(1),
        Err(AuthorityError::Seal(SealError::DoesNotOpen { .. }))
    ));
}
