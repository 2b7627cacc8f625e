//! Which versions of agents are served: the protocol's own, and three minor versions back from the server's.

use super::refusal::Refusal;
use protocol::message::refused::RefusalKind;
use protocol::{OLDEST_VERSION, VERSION};

/// How many minor versions an agent may be behind.
const MINORS_BACK: u32 = 3;

/// Refuses a protocol that this server does not speak.
pub(super) fn check_protocol(version: u16) -> Result<(), Refusal> {
    match (OLDEST_VERSION..=VERSION).contains(&version) {
        true => Ok(()),
        false => Err(Refusal::of(RefusalKind::Version)),
    }
}

/// Refuses an agent that is too old for this server, or whose version cannot be read. A newer one is served: the wire only
/// grows.
pub(super) fn check_agent(version: &str) -> Result<(), Refusal> {
    let Some(agent) = parse(version) else {
        return Err(Refusal::with(
            RefusalKind::Malformed,
            "The agent's version is not of the form 1.2.3.",
        ));
    };
    let own = parse(env!("CARGO_PKG_VERSION")).expect("cargo takes no other versions");
    match is_served(agent, own) {
        true => Ok(()),
        false => Err(Refusal::of(RefusalKind::Version)),
    }
}

fn is_served(agent: (u32, u32), own: (u32, u32)) -> bool {
    agent >= (own.0, own.1.saturating_sub(MINORS_BACK))
}

/// Major and minor of a version such as `1.2.3` or `1.2.3-rc.1`.
fn parse(version: &str) -> Option<(u32, u32)> {
    let number = |part: Option<&str>| {
        part.filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()))?
            .parse()
            .ok()
    };
    let mut parts = version.splitn(3, '.');
    let (major, minor) = (number(parts.next())?, number(parts.next())?);
    parts
        .next()
        .filter(|patch| patch.starts_with(|c: char| c.is_ascii_digit()))?;
    (version.len() <= 64).then_some((major, minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_are_served_three_minor_versions_back_and_no_further() {
        let own = (1, 7);
        let served: Vec<bool> = ["1.3.9", "1.4.0", "1.7.2", "1.8.0", "2.0.0", "0.9.0"]
            .into_iter()
            .map(|version| is_served(parse(version).expect("a version"), own))
            .collect();
        assert_eq!(served, [false, true, true, true, true, false]);
        assert!(is_served((0, 0), (0, 2)));
        assert!(check_protocol(VERSION).is_ok() && check_protocol(VERSION + 1).is_err());
        assert!(check_protocol(0).is_err());
    }

    #[test]
    fn a_text_that_is_no_version_is_refused_for_that() {
        for text in [
            "",
            "1",
            "1.2",
            "1.2.",
            "a.b.c",
            "+1.2.3",
            "1.2.x",
            &"1.2.3".repeat(20),
            "99999999999.1.1",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse("0.1.0-rc.1"), Some((0, 1)));
    }
}
