//! Check-ins: whose is answered, whose is refused and why, and what holding one means.

use crate::world::{Agent, World, add_tenant, inventory, kind, peer, whole};
use domain::id::{SiteId, TenantId};
use jiff::SignedDuration;
use protocol::document::DocumentKind;
use protocol::link::Link;
use protocol::message::check_in::CheckedIn;
use protocol::message::documents::DocumentsTaken;
use protocol::message::refused::{RefusalKind, Refused};
use protocol::message::{Kind, Message};
use server::agents::{self, Begun};
use store::host::{HostState, NewHost};
use store::{Scope, Whole};

const DAY: SignedDuration = SignedDuration::from_hours(24);

#[tokio::test]
async fn the_same_request_again_is_answered_with_the_same_link_and_an_older_one_changes_nothing() {
    let world = World::new().await;
    let mut agent = world.agent(1).await;
    let body = agent.check_in(&world, &[]).to_body();
    let request = agent.seal(&world, Kind::CHECK_IN, &body);
    let first: CheckedIn = agent
        .read(&world, &request, &world.exchange(&request).await)
        .expect("it is answered");
    let again: CheckedIn = agent
        .read(&world, &request, &world.exchange(&request).await)
        .expect("it is answered again");
    assert_eq!(first.link, again.link);
    agent.link = first.link;
    agent.checks_in(&world, &[]).await.expect("the next one");
    let replayed = agent.read::<CheckedIn>(&world, &request, &world.exchange(&request).await);
    assert_eq!(kind(replayed), RefusalKind::Answered);
    agent
        .checks_in(&world, &[])
        .await
        .expect("a replay takes nothing from the agent");
}

#[tokio::test]
async fn a_link_of_another_host_or_of_nobody_is_refused_and_costs_its_owner_nothing() {
    let world = World::new().await;
    let (mut agent, mut other) = (world.agent(1).await, world.agent(2).await);
    let mut message = agent.check_in(&world, &[]);
    message.link = other.link;
    assert_eq!(kind(agent.sends(&world, &message).await), RefusalKind::Malformed);
    message.link = Link {
        count: 7,
        mac: [7; 16],
    };
    assert_eq!(kind(agent.sends(&world, &message).await), RefusalKind::Malformed);
    other
        .checks_in(&world, &[])
        .await
        .expect("its link is still good");
    agent.checks_in(&world, &[]).await.expect("so is the agent's own");
}

#[tokio::test]
async fn a_request_altered_at_any_byte_is_refused() {
    let world = World::new().await;
    let mut agent = world.agent(1).await;
    let body = agent.check_in(&world, &[]).to_body();
    let request = agent.seal(&world, Kind::CHECK_IN, &body);
    let key = world.context.authority.answers_key().verifying();
    for at in 0..request.len() {
        let mut altered = request.clone();
        altered[at] ^= 0x40;
        let answer = world.exchange(&altered).await;
        let unopened = protocol::envelope::Unopened::parse(&answer).expect("an envelope");
        let opened = unopened.open(&key).expect("signed");
        let refused: Refused = opened.message().expect("a refusal");
        let expected = match at {
            10..26 => RefusalKind::Unknown,
            _ => RefusalKind::Malformed,
        };
        let is_expected = refused.kind == expected || refused.kind == RefusalKind::TooLarge;
        assert!(is_expected, "byte {at}: {refused:?}");
    }
    let answer: CheckedIn = agent
        .read(&world, &request, &world.exchange(&request).await)
        .expect("unaltered it is answered");
    assert_eq!(answer.link.count, 2);
}

#[tokio::test]
async fn a_clock_off_by_more_than_ten_minutes_is_told_the_servers_time() {
    let world = World::new().await;
    let mut agent = world.agent(1).await;
    for (off, is_heard) in [
        (600, true),
        (-600, true),
        (601, false),
        (-601, false),
        (365 * 86_400, false),
    ] {
        agent.clock_off = SignedDuration::from_secs(off);
        let body = agent.check_in(&world, &[]).to_body();
        let request = agent.seal(&world, Kind::CHECK_IN, &body);
        let answer = world.exchange(&request).await;
        match agent.read::<CheckedIn>(&world, &request, &answer) {
            Ok(checked) => agent.link = checked.link,
            Err(refused) => assert_eq!(refused.kind, RefusalKind::Clock),
        }
        let sent_at = protocol::envelope::Unopened::parse(&answer).map(|unopened| unopened.header().sent_at);
        assert_eq!(sent_at, Ok(world.now()), "the answer tells the time");
        assert_eq!(
            agent.read::<CheckedIn>(&world, &request, &answer).is_ok(),
            is_heard,
            "{off} s"
        );
    }
}

