//! Each refusal has one reaction, one sentence and one next step.

use super::host::End;
use super::{enrolled, id, stop, world};
use agent::session::{Phase, Stop};
use protocol::message::refused::RefusalKind;

#[test]
fn a_spent_token_and_one_for_another_site_are_told_and_the_host_stays_unenrolled() {
    for (kind, words, step) in [
        (
            RefusalKind::SpentToken,
            "was used already, has expired or was withdrawn",
            "get another",
        ),
        (RefusalKind::WrongSite, "is for another site", "--site"),
    ] {
        let (mut server, mut host) = world();
        server.refuse_next = Some((kind, None));
        assert_eq!(host.enrol(&mut server), End::Rest);
        assert_eq!(host.journal.phase, Phase::Unenrolled);
        assert_eq!(host.journal.key, None);
        let told = host.trouble();
        assert!(told.contains(words) && told.contains(step), "{told}");
        assert!(!told.contains('\u{1b}'), "{told}");
        // With a good token it goes on.
        host.enrol(&mut server);
        assert_eq!(server.hosts[&id(&host)].check_ins, 1);
    }
}

#[test]
fn what_the_server_stops_is_told_asked_for_rarely_and_goes_on_by_itself() {
    for (kind, expected, least_seconds, words) in [
        (RefusalKind::Retired, Stop::Retired, 86_400, "was retired"),
        (
            RefusalKind::Quarantined,
            Stop::Quarantined,
            3_600,
            "seen in two places",
        ),
        (
            RefusalKind::Unknown,
            Stop::Unknown,
            3_600,
            "does not know this host",
        ),
        (RefusalKind::Version, Stop::Version, 3_600, "of version"),
    ] {
        let (mut server, mut host) = enrolled();
        let before = host.journal.clone();
        server.refuse_next = Some((kind, None));
        let end = host.wake(&mut server);
        let End::Sleep(delay) = end else {
            panic!("{kind:?}: {end:?}")
        };
        assert!(
            (least_seconds..=least_seconds * 3 / 2).contains(&delay.as_secs()),
            "{kind:?}: {delay:?}"
        );
        assert_eq!(stop(&host), Some(expected));
        assert!(host.trouble().contains(words), "{}", host.trouble());
        assert_eq!(
            host.journal.key, before.key,
            "an identity is never thrown away by itself"
        );
        host.restart();
        host.wake(&mut server);
        assert_eq!((stop(&host), host.trouble()), (None, String::new()), "{kind:?}");
    }
}

#[test]
fn a_busy_server_is_asked_again_when_it_said_and_takes_nothing_for_a_copy() {
    let (mut server, mut host) = enrolled();
    let own = id(&host);
    for _ in 0..5 {
        host.wake_over(&mut server, &[super::Way::AnswerLost]);
        server.refuse_next = Some((RefusalKind::Busy, Some(40)));
        let end = host.wake(&mut server);
        assert!(
            matches!(end, End::Sleep(delay) if (40..=60).contains(&delay.as_secs())),
            "{end:?}"
        );
    }
    host.wake(&mut server);
    assert_eq!((id(&host), stop(&host), server.hosts.len()), (own, None, 1));
}

#[test]
fn what_a_later_server_refuses_for_is_no_end() {
    for kind in [
        RefusalKind::Unrecognised,
        RefusalKind::Malformed,
        RefusalKind::TooLarge,
        RefusalKind::SpentToken,
    ] {
        let (mut server, mut host) = enrolled();
        let own = id(&host);
        server.refuse_next = Some((kind, None));
        let end = host.wake(&mut server);
        assert!(matches!(end, End::Sleep(_)), "{kind:?}: {end:?}");
        assert!(host.trouble().contains("Next: "), "{kind:?}: {}", host.trouble());
        host.wake(&mut server);
        assert_eq!((id(&host), stop(&host)), (own, None), "{kind:?}");
    }
}

#[test]
fn a_clock_that_stays_refused_is_told_with_how_far_it_is_off() {
    let (mut server, mut host) = enrolled();
    host.off_seconds = -3 * 3_600;
    server.refuse_next = Some((RefusalKind::Clock, Some(0)));
    host.wake(&mut server);
    assert_eq!(
        stop(&host),
        None,
        "with the server's time the same request is right"
    );
    // A server that refuses for the clock whatever is sent.
    let event = agent::session::Event::Wake(host.look());
    let end = super::host::happen_with_refusals(&mut host, event, &mut server, (RefusalKind::Clock, Some(0)));
    assert!(matches!(end, End::Sleep(_)), "{end:?}");
    assert!(
        host.trouble().contains("clock is 3 hours behind the server's"),
        "{}",
        host.trouble()
    );
}

#[test]
fn a_retired_host_can_be_enrolled_again() {
    let (mut server, mut host) = enrolled();
    let own = id(&host);
    server.refuse_next = Some((RefusalKind::Retired, None));
    host.wake(&mut server);
    server.uses = 1;
    host.enrol(&mut server);
    assert_ne!(id(&host), own);
    assert_eq!((stop(&host), host.trouble()), (None, String::new()));
}

#[test]
fn a_request_that_was_answered_before_is_asked_anew_under_another_name() {
    let (mut server, mut host) = enrolled();
    let own = id(&host);
    host.wake_over(&mut server, &[super::Way::Cut]);
    assert!(
        host.journal.next_check_in.is_some(),
        "it would ask under the same name"
    );
    server.refuse_next = Some((RefusalKind::Answered, Some(0)));
    let end = host.wake(&mut server);
    assert!(matches!(end, End::Sleep(_)), "{end:?}");
    assert_eq!(host.journal.next_check_in, None);
    host.wake(&mut server);
    assert_eq!((id(&host), stop(&host), server.hosts.len()), (own, None, 1));
}
