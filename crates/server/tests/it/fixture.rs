//! The database of the first version, kept as it was made: every later version opens it, brings it up to date and reads it.
//! `PATCHYARD_NEW_FIXTURE=1 cargo test -p server --test it fixture` makes it anew, which only the version that it is of may.

use crate::api::Front;
use crate::api::people::{first_administrator, session};
use crate::faults::story::Upstream;
use crate::rollout::rows::{self, Signed};
use crate::world::World;
use domain::digest::Sha256Digest;
use domain::id::{BackupId, HostId};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use jiff::SignedDuration;
use serde_json::json;
use std::fs::{self, Permissions};
use std::io::Cursor;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use store::acquisition::{self, Acquisition, Scan, ScanState};
use store::backup_log::{self, BackupOutcome};
use store::channel_match::{self, ChannelMatch};
use store::deployment::Intent;
use store::host_change::{ChangeAction, ChangedBy, HostChange};
use store::rollout_change::ChangeState;
use store::{Db, OpenError, Url, Whole, host_change, shape};

/// What to do where the fixture does not fit.
const MAKE: &str = "the schema differs from the fixture's: as long as that version is not released, make it anew with \
    PATCHYARD_NEW_FIXTURE=1 cargo test -p server --test it fixture; afterwards no step may change";
/// No fixture is larger, in bytes.
const LARGEST: usize = 256 << 10;

fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/first-version.tar.gz")
}

/// The data directory of the fixture, unpacked.
fn unpacked(folder: &Path) -> PathBuf {
    let packed = fs::read(kept()).unwrap_or_else(|error| panic!("{error}: {MAKE}"));
    tar::Archive::new(GzDecoder::new(Cursor::new(packed)))
        .unpack(folder)
        .expect("an archive");
    // The archive keeps no modes, so that it is the same whoever made it.
    let data = folder.join("data");
    let keys = data.join("keys");
    let sealed = fs::read_dir(&keys)
        .expect("keys")
        .flatten()
        .map(|entry| entry.path());
    for (path, mode) in sealed
        .map(|path| (path, 0o600))
        .chain([(keys.clone(), 0o700), (data.clone(), 0o700)])
    {
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("chmod");
    }
    data
}

/// Lives long enough that every table has rows.
async fn live(folder: &Path) {
    let world = World::in_folder(folder).await;
    let upstream = Upstream::start(folder);
    upstream.publish(world.now(), &[("hello", "1.0-2"), ("plain", "2.0-1")]);
    let mut agent = world.agent(1).await;
    upstream.report(&world, &mut agent, &[("hello", "1.0-1")]).await;
    world.run("assess").await;
    world.adopt_sources().await;
    world.run("sync").await;
    world.run("assess").await;
    world.pass(SignedDuration::from_mins(5));
    agent.checks_in(&world, &[]).await.expect("a second check-in");
    server::agents::flush(&world.context).await.expect("written");
    let host = agent.host;
    let front = Front::of(world);
    people(&front).await;
    let front = host_of(front, host).await;
    for work in ["seal-audit", "note-storage", "assess"] {
        front.world.run(work).await;
    }
    front.world.context.db.close().await;
}

/// A person with a second factor and a session; another who is invited; a token, a role and a tenant.
async fn people(front: &Front) {
    let secret = first_administrator(front).await;
    session(front, "ada", &secret).await;
    for (path, body) in [
        ("/api/v1/tenants".to_owned(), json!({ "name": "second" })),
        (
            front.in_tenant("roles"),
            json!({ "name": "watchers", "permissions": ["read:host"] }),
        ),
        (
            front.in_tenant("tokens"),
            json!({ "name": "monitoring", "permissions": ["read:host"] }),
        ),
        (
            front.in_tenant("enrolment-tokens"),
            json!({ "site": front.world.site.to_string() }),
        ),
        (
            front.in_tenant("users"),
            json!({ "name": "grace", "display_name": "Grace" }),
        ),
    ] {
        let made = front.post(path.clone(), body).await;
        assert!(made.status.is_success(), "{path}: {}", made.text);
    }
}