#[tokio::test]
async fn a_server_whose_clock_steps_a_year_ahead_and_back_keeps_its_agents() {
    let world = World::new().await;
    let mut agent = world.agent(1).await;
    let now = world.now();
    world.clock.step_to(now + DAY * 365);
    assert_eq!(kind(agent.checks_in(&world, &[]).await), RefusalKind::Expired);
    agent.renews(&world).await.expect("it may renew");
    agent.checks_in(&world, &[]).await.expect("it goes on");
    world.clock.step_to(now);
    agent
        .checks_in(&world, &[])
        .await
        .expect("a certificate of the future is no fault of the agent's");
    world.clock.step_to(now - DAY * 365);
    agent
        .checks_in(&world, &[])
        .await
        .expect("nor is a server that is behind");
}

#[tokio::test]
async fn an_unknown_key_is_told_so_without_the_database_being_asked() {
    let world = World::new().await;
    world.context.db.close().await;
    let mut stranger = Agent::new(9);
    assert_eq!(kind(stranger.checks_in(&world, &[]).await), RefusalKind::Unknown);
}

#[tokio::test]
async fn retired_quarantined_and_too_old_agents_are_told_why() {
    let world = World::new().await;
    let mut agent = world.agent(1).await;
    world.set_state(agent.host, HostState::Quarantined).await;
    assert_eq!(kind(agent.checks_in(&world, &[]).await), RefusalKind::Quarantined);
    assert_eq!(kind(agent.renews(&world).await), RefusalKind::Quarantined);
    world.set_state(agent.host, HostState::Active).await;
    agent.checks_in(&world, &[]).await.expect("it was looked at");
    world.set_state(agent.host, HostState::Retired).await;
    assert_eq!(kind(agent.checks_in(&world, &[]).await), RefusalKind::Retired);
    assert_eq!(kind(agent.renews(&world).await), RefusalKind::Retired);
    let mut other = world.agent(2).await;
    other.version = "not a version".to_owned();
    assert_eq!(kind(other.checks_in(&world, &[]).await), RefusalKind::Malformed);
}

#[tokio::test]
async fn a_message_of_another_protocol_version_is_refused_for_that_alone() {
    let world = World::new().await;
    let mut agent = world.agent(1).await;
    agent.sequence += 1;
    let header = protocol::envelope::Header {
        protocol: protocol::VERSION + 1,
        ..protocol::envelope::Header::request(
            Kind::CHECK_IN,
            agent.sequence,
            domain::identity::Nonce([3; 16]),
            world.now(),
        )
    };
    let body = agent.check_in(&world, &[]).to_body();
    let request = protocol::envelope::Envelope::seal(&agent.key, header, &body).expect("within the limits");
    let refused = agent.read::<CheckedIn>(&world, &request, &world.exchange(&request).await);
    assert_eq!(kind(refused), RefusalKind::Version);
}

#[tokio::test]
async fn an_unchanged_check_in_takes_less_than_two_kibibytes_each_way_and_no_database() {
    let world = World::new().await;
    let mut agent = world.agent(1).await;
    let (_, bytes) = inventory(900);
    let document = whole(DocumentKind::Inventory, bytes);
    let named = [(DocumentKind::Inventory, document.0.digest)];
    let wanted = agent.checks_in(&world, &named).await.expect("it is heard").wanted;
    assert_eq!(wanted.len(), 1);
    agent.hands_over(&world, &[document]).await.expect("it is taken");
    agent.checks_in(&world, &named).await.expect("it is unchanged");
    world.context.db.close().await;
    let body = agent.check_in(&world, &named).to_body();
    let request = agent.seal(&world, Kind::CHECK_IN, &body);
    let answer = world.exchange(&request).await;
    let checked: CheckedIn = agent
        .read(&world, &request, &answer)
        .expect("no database is needed");
    assert!(checked.wanted.is_empty());
    assert!(
        request.len() <= 2048 && answer.len() <= 2048,
        "{} {}",
        request.len(),
        answer.len()
    );
}

