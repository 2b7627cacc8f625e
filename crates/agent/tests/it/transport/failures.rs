//! What goes wrong on the way to a server is said in one sentence with one next step, and one cause is not taken for another.

use super::peers::{Answer, Authority, closed_port, listener_that_says};
use super::{HOUR, ask, quick, transport};
use agent::transport::failure::HandshakeFailure;
use agent::transport::{ExchangeError, Transport};

/// The sentence and the next step, each checked to be one.
fn said(error: &ExchangeError) -> String {
    let (sentence, step) = (error.to_string(), error.next_step());
    for line in [&sentence, &step] {
        assert!(
            !line.is_empty() && !line.contains('\n') && line.chars().count() < 320,
            "{line}"
        );
    }
    format!("{sentence}. Next: {step}")
}

fn failure(transport: &Transport, server: &str) -> ExchangeError {
    ask(transport, server).expect_err("this cannot work")
}

#[test]
fn a_name_without_an_address_is_told() {
    let error = failure(&transport(&Authority::new("Ours")), "patchyard.invalid:8443");
    assert!(matches!(error, ExchangeError::NameNotFound { .. }), "{error:?}");
    let said = said(&error);
    assert!(
        said.contains("the name patchyard.invalid does not resolve"),
        "{said}"
    );
    assert!(said.contains("getent hosts patchyard.invalid"), "{said}");
}

#[test]
fn a_closed_port_is_told() {
    let address = closed_port();
    let error = failure(&transport(&Authority::new("Ours")), &address);
    assert!(matches!(error, ExchangeError::PortClosed { .. }), "{error:?}");
    let said = said(&error);
    assert!(said.contains(&format!("nothing listens at {address}")), "{said}");
    assert!(said.contains("patchyard listen"), "{said}");
}

#[test]
fn a_proxy_that_rewrites_tls_is_named_by_its_certificate() {
    let middle = Authority::new("Corporate\u{1b}[2J Inspection CA");
    let server = middle.serve(&["127.0.0.1"], (-HOUR, HOUR), Answer::Ok(Vec::new()));
    let error = failure(&transport(&Authority::new("Ours")), &server.address);
    let said = said(&error);
    assert!(
        matches!(
            error,
            ExchangeError::Handshake {
                failure: HandshakeFailure::NotOurs { .. },
                ..
            }
        ),
        "{error:?}"
    );
    assert!(
        said.contains("issued by \"Corporate\\u{1b}[2J Inspection CA\""),
        "{said}"
    );
    assert!(said.contains("pass TLS to"), "{said}");
    assert!(server.requests().is_empty(), "no message reaches a stranger");
}

#[test]
fn a_clock_three_hours_behind_a_new_certificate_is_told() {
    let authority = Authority::new("Ours");
    let server = authority.serve(&["127.0.0.1"], (3 * HOUR, 30 * HOUR), Answer::Ok(Vec::new()));
    let error = failure(&transport(&authority), &server.address);
    let said = said(&error);
    assert!(
        said.contains("begins to count at 2026-06-01T03:00:00Z (3 hours later)"),
        "{said}"
    );
    assert!(said.contains("timedatectl set-ntp true"), "{said}");
}

#[test]
fn a_certificate_that_ended_is_told_with_both_times() {
    let authority = Authority::new("Ours");
    let server = authority.serve(
        &["127.0.0.1"],
        (-90 * 24 * HOUR, -72 * HOUR),
        Answer::Ok(Vec::new()),
    );
    let said = said(&failure(&transport(&authority), &server.address));
    assert!(
        said.contains("this host's time is 2026-06-01T00:00:00Z"),
        "{said}"
    );
    assert!(
        said.contains("ended at 2026-05-29T00:00:00Z (3 days earlier)"),
        "{said}"
    );
}

