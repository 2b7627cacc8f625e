//! The root authority changes under a fleet: real sessions of agents, over real TLS as agents verify it. Who was there learns the
//! next root ahead of time, who was away comes back by the former one's word, and who was away too long is told so.

use agent::session::{Effect, Event, Phase};
use agent::transport::{Pins, Transport, TransportSettings};
use domain::id::{EnrolmentTokenId, SiteId, TenantId};
use jiff::{SignedDuration, Timestamp};
use protocol::address::ServerAddress;
use protocol::token::EnrolmentToken;
use rand::SeedableRng;
use rand::rngs::StdRng;
use server::Settings;
use server::app::authority::{self, RetireRequest, SwitchRequest};
use server::app::caller::Caller;
use server::app::change::Once;
use server::authority::OtherRoot;
use server::clock::{Clock as _, SystemClock};
use server::start::{Running, Server};
use simulation::computer::Computer;
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;
use store::enrolment_token::{Admits, NewEnrolmentToken};
use store::{Scope, Whole};

const TENANT: TenantId = TenantId([1; 16]);
const SITE: SiteId = SiteId([2; 16]);

async fn started(folder: &Path) -> Running {
    let mut settings = Settings::defaults_in(&folder.join("data"));
    settings.file.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    settings.file.hold_seconds = 0;
    Server::start(settings).await.expect("the server starts")
}

async fn add_place(running: &Running) {
    let now = SystemClock.now();
    let added = running.context().db.write(move |tx| {
        store::tenant::create(tx, &Whole::server(), TENANT, "main", now)?;
        store::site::create(tx, &Scope::of_tenant(TENANT), SITE, "main", now)
    });
    added.await.expect("the tenant is new");
}

async fn token(running: &Running, number: u8) -> EnrolmentToken {
    let (secret, now) = ([number; 16], SystemClock.now());
    let expires_at = now + SignedDuration::from_hours(1);
    let new = NewEnrolmentToken {
        id: EnrolmentTokenId(secret),
        secret_hash: EnrolmentToken::secret_digest(&secret).0,
        site: SITE,
        name: "test".to_owned(),
        admits: Admits::Active,
        uses: 1,
        made_by: None,
        expires_at,
    };
    let scope = Scope::of_tenant(TENANT);
    let made = running
        .context()
        .db
        .write(move |tx| store::enrolment_token::create(tx, &scope, &new, now));
    made.await.expect("the token is made");
    EnrolmentToken {
        addresses: vec![address(running)],
        authority: running.context().authority.root_digest(),
        secret,
        site: "main".to_owned(),
        package: None,
        expires: expires_at,
    }
}

fn address(running: &Running) -> ServerAddress {
    let text = format!("localhost:{}", running.address().port());
    text.parse().expect("an address")
}

/// A host whose agent speaks over real connections.
struct Host {
    computer: Computer,
    chance: StdRng,
}

impl Host {
    fn new(seed: u64) -> Self {
        let mut chance = StdRng::seed_from_u64(seed);
        let computer = Computer::new(format!("host-{seed}"), Some([7; 16]), now(), &mut chance);
        Self { computer, chance }
    }

    async fn enrolled(seed: u64, running: &Running) -> Self {
        let mut host = Self::new(seed);
        let token = token(running, u8::try_from(seed).expect("small")).await;
        host.enrols(token).await.expect("it is let in");
        host
    }

    async fn enrols(&mut self, token: EnrolmentToken) -> Result<(), String> {
        let look = self.computer.look(now());
        self.round(Event::Enrol(token, look)).await
    }

    /// A whole round, as the process makes one every few minutes; what stood in the way, if anything did.
    async fn checks_in(&mut self) -> Result<(), String> {
        let look = self.computer.look(now());
        self.round(Event::Wake(look)).await
    }

    async fn round(&mut self, event: Event) -> Result<(), String> {
        let mut effects: VecDeque<Effect> = self.computer.step(event, now(), &mut self.chance).into();
        let mut outcome = Ok(());
        while let Some(effect) = effects.pop_front() {
            let more = match effect {
                Effect::Send { to, envelope, .. } => match self.exchange(&to, envelope).await {
                    Ok(answer) => self.computer.step(Event::Answer(answer), now(), &mut self.chance),
                    Err(error) => {
                        outcome = Err(error);
                        self.computer.failed(now(), &mut self.chance)
                    }
                },
                Effect::Upload(wanted) => self.computer.upload(wanted, now(), &mut self.chance),
                // Nobody gives orders here.
                Effect::Ask(_) | Effect::Ring | Effect::Fetch { .. } => continue,
                Effect::Save | Effect::Reconnect | Effect::Sleep(_) | Effect::Rest | Effect::Say(_) => {
                    continue;
                }
            };
            effects.extend(more);
        }
        match (outcome, self.computer.trouble()) {
            (Ok(()), Some(trouble)) => Err(trouble),
            (outcome, _) => outcome,
        }
    }

    async fn exchange(&self, to: &ServerAddress, envelope: Vec<u8>) -> Result<Vec<u8>, String> {
        let (pins, to) = (Pins(self.computer.journal.pins.clone()), to.to_string());
        let exchanged = tokio::task::spawn_blocking(move || {
            let transport = Transport::new(TransportSettings::default(), &pins, None).expect("settings fit");
            transport
                .exchange(&to, &envelope, now(), Duration::ZERO)
                .map_err(|error| error.to_string())
        });
        exchanged.await.expect("it does not panic")
    }

