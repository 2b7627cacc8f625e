//! Files of the content store that are missing or altered on the disk: nothing wrong is found by them, hosts that depend on
//! them are unknown, the doctor names them, and the next sync brings them back.

use super::story::{Upstream, shown};
use crate::world::World;
use server::operations::doctor::{self, Wellness};
use std::path::{Path, PathBuf};
use store::host::HostStanding;

/// Every file that stands in the content store, derived forms too.
fn kept(world: &World) -> Vec<PathBuf> {
    let files = world.context.content.folder().join("files");
    let mut kept = Vec::new();
    for shelf in std::fs::read_dir(files).expect("the shelves") {
        for file in std::fs::read_dir(shelf.expect("a shelf").path()).expect("the files") {
            kept.push(file.expect("a file").path());
        }
    }
    kept.sort();
    kept
}

/// Does something to a file.
type Damage = fn(&Path);

const DAMAGES: [(&str, Damage); 3] = [
    ("removed", |file| {
        std::fs::remove_file(file).expect("it is removed")
    }),
    ("altered", |file| {
        let mut bytes = std::fs::read(file).expect("it is read");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x20;
        replace(file, &bytes);
    }),
    ("cut short", |file| {
        let bytes = std::fs::read(file).expect("it is read");
        replace(file, &bytes[..bytes.len() / 2]);
    }),
];

/// As a new file: one that is mapped does not change under those who read it.
fn replace(file: &Path, bytes: &[u8]) {
    std::fs::remove_file(file).expect("it is removed");
    std::fs::write(file, bytes).expect("it is written");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_missing_or_altered_leads_to_no_wrong_finding_is_named_and_comes_back() {
    let mut world = World::new().await;
    let upstream = Upstream::start(world.folder.path());
    upstream.publish(world.now(), &[("hello", "1.0-2"), ("plain", "2.0-1")]);
    let mut agent = world.agent(1).await;
    upstream.report(&world, &mut agent, &[("hello", "1.0-1")]).await;
    world.run("assess").await;
    world.adopt_sources().await;
    world.run("sync").await;
    world.run("assess").await;
    let whole = shown(&world.missing(None).await);
    assert!(whole.contains("hello 1.0-2"));
    let files = kept(&world);
    assert!(
        files.len() >= 3,
        "a release file, an index, its compiled form: {files:?}"
    );
    let mut unknown = 0;
    for file in &files {
        for (how, damage) in DAMAGES {
            let what = format!("{} {how}", described(file));
            damage(file);
            world = world.killed_and_started().await;
            is_named(&world, file, &what).await;
            world.run("assess").await;
            let found = shown(&world.missing(None).await);
            let standing = world.host(agent.host).await.standing;
            match standing {
                HostStanding::Unknown => unknown += 1,
                _ => assert_eq!(found, whole, "{what}"),
            }
            assert!(found == whole || found.is_empty(), "{what}: {found}");
            world.ask_for_sync().await;
            world.run("sync").await;
            world.run("assess").await;
            assert_eq!(shown(&world.missing(None).await), whole, "{what}, after a sync");
            assert_eq!(
                world.host(agent.host).await.standing,
                HostStanding::UpdatesMissing,
                "{what}, after a sync: {:?}",
                world.sources().await[0].last_outcome
            );
        }
    }
    assert!(unknown >= 3, "no damage was noticed");
}

/// Its name, and how it begins.
fn described(file: &Path) -> String {
    let bytes = std::fs::read(file).expect("it is read");
    let begins = String::from_utf8_lossy(&bytes[..bytes.len().min(24)]).into_owned();
    format!("{} ({begins:?})", file.file_name().expect("a name").display())
}

async fn is_named(world: &World, file: &Path, what: &str) {
    let checks = doctor::examine(&world.context).await;
    let name = file.file_name().expect("a name").to_string_lossy();
    let digest = name.split('.').next().expect("a digest");
    let content = checks.iter().find(|check| check.name == "content");
    let content = content.expect("the doctor looks at the content");
    if name.contains('.') {
        // A derived form can be made again from its file; the doctor only has to name what cannot.
        return;
    }
    assert_eq!(content.state, Wellness::Failed, "{what}: {content:?}");
    assert!(content.sentence.contains(digest), "{what}: {content:?}");
    assert!(!content.next_step.is_empty());
}
