//! What keeps a host from being enrolled is told on the host, in one sentence with one next step.

use super::world::{Calendar, Fleet, Place, status, until};
use std::net::IpAddr;
use testkit::lab::booted::BootedHost;
use testkit::lab::calendar;
use testkit::skip;

/// Puts the agent's package onto a host by hand, as one who fetched it elsewhere does.
fn install_agent(fleet: &Fleet, host: &BootedHost) {
    std::fs::copy(fleet.package(), host.root().join("root/agent.deb")).unwrap();
    host.run(&["dpkg", "--install", "/root/agent.deb"]).unwrap();
}

/// Enrols with a token and gives whether it succeeded and what was said.
fn enrol(host: &BootedHost, token: &str, before: &str) -> (bool, String) {
    let command = format!("echo {token} | {before} patchyard-agent enrol --token-file -");
    let done = host.try_run(&["sh", "-c", &command]).unwrap();
    let said = String::from_utf8([done.stdout, done.stderr].concat()).unwrap();
    (done.status.success(), said)
}

/// It fails with this sentence and a next step, and nothing else.
fn assert_told(host: &BootedHost, token: &str, sentence: &str, step: &str) {
    let (is_enrolled, said) = enrol(host, token, "");
    assert!(!is_enrolled, "{said}");
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines.len() <= 2 && said.contains(sentence), "{said}");
    let (_, next) = said
        .split_once("Next: ")
        .unwrap_or_else(|| panic!("no next step: {said}"));
    assert!(next.contains(step), "{said}");
}

/// The name by which the hosts know the server.
const NAME: &str = "patchyard.example";

/// What the name means to a host.
fn resolve(host: &BootedHost, to: Option<IpAddr>) {
    let line = to.map_or_else(String::new, |address| format!("{address} {NAME}\n"));
    std::fs::write(
        host.root().join("etc/hosts"),
        format!("127.0.0.1 localhost\n{line}"),
    )
    .unwrap();
}

#[test]
fn what_keeps_a_host_from_being_enrolled_is_told_in_a_sentence_with_a_next_step() {
    let mut fleet = match Fleet::start_named(NAME) {
        Ok(fleet) => fleet,
        Err(missing) => return skip::skip_for(&missing),
    };
    fleet.say(&["tenant", "add", "north"]);
    fleet.say(&["site", "add", "main"]);
    let first = fleet.boot("first", "bookworm", Place::Lab);
    let second = fleet.boot("second", "trixie", Place::Lab);
    install_agent(&fleet, &first);
    install_agent(&fleet, &second);
    let server = fleet.address();
    let name = format!("{NAME}:{}", server.port());
    let token = fleet.token();

    resolve(&first, None);
    let sentence = format!("The name {NAME} does not resolve.");
    assert_told(&first, &token, &sentence, &format!("getent hosts {NAME}"));

    // Another host shows a certificate of its own where the server should be.
    inspect_tls(&second, server.port());
    resolve(&first, Some(second.address().into()));
    let sentence = format!("TLS with {name} failed: somebody on the way rewrites TLS");
    assert_told(&first, &token, &sentence, "pass TLS");

    fleet.kill_server();
    resolve(&first, Some(server.ip()));
    let sentence = format!("Nothing listens at {name}: the connection was refused.");
    assert_told(&first, &token, &sentence, "patchyard listen");
    fleet.run_server(Calendar::Today);

    let (is_enrolled, said) = enrol(&first, &token, "");
    assert!(is_enrolled, "{said}");
    resolve(&second, Some(server.ip()));
    assert_told(
        &second,
        &token,
        "The enrolment token was used already",
        "patchyard enrol",
    );

    let sentence = format!("This host is enrolled already, with {name} in the site \"main\"");
    assert_told(&first, &fleet.token(), &sentence, "patchyard-agent forget");

    // A wrong clock keeps nobody out, and is told all the same.
    calendar::put_into(&second).unwrap();
    let environment = calendar::shifted("-3h").unwrap();
    let environment = environment.iter().map(|(name, value)| format!("{name}={value}"));
    let before = format!("env {}", environment.collect::<Vec<_>>().join(" "));
    let (is_enrolled, said) = enrol(&second, &fleet.token(), &before);
    assert!(is_enrolled, "{said}");
    let sentence = "This host's clock is 3 hours behind the server's. Next: set it";
    assert!(said.replace('\n', " ").contains(sentence), "{said}");
    assert_eq!(status(&second)["state"], "enrolled");
}

/// Somebody who shows a certificate of their own.
fn inspect_tls(host: &BootedHost, port: u16) {
    let certify = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj '/CN=Inspection CA' \
                   -keyout /root/key.pem -out /root/certificate.pem";
    host.run(&["sh", "-c", certify]).unwrap();
    let serve = format!(
        "systemd-run --quiet openssl s_server -quiet -accept {port} -cert /root/certificate.pem -key /root/key.pem"
    );
    host.run(&serve.split(' ').collect::<Vec<_>>()).unwrap();
    let knock = format!("exec 3<>/dev/tcp/127.0.0.1/{port}");
    let listens = || host.run(&["bash", "-c", &knock]).is_ok();
    until("somebody listens", listens, || host.console());
}