/// What agents of later versions, or hosts that live longer, have.
async fn host_of(front: Front, host: HostId) -> Front {
    let (scope, now, row) = (
        front.world.scope(),
        front.world.now(),
        front.world.host(host).await,
    );
    let (version, config) = (row.version, row.channel_config.expect("it reported one"));
    let source = front.world.sources().await.remove(0);
    let meant = ChannelMatch {
        stanza: 0,
        owner: source.owner,
        source: source.id,
    };
    let file = Acquisition {
        owner: source.owner,
        source: source.id,
        digest: Sha256Digest([5; 32]),
        size_bytes: 1,
        place: "pool/hello/hello_1.0-2_amd64.deb".to_owned(),
        release: Sha256Digest([6; 32]),
        signed_by: "[]".to_owned(),
        acquired_at: now,
    };
    let scan = Scan {
        digest: file.digest,
        state: ScanState::Clean,
        detail: String::new(),
        engine: "ClamAV 1.0.7/27500".to_owned(),
        scanned_at: now,
    };
    let written = front.world.context.db.write(move |tx| {
        let _tagged = store::host::set_tags(tx, &scope, host, version, &["role=web".to_owned()])?;
        let change = HostChange {
            observed_at: now,
            received_at: now,
            action: ChangeAction::Installed,
            package: "hello".to_owned(),
            architecture: "amd64".to_owned(),
            version_before: None,
            version_after: Some("1.0-1".to_owned()),
            changed_by: ChangedBy::Person,
            detail: String::new(),
        };
        host_change::note(tx, &scope, host, &[change])?;
        let (whole, backup) = (Whole::server(), BackupId([4; 16]));
        backup_log::begin(tx, &whole, backup, "asked for", "/srv/backups/first", now)?;
        backup_log::end(tx, &whole, backup, BackupOutcome::Complete, 1, None, now)?;
        channel_match::set(tx, &scope, config, std::slice::from_ref(&meant))?;
        acquisition::note(tx, &whole, std::slice::from_ref(&file))?;
        acquisition::note_scan(tx, &whole, &scan)?;
        store::session::make_link(
            tx,
            &Whole::server(),
            [3; 32],
            None,
            now,
            now + SignedDuration::from_hours(999_999),
        )?;
        Ok(())
    });
    written.await.expect("written");
    let (state, intent) = (ChangeState::Running, Intent::Cancelled);
    rows::a_change(&front.world, host, state, intent, Signed::Yes).await;
    front
}

/// Packs what makes a server what it is.
fn pack(data: &Path) -> Vec<u8> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::best()));
    archive.mode(tar::HeaderMode::Deterministic);
    for part in ["patchyard.db", "keys", "content"] {
        let (path, name) = (data.join(part), format!("data/{part}"));
        let packed = match path.is_dir() {
            true => archive.append_dir_all(name, path),
            false => archive.append_path_with_name(path, name),
        };
        packed.expect("packed");
    }
    archive.into_inner().and_then(GzEncoder::finish).expect("packed")
}

/// Tables without a row.
async fn empty_tables(db: &Db) -> Vec<String> {
    let counts = db.read(shape::row_counts).await.expect("counts");
    counts
        .into_iter()
        .filter(|(_, rows)| *rows == 0)
        .map(|(table, _)| table)
        .collect()
}

#[expect(clippy::disallowed_methods, reason = "a test is an edge")]
fn is_to_be_made() -> bool {
    std::env::var("PATCHYARD_NEW_FIXTURE").as_deref() == Ok("1")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fixture_can_be_made_and_has_rows_in_every_table() {
    let folder = tempfile::tempdir().expect("a folder");
    live(folder.path()).await;
    let data = folder.path().join("data");
    let packed = pack(&data);
    assert!(packed.len() <= LARGEST, "{} bytes", packed.len());
    let url = Url::from(data.join("patchyard.db").as_path());
    let db = Db::open_as_it_is(&url)
        .await
        .expect("open")
        .expect("today's schema");
    assert_eq!(empty_tables(&db).await, [""; 0]);
    db.close().await;
    if is_to_be_made() {
        fs::create_dir_all(kept().parent().expect("a folder")).expect("a folder");
        fs::write(kept(), packed).expect("written");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_of_the_first_version_is_opened_brought_up_to_date_and_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = unpacked(folder.path());
    let url = Url::from(data.join("patchyard.db").as_path());
    let as_it_was = Db::open_as_it_is(&url).await.expect("open");
    let as_it_was = as_it_was.expect("a schema that is known");
    assert_eq!(empty_tables(&as_it_was).await, [""; 0], "{MAKE}");
    as_it_was.close().await;
    match Db::open(&url, jiff::Timestamp::UNIX_EPOCH).await {
        Err(OpenError::Altered { .. }) => panic!("{MAKE}"),
        opened => opened.expect("brought up to date").close().await,
    }
    let front = Front::of(World::left_in(folder.path()).await);
    let damage = front.world.context.db.read(shape::damage).await;
    assert_eq!(damage.expect("a look"), [""; 0]);

    let tenants = front.get("/api/v1/tenants").await.json();
    assert_eq!(tenants["items"].as_array().map(Vec::len), Some(2));
    let hosts = front.get(front.in_tenant("hosts")).await.json();
    let host = &hosts["items"][0];
    assert_eq!(
        (&host["standing"], &host["missing"]),
        (&json!("updates_missing"), &json!(1)),
        "{hosts}"
    );
    let id = host["id"].as_str().expect("an id");
    let findings = front.get(front.in_tenant(&format!("hosts/{id}/findings"))).await;
    assert_eq!(findings.status, 200, "{}", findings.text);
    assert!(
        findings.text.contains("hello") && findings.text.contains("1.0-2"),
        "{}",
        findings.text
    );
    let sources = front.get(front.in_tenant("sources")).await;
    assert!(sources.text.contains("adopted"), "{}", sources.text);
    let audit = front.get("/api/v1/audit-records").await;
    assert_eq!(audit.status, 200, "{}", audit.text);
    let ada = front.get("/api/v1/users").await;
    assert!(ada.text.contains("\"ada\""), "{}", ada.text);
    // What is sealed still opens: the authority is the one that agents know.
    front.world.run("assess").await;
    let missing = front.world.missing(None).await;
    assert_eq!(missing.len(), 1, "{missing:?}");
}
