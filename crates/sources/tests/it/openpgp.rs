//! Signatures, judged by this crate, by gpgv and by apt's own method: nothing is accepted here that one of them
//! refuses. The cases are made in the modules below.

mod algorithms;
mod archives;
mod assembled;
mod certificates;
mod faults;
mod gnupg;
mod harm;
mod keyrings;
mod oracle;
mod proven;
mod several;
mod signatures;
mod texts;

use crate::tools;
use jiff::Timestamp;
use oracle::{Oracle, Verdict};
use sources::apt::keyring::Keyring;
use sources::apt::openpgp::{Proven, Verified, verify_detached, verify_inrelease};
use std::sync::{Arc, LazyLock};
use testkit::keys::packets::{Secret, Signature, armor, packet};
use testkit::keys::{SIGNED, SigningKey, canonical, clear_signed};

/// A small release file.
pub const TEXT: &[u8] = b"Origin: Example\nLabel: Example\nSuite: stable\nCodename: one\n\
    Date: Mon, 01 Jun 2026 00:00:00 UTC\nComponents: main\nArchitectures: amd64\nSHA256:\n \
    e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 0 main/binary-amd64/Packages\n";

/// The user id of [`KEY`].
pub const NAME: &str = "Example Archive <archive@deb.example>";

/// One file to judge.
#[derive(Clone)]
pub struct Case {
    pub name: String,
    pub keyring: Vec<u8>,
    pub document: Document,
    pub expected: Expected,
}

/// What is signed and how.
#[derive(Clone)]
pub enum Document {
    Inline(Vec<u8>),
    Detached { release: Vec<u8>, signature: Vec<u8> },
}

/// What must come out, besides never accepting more than the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Everybody accepts it.
    Accepted,
    /// This crate refuses it, whatever the others say.
    Refused,
    /// Whatever the others say, if they agree.
    NeverMore,
}

/// The key that signs most cases.
pub static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::ed25519(NAME));
/// What all cases together computed.
static ALL_PROVEN: LazyLock<Arc<Proven>> = LazyLock::new(Arc::default);
/// A key that no keyring holds.
pub static STRANGER: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::ed25519("Stranger"));

impl Case {
    /// A clear-signed file under the keyring of [`KEY`].
    pub fn inline(name: impl Into<String>, file: Vec<u8>, expected: Expected) -> Self {
        Self {
            name: name.into(),
            keyring: KEY.certificate(),
            document: Document::Inline(file),
            expected,
        }
    }

    /// A release with its signature file under the keyring of [`KEY`].
    pub fn detached(name: impl Into<String>, release: &[u8], signature: Vec<u8>, expected: Expected) -> Self {
        let document = Document::Detached {
            release: release.to_vec(),
            signature,
        };
        Self {
            name: name.into(),
            keyring: KEY.certificate(),
            document,
            expected,
        }
    }

    /// The same under another keyring.
    pub fn under(mut self, keyring: Vec<u8>) -> Self {
        self.keyring = keyring;
        self
    }

    fn judge(&self, proven: &Arc<Proven>) -> Result<Verified, String> {
        let keyring = Keyring::parse_with(&self.keyring, proven).map_err(|error| error.to_string())?;
        match &self.document {
            Document::Inline(file) => verify_inrelease(file, &keyring, now()),
            Document::Detached { release, signature } => verify_detached(release, signature, &keyring, now()),
        }
        .map_err(|refusal| refusal.to_string())
    }
}

/// gpgv takes the machine's clock, so these tests do as well.
#[expect(
    clippy::disallowed_methods,
    reason = "gpgv reads the clock, and both must see the same time"
)]
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// [`TEXT`] clear-signed by these signature packets.
pub fn inline_file(digests: &str, packets: &[u8]) -> Vec<u8> {
    clear_signed(digests, TEXT, &armor("SIGNATURE", packets))
}

/// A signature packet over [`TEXT`] as an InRelease has it.
pub fn text_signature(signature: &Signature, secret: &Secret) -> Vec<u8> {
    packet(2, &signature.sign(secret, &canonical(TEXT)))
}

/// A good signature packet of [`TEXT`].
pub fn good(key: &SigningKey) -> Vec<u8> {
    text_signature(&Signature::plain(1, key.signer(), SIGNED), key.signer())
}