#[tokio::test]
async fn signs_of_life_are_written_in_batches_and_survive_what_follows() {
    let world = World::new().await;
    let mut agent = world.agent(1).await;
    let mut message = agent.check_in(&world, &[]);
    message.troubles = vec!["the disk is full".to_owned()];
    message.mode = protocol::message::check_in::Mode::Install;
    agent.sends(&world, &message).await.expect("it is heard");
    let seen_at = world.now();
    agents::flush(&world.context).await.expect("it is written");
    let world = world.killed_and_started().await;
    let (scope, host) = (world.scope(), agent.host);
    let read = world
        .context
        .db
        .read(move |view| store::liveness::get(view, &scope, host));
    let sign = read.await.expect("the database answers").expect("it was seen");
    assert_eq!(sign.seen_at, seen_at);
    assert!(sign.measures.contains("the disk is full"), "{}", sign.measures);
    assert_eq!(world.host(host).await.mode, store::host::HostMode::Install);
}

#[tokio::test]
async fn wiped_caches_give_the_same_answers() {
    let world = World::new().await;
    let mut agent = world.agent(1).await;
    let (_, bytes) = inventory(3);
    let document = whole(DocumentKind::Inventory, bytes);
    let named = [(DocumentKind::Inventory, document.0.digest)];
    agent.checks_in(&world, &named).await.expect("it is heard");
    agent.hands_over(&world, &[document]).await.expect("it is taken");
    agent.checks_in(&world, &named).await.expect("it is unchanged");
    let body = agent.check_in(&world, &named).to_body();
    let request = agent.seal(&world, Kind::CHECK_IN, &body);
    let with: CheckedIn = agent
        .read(&world, &request, &world.exchange(&request).await)
        .expect("it is heard");
    agents::wipe(&world.context).await.expect("all is written");
    assert_eq!(world.context.agents.cached_hosts(), 0);
    let without: CheckedIn = agent
        .read(&world, &request, &world.exchange(&request).await)
        .expect("the same request again");
    assert_eq!((with.link, with.wanted), (without.link, without.wanted));
    let mut clone = agent.cloned(5);
    agent.link = without.link;
    agent.checks_in(&world, &named).await.expect("the chain went on");
    agents::wipe(&world.context).await.expect("all is written");
    assert_eq!(
        kind(clone.checks_in(&world, &named).await),
        RefusalKind::Superseded
    );
}

#[tokio::test]
async fn a_server_that_was_killed_takes_its_own_later_links_and_still_finds_the_copy() {
    let world = World::new().await;
    let mut agent = world.agent(1).await;
    let mut clone = agent.cloned(7);
    for _ in 0..5 {
        agent.checks_in(&world, &[]).await.expect("it checks in");
    }
    let world = world.killed_and_started().await;
    agent
        .checks_in(&world, &[])
        .await
        .expect("its link is later than what was written");
    assert_eq!(kind(clone.checks_in(&world, &[]).await), RefusalKind::Superseded);
}

#[tokio::test]
async fn a_held_check_in_is_answered_when_something_is_new_and_at_the_latest_when_its_time_is_over() {
    let world = World::new().await;
    let mut agent = world.agent(1).await;
    let mut message = agent.check_in(&world, &[]);
    message.hold_seconds = 55;
    for is_woken in [true, false] {
        message.link = agent.link;
        let request = agent.seal(&world, Kind::CHECK_IN, &message.to_body());
        let Begun::Held(held) = agents::begin(&world.context, &request, peer()).await else {
            panic!("there is nothing new");
        };
        assert_eq!(world.context.wake_ups.held(), 1);
        let context = world.context.clone();
        let answer = tokio::spawn(async move { held.finish(&context).await });
        tokio::task::yield_now().await;
        if is_woken {
            let address = "patchyard.example:8443".parse().expect("an address");
            agents::announce_addresses(&world.context, &[address]);
        } else {
            world.pass(SignedDuration::from_secs(54));
            tokio::task::yield_now().await;
            assert!(!answer.is_finished());
            world.pass(SignedDuration::from_secs(1));
        }
        let answer = answer.await.expect("it is answered");
        let checked: CheckedIn = agent.read(&world, &request, &answer).expect("it is heard");
        assert_eq!(checked.card.is_some(), is_woken, "the new card is what woke it");
        if let Some(card) = checked.card {
            message.card = protocol::sha256(&card.0);
            agent.card = message.card;
        }
        agent.link = checked.link;
        assert_eq!(world.context.wake_ups.held(), 0);
    }
}

#[tokio::test]
async fn a_host_that_is_retired_while_its_check_in_is_held_hears_it_at_once() {
    let world = World::new().await;
    let mut agent = world.agent(1).await;
    let mut message = agent.check_in(&world, &[]);
    message.hold_seconds = 55;
    let request = agent.seal(&world, Kind::CHECK_IN, &message.to_body());
    let Begun::Held(held) = agents::begin(&world.context, &request, peer()).await else {
        panic!("there is nothing new");
    };
    world.set_state(agent.host, HostState::Retired).await;
    let answer = held.finish(&world.context).await;
    assert_eq!(
        kind(agent.read::<CheckedIn>(&world, &request, &answer)),
        RefusalKind::Retired
    );
}

