//! Whom the agent believes: only keys that the pinned authority vouches for, only the answer to its own request, and never an
//! older life of the server.

use super::server::Root;
use super::{Way, enrolled, id, stop, world};
use agent::session::{Effect, Event, next};
use protocol::envelope::{Envelope, Unopened};
use protocol::key::SigningKey;
use protocol::message::Kind;
use protocol::message::Message;
use protocol::message::enrol::introducing;
use protocol::message::refused::{RefusalKind, Refused};

fn retired() -> Refused {
    Refused {
        kind: RefusalKind::Retired,
        sentence: String::new(),
        retry_after_seconds: None,
    }
}

/// The request that the host sends when it wakes.
fn request(host: &mut super::Host, server: &super::Server) -> Vec<u8> {
    let moment = host.moment(server);
    let (session, effects) = next(host.session.clone(), Event::Wake(host.look()), &moment);
    host.session = session;
    host.journal = host.session.memory().clone();
    let sent = effects.into_iter().find_map(|effect| match effect {
        Effect::Send { envelope, .. } => Some(envelope),
        _ => None,
    });
    sent.expect("it checks in")
}

#[test]
fn an_answer_that_a_stranger_signed_changes_nothing() {
    let (mut server, mut host) = enrolled();
    let before = host.session.memory().phase.clone();
    let asked = Unopened::parse(&request(&mut host, &server))
        .expect("an envelope")
        .asked();
    let stranger = SigningKey::from_seed(&[66; 32]);
    let answer = asked.answer(Kind::REFUSED, server.now);
    let plain = Envelope::seal(&stranger, answer, &retired().to_body()).expect("small");
    let mut own = super::Server::new(server.now);
    own.root = Root::new(66);
    own.answers = SigningKey::from_seed(&[66; 32]);
    let introduced = Envelope::seal(&stranger, answer, &introducing(&retired(), &own.card())).expect("small");
    for forged in [plain, introduced, b"not an envelope".to_vec(), Vec::new()] {
        let event = Event::Answer(forged);
        host.happen(event, &mut server, &[]);
        assert_eq!(host.session.memory().phase, before);
        assert!(host.trouble().contains("is not believed"), "{}", host.trouble());
        request(&mut host, &server);
    }
    host.wake(&mut server);
    assert_eq!((stop(&host), host.trouble()), (None, String::new()));
}

#[test]
fn an_answer_to_another_request_is_not_taken() {
    let (mut server, mut host) = enrolled();
    let first = request(&mut host, &server);
    server.refuse_next = Some((RefusalKind::Retired, None));
    let old = server.answer(&first);
    // The same request again has the same name, so that its answer fits; another request's does not.
    host.wake(&mut server);
    request(&mut host, &server);
    host.happen(Event::Answer(old), &mut server, &[]);
    assert!(
        host.trouble().contains("answers another request"),
        "{}",
        host.trouble()
    );
    assert_eq!(stop(&host), None);
}

/// A copy of the disk has the host's key, and, made while a request is out, its nonce and number too. The server judges both;
/// who carries their answers must not be able to choose which of them is turned away.
#[test]
fn a_lying_relay_cannot_hand_a_copys_refusal_to_the_original() {
    let (mut server, mut original) = enrolled();
    original.wake_over(&mut server, &[Way::Cut]);
    let mut copy = original.copied(9);
    let asked = [request(&mut original, &server), request(&mut copy, &server)];
    let [own, copied] = asked.each_ref().map(|sent| {
        let envelope = Unopened::parse(sent).expect("an envelope");
        (
            envelope.key_id(),
            envelope.header().nonce,
            envelope.header().sequence,
        )
    });
    assert_eq!(own, copied, "by their names nobody tells the requests apart");
    server.refuse_next = Some((RefusalKind::Superseded, None));
    let to_the_copy = server.answer(&asked[1]);
    let before = original.session.memory().phase.clone();
    original.happen(Event::Answer(to_the_copy.clone()), &mut server, &[]);
    assert!(
        original.trouble().contains("answers another request"),
        "{}",
        original.trouble()
    );
    assert_eq!(original.session.memory().phase, before);
    // The refusal itself is good: whom it is for believes it.
    copy.happen(Event::Answer(to_the_copy), &mut server, &[Way::Cut]);
    assert_ne!(copy.session.memory().phase, before);
}

#[test]
fn an_answer_altered_at_any_byte_is_not_believed() {
    let (mut server, mut host) = enrolled();
    let sent = request(&mut host, &server);
    let answer = server.answer(&sent);
    let waiting = host.session.clone();
    for at in 0..answer.len() {
        let mut altered = answer.clone();
        altered[at] ^= 1;
        let moment = host.moment(&server);
        let (session, effects) = next(waiting.clone(), Event::Answer(altered), &moment);
        assert_eq!(session.memory(), waiting.memory(), "byte {at}");
        assert!(
            !effects.iter().any(|effect| matches!(effect, Effect::Save)),
            "byte {at}"
        );
    }
}

#[test]
fn a_server_that_is_not_the_one_of_the_token_cannot_enrol_the_host() {
    let (mut server, mut host) = world();
    let token = server.token();
    server.root = Root::new(9);
    host.happen(Event::Enrol(token, host.look()), &mut server, &[]);
    assert_eq!(host.session.memory().host(), None);
    assert!(
        host.trouble()
            .contains("not of the authority that this host was told to trust"),
        "{}",
        host.trouble()
    );
}

#[test]
fn the_next_authority_is_known_ahead_of_time_and_then_believed() {
    let (mut server, mut host) = enrolled();
    let own = id(&host);
    server.next_root = Some(Root::new(5));
    host.wake(&mut server);
    assert_eq!(host.session.memory().pins.len(), 2);
    // The next one takes over; the answers key is another, which the card in the last answer of the old key says.
    let next_root = server.next_root.take().expect("it was announced");
    server.root = next_root;
    let old_key = std::mem::replace(&mut server.answers, SigningKey::from_seed(&[6; 32]));
    let card = server.card();
    let new_key = std::mem::replace(&mut server.answers, old_key);
    server.announce = Some(card);
    host.wake(&mut server);
    server.announce = None;
    server.answers = new_key;
    host.restart();
    host.wake(&mut server);
    assert_eq!(
        (id(&host), stop(&host), host.trouble()),
        (own, None, String::new())
    );
    assert_eq!(host.session.memory().pins, [server.root.digest()]);
}

#[test]
fn a_card_of_an_older_life_of_the_server_is_not_taken() {
    let (mut server, mut host) = enrolled();
    server.epoch = 3;
    host.wake(&mut server);
    assert_eq!(host.session.memory().trust().map(|trust| trust.epoch), Some(3));
    server.epoch = 2;
    server.addresses = vec!["old.example:8443".parse().expect("an address")];
    host.wake(&mut server);
    assert_eq!(host.session.memory().trust().map(|trust| trust.epoch), Some(3));
    assert!(
        host.said.iter().any(|said| said.contains("older life")),
        "{:?}",
        host.said
    );
    assert_ne!(host.session.memory().addresses, server.addresses);
}
