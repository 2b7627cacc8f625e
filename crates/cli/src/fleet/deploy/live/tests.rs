//! What is shown of a change: harmless, within the terminal, and the truth about what is left.

use super::*;
use crate::args::Colour;
use serde_json::json;

fn style(columns: Option<usize>) -> Style {
    Style::new(Colour::Never, |name| {
        columns
            .filter(|_| name == "COLUMNS")
            .map(|columns| columns.to_string())
    })
}

fn deployment(name: &str, shown: &str) -> Value {
    json!({
        "id": format!("id-of-{name}"), "name": name, "shown": shown, "detail": "", "last_line": "",
        "packages": [{ "name": "openssl", "version": "3.0.22-1" }],
    })
}

#[test]
fn a_host_has_one_line_that_says_where_it_is() {
    let mut installing = deployment("web2", "installing");
    installing["last_line"] = json!("Unpacking libssl3:amd64 (3.0.22-1) ...");
    let mut waiting = deployment("db1", "planned");
    waiting["waiting"] = json!({ "code": "below_ceiling", "sentence": "the host allows monitor only" });
    let all = [deployment("web1", "succeeded"), installing, waiting];
    assert_eq!(
        frame(&all, style(None), 24),
        [
            "web1  verified      openssl 3.0.22-1",
            "web2  installing    Unpacking libssl3:amd64 (3.0.22-1) ...",
            "db1   waiting       the host allows monitor only",
            "3 hosts: 1 installing, 1 verified, 1 waiting",
        ]
    );
}

#[test]
fn no_text_of_a_host_steers_the_terminal_or_wraps_a_line() {
    for hostile in testkit::hostile::texts() {
        let text = hostile.text;
        for state in ["installing", "failed", "planned", "not_in_effect", text.as_str()] {
            let mut host = deployment(&text, state);
            host["last_line"] = json!(text);
            host["detail"] = json!(text);
            host["next_step"] = json!(text);
            host["waiting"] = json!({ "code": text, "sentence": text });
            let hosts = [host, deployment("web1", "succeeded")];
            for columns in [60, 80, 120] {
                for line in frame(&hosts, style(Some(columns)), 24) {
                    assert!(width(&line) < columns, "{columns}: {line:?}");
                    assert!(!line.chars().any(domain::text::is_steering), "{line:?}");
                }
            }
            let last = Ended {
                deployments: hosts.to_vec(),
            }
            .told(style(None));
            assert!(
                !last.chars().any(|c| c != '\n' && domain::text::is_steering(c)),
                "{last:?}"
            );
        }
    }
}

#[test]
fn many_hosts_fit_the_screen_and_those_in_trouble_come_first() {
    let mut all: Vec<Value> = (0..500)
        .map(|at| deployment(&format!("web{at}"), "succeeded"))
        .collect();
    all.push(deployment("sick", "failed"));
    let lines = frame(&all, style(Some(80)), 24);
    assert!(lines.len() < 24, "{} lines", lines.len());
    assert!(
        lines[0].starts_with("sick") && lines[0].contains("failed"),
        "{}",
        lines[0]
    );
    let drawn = lines.len() - 2;
    assert_eq!(lines[drawn], format!("and {} hosts more", all.len() - drawn));
    assert_eq!(lines[drawn + 1], "501 hosts: 1 failed, 500 verified");
}

#[test]
fn what_is_left_is_named_with_what_to_do_about_it() {
    let mut failed = deployment("web2", "failed");
    failed["detail"] = json!("no room in /var");
    failed["next_step"] = json!("make room on the host, then retry");
    let ended = Ended {
        deployments: vec![deployment("web1", "succeeded"), failed],
    };
    let plain = Style::new(Colour::Never, |name| (name == "LC_ALL").then(|| "C".to_owned()));
    assert_eq!(
        ended.told(plain),
        "Verified on 1 of 2 hosts.\n\
         web2: failed no room in /var\n  \
         -> make room on the host, then retry\n  \
         -> patchyard deployment output id-of-web2\n"
    );
    assert_eq!((ended.failed(), ended.unfinished()), (1, 0));
}