#[tokio::test]
async fn order_numbers_go_on_from_the_highest_that_an_agent_has_seen() {
    let world = World::new().await;
    let mut agent = world.agent(1).await;
    let mut message = agent.check_in(&world, &[]);
    message.highest_order = 41;
    agent.sends(&world, &message).await.expect("it is heard");
    let next = world
        .context
        .db
        .write(|tx| store::epoch::next_order_number(tx, &Whole::server()));
    assert_eq!(next.await.expect("the database answers"), Some(42));
}

#[tokio::test]
async fn bytes_that_are_no_request_get_a_refusal_and_no_panic() {
    let world = World::new().await;
    let mut agent = world.agent(1).await;
    let key = world.context.authority.answers_key().verifying();
    let body = agent.check_in(&world, &[]).to_body();
    let good = agent.seal(&world, Kind::CHECK_IN, &body);
    let mut requests: Vec<Vec<u8>> = (0..good.len())
        .step_by(7)
        .map(|end| good[..end].to_vec())
        .collect();
    for wrong in [
        Kind::CHECKED_IN,
        Kind::REFUSED,
        Kind(77),
        Kind::RENEW,
        Kind::ENROL,
    ] {
        requests.push(agent.seal(&world, wrong, &body));
    }
    let empty = protocol::envelope::Body::default();
    for kind in [Kind::CHECK_IN, Kind::DOCUMENTS, Kind::RENEW, Kind::ENROL] {
        requests.push(agent.seal(&world, kind, &empty));
    }
    for request in requests {
        let answer = world.exchange(&request).await;
        let unopened = protocol::envelope::Unopened::parse(&answer).expect("an envelope");
        let refused: Refused = unopened.open(&key).expect("signed").message().expect("a refusal");
        assert!(!refused.sentence.is_empty());
        assert_eq!(refused.kind, RefusalKind::Malformed);
    }
    agent
        .checks_in(&world, &[])
        .await
        .expect("nothing of it did harm");
}

#[tokio::test]
async fn documents_with_a_used_up_link_are_refused() {
    let world = World::new().await;
    let mut agent = world.agent(1).await;
    let stale = agent.link;
    agent.checks_in(&world, &[]).await.expect("it is heard");
    agent.link = stale;
    let refused: Result<DocumentsTaken, Refused> = agent.hands_over(&world, &[]).await;
    assert_eq!(kind(refused), RefusalKind::Busy);
}

#[tokio::test]
async fn a_host_that_was_moved_goes_on_in_its_new_tenant_and_the_old_one_keeps_its_history() {
    let world = World::new().await;
    let mut agent = world.agent(1).await;
    let (_, bytes) = inventory(3);
    let document = whole(DocumentKind::Inventory, bytes);
    let named = [(DocumentKind::Inventory, document.0.digest)];
    agent.checks_in(&world, &named).await.expect("it is heard");
    agent.hands_over(&world, &[document]).await.expect("it is taken");
    let (tenant, site) = (TenantId([7; 16]), SiteId([8; 16]));
    add_tenant(&world.context, tenant, site, "branch").await;
    let (from, to, id, now) = (world.scope(), Scope::of_tenant(tenant), agent.host, world.now());
    let row = world.host(id).await;
    let moved = world.context.db.write(move |tx| {
        let retired = store::host::set_state(tx, &from, id, row.version, HostState::Retired, now)?;
        assert!(retired.is_changed());
        let new = NewHost {
            id,
            name: row.name.clone(),
            site,
            state: HostState::Active,
            mode: row.mode,
            agent_version: row.agent_version.clone(),
            machine: row.machine,
            moved_from: Some(from.tenant()),
            copy_of: None,
        };
        store::host::create(tx, &to, &new, now)?;
        store::agent_key::hand_over(tx, &Whole::server(), id, from.tenant(), to.tenant())
    });
    assert_eq!(moved.await.expect("it is moved"), 1);
    for place in [world.tenant, tenant] {
        agents::refresh(&world.context, place, id)
            .await
            .expect("it is read again");
    }
    let checked = agent.checks_in(&world, &named).await.expect("it goes on");
    assert_eq!(
        checked.wanted.len(),
        1,
        "a new tenant has nothing of the old one's"
    );
    assert_eq!(
        world.history(id, store::document::DocumentKind::Inventory).await,
        [named[0].1]
    );
}