    fn pins(&self) -> usize {
        self.computer.journal.pins.len()
    }

    fn id(&self) -> String {
        match &self.computer.journal.phase {
            Phase::Enrolled { host, .. } => host.to_string(),
            other => panic!("not enrolled: {other:?}"),
        }
    }
}

fn now() -> Timestamp {
    SystemClock.now()
}

fn once(key: &str) -> Once {
    Once {
        key: key.to_owned(),
        request: protocol::sha256(key.as_bytes()).0,
    }
}

async fn prepare(running: &Running) -> String {
    let context = running.context();
    authority::prepare(context, &Caller::local(), once("prepare"))
        .await
        .expect("prepared");
    match context.authority.roots_shown().other {
        OtherRoot::Next { digest, .. } => digest.to_string(),
        other => panic!("{other:?}"),
    }
}

async fn switch(running: &Running, to: String) {
    authority::switch(
        running.context(),
        &Caller::local(),
        once("switch"),
        SwitchRequest { to },
    )
    .await
    .expect("switched");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_follow_a_change_of_the_root_authority_whether_they_were_there_or_away() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let running = started(folder.path()).await;
    add_place(&running).await;
    let mut there = Host::enrolled(1, &running).await;
    let mut away = Host::enrolled(2, &running).await;
    let mut away_too_long = Host::enrolled(3, &running).await;
    let old_token = token(&running, 4).await;
    let old = running.context().authority.root_digest();
    let next = prepare(&running).await;
    assert_eq!(there.pins(), 1);
    there.checks_in().await.expect("it is served");
    assert_eq!(there.pins(), 2, "it knows the next root ahead of time");
    let shown = authority::show(running.context()).await.expect("shown");
    assert_eq!(shown.hosts_behind, Some(2));

    switch(&running, next.clone()).await;
    assert_eq!(running.context().authority.root_digest().to_string(), next);
    there.checks_in().await.expect("it is served by the new root");
    assert_eq!(away.pins(), 1);
    let before = away.id();
    away.checks_in()
        .await
        .expect("the former root's word leads it back");
    assert_eq!(away.id(), before, "as the host that it was");
    assert_eq!(away.computer.journal.pins[0].to_string(), next);
    let mut late = Host::new(4);
    late.enrols(old_token)
        .await
        .expect("a token that pins the former root is good");
    let new_token = token(&running, 5).await;
    let mut new = Host::new(5);
    new.enrols(new_token)
        .await
        .expect("and so is one that pins the new one");

    let shown = authority::show(running.context()).await.expect("shown");
    assert_eq!(shown.hosts_behind, Some(1), "one is still away");
    let retire = async |key: &str, leaves_behind| {
        let wanted = RetireRequest { leaves_behind };
        authority::retire(running.context(), &Caller::local(), once(key), wanted).await
    };
    let refused = retire("retire", 0).await.map(drop);
    let words = refused.expect_err("one host would be lost").to_string();
    assert!(words.starts_with("1 hosts know only the former root"), "{words}");
    retire("retire, and say so", 1).await.expect("retired");
    for host in [&mut there, &mut away, &mut late, &mut new] {
        host.checks_in().await.expect("it knows the new root");
    }
    there.checks_in().await.expect("once more");
    assert_eq!(there.pins(), 1, "the former root is forgotten");
    assert!(!there.computer.journal.pins.contains(&old));
    let lost = away_too_long
        .checks_in()
        .await
        .expect_err("it knows only the former root");
    assert!(lost.contains("another server"), "{lost}");
    let again = token(&running, 6).await;
    away_too_long
        .computer
        .reimage(now(), &mut StdRng::seed_from_u64(33));
    away_too_long
        .enrols(again)
        .await
        .expect("a new token brings it back");
    running.stop().await.expect("it ends cleanly");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_killed_between_the_decision_and_the_switch_completes_it_at_its_next_start() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let running = started(folder.path()).await;
    add_place(&running).await;
    let mut host = Host::enrolled(1, &running).await;
    let next = prepare(&running).await;
    let data = folder.path().join("data");
    let keys_before = folder.path().join("keys");
    copy(&data.join("keys"), &keys_before);
    switch(&running, next.clone()).await;
    running.stop().await.expect("it ends");
    // The decision is in the database; of the keys everything is as it was before.
    std::fs::remove_dir_all(data.join("keys")).expect("removed");
    std::fs::rename(&keys_before, data.join("keys")).expect("put back");
    let running = started(folder.path()).await;
    authority::settle(running.context()).await.expect("settled");
    assert_eq!(running.context().authority.root_digest().to_string(), next);
    host.computer.journal.addresses = vec![address(&running)];
    host.computer.journal.good_address = None;
    host.computer.start_process();
    host.checks_in().await.expect("it comes back");
    running.stop().await.expect("it ends cleanly");
}

fn copy(from: &Path, to: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::create_dir(to).expect("a folder");
    std::fs::set_permissions(to, std::fs::Permissions::from_mode(0o700)).expect("private");
    for entry in std::fs::read_dir(from).expect("a folder").flatten() {
        std::fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
    }
}