/// Judges all cases three times. Returns how many this crate accepted.
fn compare(cases: &[Case]) -> usize {
    let Some(oracle) = Oracle::new() else {
        return cases.len();
    };
    let mut names: Vec<_> = cases.iter().map(|case| &case.name).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), cases.len(), "every case has a name of its own");
    let half = cases.len().div_ceil(2).max(1);
    let (accepted, wrong) = std::thread::scope(|scope| {
        let parts = cases
            .chunks(half)
            .map(|part| scope.spawn(|| compare_some(part, &oracle)));
        let parts: Vec<_> = parts.collect();
        let joined = parts.into_iter().map(|part| part.join().unwrap());
        joined.fold((0, Vec::new()), |(count, mut all), (more, wrong)| {
            all.extend(wrong);
            (count + more, all)
        })
    });
    assert!(
        wrong.is_empty(),
        "{} of {} cases:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
    accepted
}

fn compare_some(cases: &[Case], oracle: &Oracle) -> (usize, Vec<String>) {
    let mut accepted = 0;
    let mut wrong = Vec::new();
    for case in cases {
        let ours = case.judge(&Arc::default());
        for _ in 0..2 {
            if case.judge(&ALL_PROVEN) != ours {
                wrong.push(format!(
                    "{}: what was computed before changes the verdict",
                    case.name
                ));
            }
        }
        let (gpgv, apt) = match &ours {
            Ok(_) => (oracle.gpgv(case), oracle.apt(case)),
            Err(_) => (Verdict::NotAsked, Verdict::NotAsked),
        };
        let is_right = match (&ours, case.expected) {
            (Ok(_), Expected::Refused) | (Err(_), Expected::Accepted) => false,
            (Ok(_), _) => gpgv.is_accepted() && apt.is_accepted(),
            (Err(_), _) => true,
        };
        if !is_right {
            let ours = ours.as_ref().map(|_| "accepted");
            wrong.push(format!(
                "{}: ours {ours:?}, expected {:?}, gpgv {gpgv:?}, apt {apt:?}",
                case.name, case.expected
            ));
        }
        accepted += usize::from(ours.is_ok());
        if let Ok(verified) = &ours
            && let Some(text) = oracle.text(case)
            && without_blanks(&text) != verified.text().trim_ascii_end()
        {
            wrong.push(format!("{}: gpgv reads another text", case.name));
        }
    }
    (accepted, wrong)
}

/// The text as apt writes it: gpgv leaves blanks at the ends of lines, which nobody signed.
fn without_blanks(text: &[u8]) -> Vec<u8> {
    let text = text.trim_ascii_end();
    let lines: Vec<_> = text
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii_end)
        .collect();
    lines.join(&b'\n')
}

#[test]
fn only_strong_algorithms_count() {
    let cases = algorithms::cases();
    let accepted = compare(&cases);
    assert!(accepted >= 24, "{accepted} of {} accepted", cases.len());
}

#[test]
fn a_text_is_read_in_one_way_or_not_at_all() {
    let cases = texts::cases();
    let accepted = compare(&cases);
    assert!(
        cases.len() >= 150 && accepted >= 10,
        "{accepted} of {} accepted",
        cases.len()
    );
}

#[test]
fn a_key_counts_only_as_far_as_its_certificate_says() {
    let cases = [certificates::cases(), assembled::cases(), keyrings::cases()].concat();
    let accepted = compare(&cases);
    assert!(
        cases.len() >= 50 && accepted >= 10,
        "{accepted} of {} accepted",
        cases.len()
    );
}

#[test]
fn a_signature_counts_only_as_it_says_itself() {
    let cases = [signatures::cases(), several::cases()].concat();
    let accepted = compare(&cases);
    assert!(
        cases.len() >= 100 && accepted >= 20,
        "{accepted} of {} accepted",
        cases.len()
    );
}

#[test]
fn what_debian_signed_is_believed_and_nothing_that_was_changed() {
    let cases = archives::cases();
    if cases.is_empty() {
        return tools::skip("the shared release files or Debian's keyring are not on this machine");
    }
    let accepted = compare(&cases);
    assert!(
        accepted >= cases.len() / archives::MUTATIONS,
        "{accepted} of {} accepted",
        cases.len()
    );
}

#[test]
fn what_gnupg_signs_with_a_strong_key_is_believed() {
    if tools::has("gpg", &["--version"]) {
        let cases = gnupg::cases();
        assert_eq!(
            compare(&cases),
            24,
            "six algorithms, as primary key and subkey, inline and detached"
        );
    }
}
