//! Who is let in, as whom, and with which token.

use crate::world::{Agent, World, add_tenant, kind};
use domain::id::{SiteId, TenantId};
use jiff::SignedDuration;
use protocol::message::enrol::{Credential, Standing};
use protocol::message::refused::RefusalKind;
use protocol::message::{Kind, Message};
use store::enrolment_token::Admits;
use store::host::HostState;

#[tokio::test]
async fn a_host_with_a_token_gets_an_identity_that_the_pinned_root_vouches_for() {
    let world = World::new().await;
    let mut agent = Agent::new(1);
    let secret = world.token(1, Admits::Active).await;
    let enrolled = agent.enrol(&world, secret).await.expect("it is let in");
    assert_eq!(enrolled.standing, Standing::Active);
    assert_eq!(enrolled.site, "main");
    let host = world.host(agent.host).await;
    assert_eq!((host.state, host.host_no.0), (HostState::Active, 0));
    assert_eq!(host.name, "host.example");
    let mut second = world.agent(2).await;
    assert_eq!(world.host(second.host).await.host_no.0, 1);
    agent.checks_in(&world, &[]).await.expect("it may check in");
    second.checks_in(&world, &[]).await.expect("so may the other");
}

#[tokio::test]
async fn a_token_for_one_lets_one_of_two_racing_hosts_in() {
    let world = World::new().await;
    for round in 0..8_u8 {
        let secret = world.token(1, Admits::Active).await;
        let (mut one, mut other) = (Agent::new(10 + round), Agent::new(50 + round));
        let (first, second) = tokio::join!(one.enrol(&world, secret), other.enrol(&world, secret));
        let outcomes = [
            first.map(drop).map_err(|no| no.kind),
            second.map(drop).map_err(|no| no.kind),
        ];
        let refused = Err(RefusalKind::SpentToken);
        assert!(
            outcomes == [Ok(()), refused] || outcomes == [refused, Ok(())],
            "{outcomes:?}"
        );
    }
}

#[tokio::test]
async fn an_enrolment_whose_answer_was_lost_spends_no_second_use() {
    let world = World::new().await;
    let secret = world.token(1, Admits::Active).await;
    let mut agent = Agent::new(1);
    agent.enrol(&world, secret).await.expect("it is let in");
    let first = agent.host;
    agent.enrol(&world, secret).await.expect("it is told again");
    assert_eq!(agent.host, first);
    agent.checks_in(&world, &[]).await.expect("it goes on");
    let refused = agent.enrol(&world, secret).await;
    assert_eq!(
        kind(refused),
        RefusalKind::Malformed,
        "a key that is in use enrols no more"
    );
}

#[tokio::test]
async fn a_token_that_never_was_has_ended_was_revoked_or_is_for_another_site_lets_nobody_in() {
    let world = World::new().await;
    let mut agent = Agent::new(1);
    assert_eq!(kind(agent.enrol(&world, [9; 16]).await), RefusalKind::SpentToken);

    let secret = world.token(1, Admits::Active).await;
    let credential = Credential::Token {
        secret,
        site: "other".to_owned(),
    };
    assert_eq!(
        kind(agent.enrol_with(&world, credential).await),
        RefusalKind::WrongSite
    );

    let (scope, now) = (world.scope(), world.now());
    let id = domain::id::EnrolmentTokenId(secret);
    let revoked = world
        .context
        .db
        .write(move |tx| store::enrolment_token::revoke(tx, &scope, id, 1, now));
    assert!(revoked.await.expect("the database answers").is_changed());
    assert_eq!(kind(agent.enrol(&world, secret).await), RefusalKind::SpentToken);

    let late = world.token(1, Admits::Active).await;
    world.pass(SignedDuration::from_hours(25));
    assert_eq!(kind(agent.enrol(&world, late).await), RefusalKind::SpentToken);
    let scope = world.scope();
    let hosts = world
        .context
        .db
        .read(move |view| store::host::by_no(view, &scope, domain::assess::fleet::HostNo(0)))
        .await;
    assert_eq!(
        hosts.expect("the database answers"),
        None,
        "nothing of a refused enrolment is left"
    );
}

#[tokio::test]
async fn a_host_that_has_to_be_approved_checks_in_after_that_and_not_before() {
    let world = World::new().await;
    let secret = world.token(1, Admits::Pending).await;
    let mut agent = Agent::new(1);
    let enrolled = agent.enrol(&world, secret).await.expect("it is noted");
    assert_eq!(enrolled.standing, Standing::Pending);
    assert_eq!(kind(agent.checks_in(&world, &[]).await), RefusalKind::Pending);
    world.set_state(agent.host, HostState::Active).await;
    agent.checks_in(&world, &[]).await.expect("it was approved");
}

#[tokio::test]
async fn the_same_machine_again_keeps_its_host_and_its_old_key_stops() {
    let world = World::new().await;
    let mut before = world.agent(1).await;
    before.checks_in(&world, &[]).await.expect("it checks in");
    let mut again = Agent {
        bearer: before.bearer,
        machine: before.machine,
        ..Agent::new(2)
    };
    let secret = world.token(1, Admits::Active).await;
    again.enrol(&world, secret).await.expect("it is let in");
    assert_eq!(again.host, before.host);
    again.checks_in(&world, &[]).await.expect("it goes on");
    let refused = before.checks_in(&world, &[]).await;
    assert_eq!(kind(refused), RefusalKind::Superseded);
}

