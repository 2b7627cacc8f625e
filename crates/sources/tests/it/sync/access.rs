//! Archives that do not let everybody in: what opens them is shown to them alone.

use super::world::{INRELEASE, World, adopted, day, failure, now};
use sources::apt::fetch::access::{Access, AccessError, Secrets};
use sources::apt::fetch::local::LocalFiles;
use sources::apt::fetch::{FetchConfig, FetchLimits};
use sources::apt::sync::{Outcome, SourceRequest, SyncRequest, look, sync};
use sources::apt::targets::merge;
use std::error::Error;
use std::time::Duration;
use testkit::server::private::Certificates;
use testkit::server::{Lie, Private, Server};

const USER: &str = "ada";
const PASSWORD: &str = "p@ss:wörd /?#";

/// The archives of a world behind another door.
struct Closed {
    world: World,
    private: Private,
    server: Server,
}

impl Closed {
    fn new(certificates: Certificates) -> Self {
        let world = World::new();
        let private = Private::new(certificates)
            .expect("certificates")
            .with_login(USER, PASSWORD);
        let server = Server::start_private(world.tree.path(), &private).expect("a server");
        Self {
            world,
            private,
            server,
        }
    }

    /// All that opens it.
    fn secrets(&self) -> Secrets<'_> {
        Secrets {
            login: Some((USER, PASSWORD)),
            certificate: Some((&self.private.certificate_pem, &self.private.key_pem)),
            authorities: Some(&self.private.authority_pem),
        }
    }

    fn access(&self, secrets: Secrets<'_>) -> Option<Access> {
        Some(Access::new(&self.server.uri(), secrets).expect("it opens an archive"))
    }

    fn sync(&self, access: Option<Access>) -> Outcome {
        self.sync_with(FetchConfig {
            access,
            ..self.world.config()
        })
    }

    fn sync_with(&self, fetch: FetchConfig) -> Outcome {
        let stanzas = [super::world::stanza(&self.server.uri(), "one")];
        let keyring = self.world.keyring();
        let request = SyncRequest {
            sources: merge(&stanzas)
                .into_iter()
                .map(|source| SourceRequest {
                    source,
                    keyring: &keyring,
                })
                .collect(),
            settings: &self.world.settings,
            fetch: FetchConfig {
                limits: FetchLimits {
                    connect: Duration::from_secs(5),
                    ..fetch.limits
                },
                ..fetch
            },
        };
        sync(&request, &self.world.store(), now()).remove(0).outcome
    }
}

#[test]
fn a_private_archive_opens_to_all_that_it_asks_for_together_and_to_nothing_less() {
    let closed = Closed::new(Certificates::Asked);
    let all = closed.secrets();
    for (what, less) in [
        ("the login", Secrets { login: None, ..all }),
        (
            "the certificate",
            Secrets {
                certificate: None,
                ..all
            },
        ),
        (
            "the authority",
            Secrets {
                authorities: None,
                ..all
            },
        ),
        (
            "the right password",
            Secrets {
                login: Some((USER, "wrong")),
                ..all
            },
        ),
    ] {
        let refused = failure(closed.sync(closed.access(less)));
        assert!(
            !refused.contains(PASSWORD) && !refused.contains("wrong"),
            "{refused}"
        );
        assert!(
            closed
                .server
                .requests()
                .iter()
                .all(|request| request.status != 200),
            "opened without {what}"
        );
    }
    failure(closed.sync(None));
    let snapshot = adopted(closed.sync(closed.access(all)));
    assert_eq!(snapshot.indexes.len(), 1);
}

#[test]
fn nothing_that_opens_an_archive_is_shown_to_whom_it_redirects_to() {
    let closed = Closed::new(Certificates::NotAsked);
    let other = Closed::new(Certificates::NotAsked);
    closed.server.lie(
        INRELEASE,
        Lie::Redirect(format!("{}{INRELEASE}", other.server.uri())),
    );
    // The other one is believed by the computer's own authorities, so that it is really asked.
    let bundle = other.world.tree.path().join("bundle.pem");
    std::fs::write(&bundle, &other.private.authority_pem).expect("a file");
    let config = FetchConfig {
        access: closed.access(closed.secrets()),
        authorities: Some(bundle.to_str().expect("a plain path").to_owned()),
        files: LocalFiles::default(),
        ..closed.world.config()
    };
    let refused = failure(closed.sync_with(config));
    assert!(refused.contains("401"), "{refused}");
    let own = closed.server.requests();
    assert!(
        own.iter().all(|request| request.authorization.is_some()),
        "{own:?}"
    );
    let asked = other.server.requests();
    assert!(!asked.is_empty(), "nobody was redirected");
    assert!(
        asked.iter().all(|request| request.authorization.is_none()),
        "{asked:?}"
    );
}

#[test]
fn what_cannot_open_an_archive_is_refused_and_not_repeated() {
    let private = Private::new(Certificates::Asked).expect("certificates");
    let stranger = Private::new(Certificates::Asked).expect("certificates");
    let secret = "s3cret-s3cret";
    let login = |user: &'static str, password: &'static str| Secrets {
        login: Some((user, password)),
        ..Secrets::default()
    };
    let certificate = |certificate, key| Secrets {
        certificate: Some((certificate, key)),
        ..Secrets::default()
    };
    let long = "x".repeat(70_000);
    let here = "https://archive.example/debian/";
    for (uri, secrets) in [
        ("http://archive.example/debian/", login("ada", secret)),
        ("file:/srv/debian/", login("ada", secret)),
        (here, login("", secret)),
        (here, login("a:b", secret)),
        (here, login("ada", "s3cret-s3cret\r\nHost: evil.example")),
        (here, certificate(secret, &private.key_pem)),
        (here, certificate(&private.certificate_pem, secret)),
        (here, certificate(&private.certificate_pem, &stranger.key_pem)),
        (here, certificate(&private.key_pem, &private.certificate_pem)),
        (here, certificate(&long, &private.key_pem)),
        (
            here,
            Secrets {
                authorities: Some(secret),
                ..Secrets::default()
            },
        ),
    ] {
        let error = Access::new(uri, secrets).expect_err("it opens nothing");
        let mut told = format!("{error} {error:?}");
        let mut cause = error.source();
        while let Some(error) = cause {
            told += &error.to_string();
            cause = error.source();
        }
        assert!(!told.contains(secret) && !told.contains("PRIVATE"), "{told}");
    }
    let in_the_clear = Access::new("http://archive.example/", Secrets::default());
    assert!(matches!(in_the_clear, Err(AccessError::InTheClear { .. })));
    let good = Access::new(here, login("ada", secret)).expect("a login");
    assert!(!format!("{good:?}").contains(secret));
}

#[test]
fn a_look_verifies_the_release_file_and_adopts_nothing() {
    let world = World::new();
    let keyring = world.keyring();
    let look_at = |suite: &str| {
        let stanzas = [world.stanza(suite)];
        let source = SourceRequest {
            source: merge(&stanzas).remove(0),
            keyring: &keyring,
        };
        look(&source, world.config(), &world.store(), now())
    };
    let facts = look_at("one").expect("it is verified");
    assert_eq!(facts.suite.as_deref(), Some("one"));
    assert_eq!(facts.date, Some(day(0)));
    assert!(world.current("one").is_none(), "nothing is in force");
    look_at("none").expect_err("there is no such suite");
    world.server.lie(INRELEASE, Lie::Tampered(200));
    look_at("one").expect_err("the signature does not hold");
}
