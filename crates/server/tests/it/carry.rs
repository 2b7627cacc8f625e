//! Index files that only a host reaches: asked for, carried in pieces over a broken link, and whole or not there at all.

use crate::world::{Agent, World};
use domain::digest::Sha256Digest;
use domain::id::SourceId;
use protocol::document::DocumentKind;
use protocol::message::check_in::{CarriedFile, CarriedSource, CheckedIn};
use protocol::message::documents::{DocumentsTaken, Form, Part, WhyRefused};
use store::source::{self, NewSource, SourceEdit, SourceKind, SourceState};

const URI: &str = "http://inside.example/debian/";

/// Adopts a source that agents are to carry.
async fn adopt(world: &World) {
    let new = NewSource {
        id: SourceId([5; 16]),
        identity: "{}".to_owned(),
        identity_digest: Sha256Digest([5; 32]),
        edit: SourceEdit {
            kind: SourceKind::Carried,
            state: SourceState::Adopted,
            name: "inside".to_owned(),
            addresses: format!(r#"{{"places":[{{"uri":"{URI}","suite":"stable"}}],"key_files":[]}}"#),
            components: "[]".to_owned(),
            architectures: "[]".to_owned(),
            schedule: "{}".to_owned(),
            credentials_sealed: None,
            next_sync_at: None,
        },
    };
    let (scope, now) = (world.scope(), world.now());
    let added = world
        .context
        .db
        .write(move |tx| source::create(tx, &scope, &new, now));
    assert!(added.await.expect("the database answers"));
}

fn carried(bytes: &[u8]) -> CarriedFile {
    CarriedFile {
        source: CarriedSource {
            uri: URI.to_owned(),
            suite: "stable".to_owned(),
        },
        path: "InRelease".to_owned(),
        digest: protocol::sha256(bytes),
        size_bytes: bytes.len() as u64,
    }
}

async fn offers(agent: &mut Agent, world: &World, file: &CarriedFile) -> CheckedIn {
    let mut message = agent.check_in(world, &[]);
    message.carried = vec![file.clone()];
    agent.sends(world, &message).await.expect("it is heard")
}

async fn sends(
    agent: &mut Agent,
    world: &World,
    file: &CarriedFile,
    piece: &[u8],
    offset: u64,
) -> DocumentsTaken {
    let part = Part {
        kind: DocumentKind::IndexFile,
        digest: file.digest,
        size_bytes: piece.len() as u64,
        form: Form::Piece {
            offset,
            total_bytes: file.size_bytes,
        },
    };
    agent
        .hands_over(world, &[(part, piece.to_vec())])
        .await
        .expect("it is judged")
}

#[tokio::test]
async fn a_file_is_carried_in_pieces_and_goes_on_where_it_broke_off() {
    let world = World::new().await;
    adopt(&world).await;
    let mut agent = world.agent(1).await;
    let bytes = vec![b'x'; 1000];
    let file = carried(&bytes);
    let checked = offers(&mut agent, &world, &file).await;
    assert_eq!(checked.carry, std::slice::from_ref(&file.source));
    let wanted = checked
        .wanted
        .first()
        .map(|wanted| (wanted.digest, wanted.offset));
    assert_eq!(wanted, Some((file.digest, 0)));
    let taken = sends(&mut agent, &world, &file, &bytes[..400], 0).await;
    assert_eq!((taken.taken.len(), taken.wanted[0].offset), (0, 400));
    let again = sends(&mut agent, &world, &file, &bytes[..400], 0).await;
    assert_eq!(again.refused.len(), 1, "not the same piece twice");

    let world = world.killed_and_started().await;
    let checked = offers(&mut agent, &world, &file).await;
    assert_eq!(checked.wanted[0].offset, 400);
    let taken = sends(&mut agent, &world, &file, &bytes[400..], 400).await;
    assert_eq!(taken.taken, [file.digest]);
    assert!(world.context.content.contains(&file.digest));
    assert!(offers(&mut agent, &world, &file).await.wanted.is_empty());
}

#[tokio::test]
async fn a_file_that_is_another_or_of_a_source_that_nobody_asked_for_is_not_kept() {
    let world = World::new().await;
    let mut agent = world.agent(1).await;
    let file = carried(b"good");
    let checked = offers(&mut agent, &world, &file).await;
    assert!(checked.carry.is_empty() && checked.wanted.is_empty());
    let taken = sends(&mut agent, &world, &file, b"good", 0).await;
    assert_eq!(taken.refused[0].why, WhyRefused::Unasked);
    adopt(&world).await;
    world.pass(jiff::SignedDuration::from_secs(61));
    assert_eq!(offers(&mut agent, &world, &file).await.wanted.len(), 1);
    let taken = sends(&mut agent, &world, &file, b"evil", 0).await;
    assert_eq!(taken.refused[0].why, WhyRefused::Digest);
    assert!(!world.context.content.contains(&file.digest));
    assert_eq!(
        taken.wanted[0].offset, 0,
        "it is asked for again from its beginning"
    );
}