#[test]
fn a_name_that_the_certificate_does_not_hold_is_told_with_those_that_it_holds() {
    let authority = Authority::new("Ours");
    let server = authority.serve(&["patchyard.example"], (-HOUR, HOUR), Answer::Ok(Vec::new()));
    let error = failure(&transport(&authority), &server.address);
    let said = said(&error);
    assert!(
        matches!(
            error,
            ExchangeError::Handshake {
                failure: HandshakeFailure::WrongName { .. },
                ..
            }
        ),
        "{error:?}"
    );
    assert!(said.contains("patchyard.example"), "{said}");
}

#[test]
fn something_else_on_the_port_is_told() {
    let address = listener_that_says("220 mail.example ESMTP\r\n");
    let error = failure(&transport(&Authority::new("Ours")), &address);
    let said = said(&error);
    assert!(
        matches!(
            error,
            ExchangeError::Handshake {
                failure: HandshakeFailure::NotTls,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(said.contains("does not speak TLS"), "{said}");
}

#[test]
fn a_proxy_that_makes_no_tunnel_is_told() {
    let proxy = listener_that_says("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    let mut settings = quick();
    settings.proxy.proxy = Some(format!("http://user:secret@{proxy}"));
    let authority = Authority::new("Ours");
    let transport = Transport::new(settings, &authority.pins(), None).expect("a plain proxy");
    let error = failure(&transport, "server.example:8443");
    let said = said(&error);
    assert!(matches!(error, ExchangeError::ProxyRefused { .. }), "{error:?}");
    assert!(
        said.contains("403") && said.contains("CONNECT to server.example:8443"),
        "{said}"
    );
    assert!(!said.contains("secret"), "{said}");
}

#[test]
fn a_proxy_that_is_away_is_not_taken_for_the_server() {
    let proxy = closed_port();
    let mut settings = quick();
    settings.proxy.proxy = Some(format!("http://{proxy}"));
    let authority = Authority::new("Ours");
    let transport = Transport::new(settings, &authority.pins(), None).expect("a plain proxy");
    let error = failure(&transport, "server.example:8443");
    assert!(
        matches!(error, ExchangeError::ProxyUnreachable { .. }),
        "{error:?}"
    );
    assert!(
        said(&error).contains(&format!("the proxy http://{proxy} cannot be reached")),
        "{error}"
    );
}

#[test]
fn a_server_with_too_much_to_do_says_when_to_come_back_and_is_not_believed_beyond_a_day() {
    let authority = Authority::new("Ours");
    let later = |text| {
        let server = authority.serve(&["127.0.0.1"], (-HOUR, HOUR), Answer::Raw(text));
        failure(&transport(&authority), &server.address).retry_after_seconds()
    };
    let seconds = later("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 17\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(seconds, Some(17));
    let forever = later("HTTP/1.1 429 Too Many\r\nRetry-After: 99999999999\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(forever, Some(86_400));
}

#[test]
fn a_portal_that_answers_in_the_servers_place_is_told() {
    let authority = Authority::new("Ours");
    let portal = "HTTP/1.1 302 Found\r\nLocation: https://portal.example/\r\nContent-Length: 0\r\n\r\n";
    let server = authority.serve(&["127.0.0.1"], (-HOUR, HOUR), Answer::Raw(portal));
    let error = failure(&transport(&authority), &server.address);
    assert!(
        matches!(error, ExchangeError::Status { status: 302, .. }),
        "{error:?}"
    );
    said(&error);
}

#[test]
fn an_answer_one_byte_above_its_limit_is_refused_and_one_at_it_is_not() {
    let authority = Authority::new("Ours");
    let mut settings = quick();
    settings.answer_limit_bytes = 1_000;
    let transport = Transport::new(settings, &authority.pins(), None).expect("nothing to refuse");
    let answer = |size| {
        let server = authority.serve(&["127.0.0.1"], (-HOUR, HOUR), Answer::Ok(vec![7; size]));
        ask(&transport, &server.address)
    };
    assert_eq!(answer(1_000).expect("at the limit").len(), 1_000);
    let error = answer(1_001).expect_err("above the limit");
    assert!(
        matches!(
            error,
            ExchangeError::TooLarge {
                limit_bytes: 1_000,
                ..
            }
        ),
        "{error:?}"
    );
}