#[tokio::test]
async fn a_clone_that_enrols_with_a_token_takes_nobodys_identity_and_waits_for_a_person() {
    let world = World::new().await;
    let mut original = world.agent(1).await;
    original.checks_in(&world, &[]).await.expect("it checks in");
    let mut clone = Agent {
        machine: original.machine,
        ..Agent::new(2)
    };
    let secret = world.token(1, Admits::Active).await;
    let enrolled = clone.enrol(&world, secret).await.expect("it is noted");
    assert_eq!(enrolled.standing, Standing::Pending);
    assert_ne!(clone.host, original.host);
    assert_eq!(world.host(clone.host).await.copy_of, Some(original.host));
    original
        .checks_in(&world, &[])
        .await
        .expect("the original is not touched");
}

#[tokio::test]
async fn a_copy_that_checked_in_last_and_enrols_anew_leaves_the_host_to_its_original() {
    let world = World::new().await;
    let mut original = world.agent(1).await;
    original.checks_in(&world, &[]).await.expect("it checks in");
    let mut copy = original.cloned(2);
    // It starts with numbers that its disk had put aside.
    copy.sequence += 4_096;
    copy.checks_in(&world, &[]).await.expect("the original is away");
    let mut anew = Agent {
        bearer: copy.bearer,
        machine: original.machine,
        ..Agent::new(3)
    };
    let secret = world.token(1, Admits::Active).await;
    let enrolled = anew.enrol(&world, secret).await.expect("it is noted");
    assert_eq!(enrolled.standing, Standing::Pending);
    assert_eq!(world.host(anew.host).await.copy_of, Some(original.host));
    original
        .checks_in(&world, &[])
        .await
        .expect("the original comes back");
}

#[tokio::test]
async fn a_copy_with_the_old_key_becomes_a_pending_host_of_its_own() {
    let world = World::new().await;
    let mut original = world.agent(1).await;
    original.checks_in(&world, &[]).await.expect("it checks in");
    let mut copy = original.cloned(2);
    original
        .checks_in(&world, &[])
        .await
        .expect("the original is faster");
    assert_eq!(kind(copy.checks_in(&world, &[]).await), RefusalKind::Superseded);

    let mut renamed = Agent::new(3);
    let public = renamed.key.verifying().to_bytes();
    let forged = Credential::copy_of(original.host, &Agent::new(9).key, &public);
    assert_eq!(
        kind(renamed.enrol_with(&world, forged).await),
        RefusalKind::Unknown
    );
    let mut of_other = Credential::copy_of(original.host, &copy.key, &public);
    if let Credential::Copy { of, .. } = &mut of_other {
        *of = world.agent(4).await.host;
    }
    assert_eq!(
        kind(renamed.enrol_with(&world, of_other).await),
        RefusalKind::Malformed
    );
    let claim = Credential::copy_of(original.host, &copy.key, &public);
    let enrolled = renamed.enrol_with(&world, claim).await.expect("it is noted");
    assert_eq!(enrolled.standing, Standing::Pending);
    assert_eq!(world.host(renamed.host).await.copy_of, Some(original.host));
    original
        .checks_in(&world, &[])
        .await
        .expect("the original goes on");
}

#[tokio::test]
async fn an_enrolment_that_was_altered_or_signed_by_another_key_lets_nobody_in() {
    let world = World::new().await;
    let secret = world.token(1, Admits::Active).await;
    let (mut agent, other) = (Agent::new(1), Agent::new(2));
    let site = "main".to_owned();
    let mut message = agent.enrolment(Credential::Token { secret, site });
    let request = agent.seal(&world, Kind::ENROL, &message.to_body());
    for at in [100, request.len() - 2] {
        let mut altered = request.clone();
        altered[at] ^= 1;
        let answer = world.exchange(&altered).await;
        let refused = agent.read::<protocol::message::enrol::Enrolled>(&world, &altered, &answer);
        assert_eq!(kind(refused), RefusalKind::Malformed, "byte {at}");
    }
    message.public_key = other.key.verifying().to_bytes();
    let request = agent.seal(&world, Kind::ENROL, &message.to_body());
    let answer = world.exchange(&request).await;
    let refused = agent.read::<protocol::message::enrol::Enrolled>(&world, &request, &answer);
    assert_eq!(kind(refused), RefusalKind::Malformed);
    agent
        .enrol(&world, secret)
        .await
        .expect("the token was not spent");
}

#[tokio::test]
async fn a_token_of_one_tenant_admits_to_that_tenant_alone() {
    let world = World::new().await;
    let agent = world.agent(1).await;
    let (tenant, site) = (TenantId([7; 16]), SiteId([8; 16]));
    add_tenant(&world.context, tenant, site, "branch").await;
    let scope = store::Scope::of_tenant(tenant);
    let id = agent.host;
    let foreign = world
        .context
        .db
        .read(move |view| store::host::get(view, &scope, id));
    assert_eq!(foreign.await.expect("the database answers"), None);
}
