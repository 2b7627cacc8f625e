//! An approver's own key, which no server ever sees: made into a file, and used to sign what a change would do. What is signed
//! is read from the very bytes, by this program, and shown before.

use super::deploy::{Room, ask};
use super::{Asker, columns, member, once};
use crate::text::{counted, shown};
use anyhow::{Context, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::change::Approval;
use domain::id::HostId;
use domain::order::{Direction, RebootRule, Start};
use protocol::key::SigningKey;
use protocol::order::{ApprovalDocument, Approved};
use protocol::scope::Tree;
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::json;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// What stands before the 32 bytes of a seed in PKCS#8 version 1 (RFC 8410, section 7), as OpenSSL writes it.
const PKCS8: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];
const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";
/// The longest key file, in bytes.
const LONGEST: u64 = 4096;

/// Makes a key, and says how hosts are told of it.
///
/// # Errors
/// The file is there already, or cannot be written.
pub fn make(asker: &Asker, file: &Path) -> anyhow::Result<String> {
    let mut seed = [0_u8; 32];
    SystemRandom::new()
        .fill(&mut seed)
        .map_err(|_| anyhow::anyhow!("the system has no random numbers"))?;
    let key = SigningKey::from_seed(&seed);
    let text = format!(
        "{BEGIN}\n{}\n{END}\n",
        STANDARD.encode([&PKCS8[..], &seed].concat())
    );
    let mut out = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .with_context(|| format!("make {}", file.display()))?;
    out.write_all(text.as_bytes())
        .and_then(|()| out.sync_all())
        .with_context(|| format!("write {}", file.display()))?;
    let public = hex(&key.verifying().to_bytes());
    let sentence = format!(
        "{public}\nis the public half. On each host that shall follow nothing that is not signed by it:\n  \
         sudo patchyard-agent approvers add {public}\nKeep {} away from the server.",
        shown(&file.display().to_string())
    );
    asker.say(
        &json!({ "public": public, "key": key.id().to_string(), "file": file.display().to_string() }),
        &sentence,
    )
}

/// Shows what a change would do, asks, and signs it.
///
/// # Errors
/// The key cannot be read; what the server gives is not what it says; the answer is no.
pub fn sign(asker: &Asker, change: &str, file: &Path, yes: bool) -> anyhow::Result<String> {
    let key = read(file)?;
    let answer = asker.client.get(&format!("{change}/approval"), &[])?;
    let bytes = STANDARD
        .decode(member(&answer, "bytes")?)
        .context("the server's approval is not in base64")?;
    let approved = ApprovalDocument::parse(&bytes).context("the server's approval cannot be read")?;
    let hosts = asker
        .client
        .list(&format!("{change}/deployments"), &[], 1_000_000)?;
    let mut named = Vec::new();
    for host in &hosts {
        named.push((member(host, "host")?, member(host, "name")?));
    }
    ensure!(
        is_scope_of(&approved.approval, &named)?,
        "the server names other hosts than those it would have signed: nothing was signed"
    );
    let mut room = Room::real();
    room.tell(asker, &told(&approved, &named));
    if !yes {
        ask(asker, "Sign this? [y/N] ", &mut room)?;
    }
    let signature = json!({
        "key": STANDARD.encode(key.verifying().to_bytes()),
        "signature": STANDARD.encode(approved.sign(&key).signature),
    });
    let answer = asker
        .client
        .post(&format!("{change}/signatures"), &signature, &once())?;
    Ok(room.rest() + &asker.say(&answer, "Signed.")?)
}

/// Shows whose signatures are needed, or sets it.
///
/// # Errors
/// An approver that is none; the server refuses.
pub fn policy(
    asker: &Asker,
    tenant: &str,
    approvers: &[String],
    needed: Option<u32>,
) -> anyhow::Result<String> {
    let path = format!("{tenant}/approval-policy");
    if approvers.is_empty() && needed.is_none() {
        let policy = asker.client.get(&path, &[])?;
        return asker.show_one(&policy, columns::APPROVAL_POLICY);
    }
    let approvers = approvers.iter().map(|approver| {
        let (name, key) = approver
            .split_once('=')
            .with_context(|| format!("{approver:?} is no approver: write NAME=KEY"))?;
        let key = public_half(key).with_context(|| {
            format!("{key:?} is no public key: `patchyard change key` prints 64 hexadecimal digits")
        })?;
        Ok(json!({ "name": name, "public_key": STANDARD.encode(key) }))
    });
    let approvers = approvers.collect::<anyhow::Result<Vec<_>>>()?;
    let needed = needed.unwrap_or(u32::try_from(approvers.len())?);
    let etag = asker.client.get_tagged(&path)?.etag.unwrap_or_default();
    let wish = json!({ "approvers": approvers, "needed": needed });
    let answer = asker.client.patch(&path, &etag, &wish)?;
    asker.say(
        &answer,
        &format!(
            "From now on a change needs {}.",
            counted(needed.try_into()?, "signature")
        ),
    )
}

/// Reads a key; nobody else may be able to.
fn read(file: &Path) -> anyhow::Result<SigningKey> {
    let said = || format!("read {}", file.display());
    let facts = fs::metadata(file).with_context(said)?;
    ensure!(
        facts.mode() & 0o077 == 0,
        "{} can be read by others: chmod 600 it, or make another key",
        file.display()
    );
    ensure!(facts.len() <= LONGEST, "{} is no key", file.display());
    let text = fs::read_to_string(file).with_context(said)?;
    let inner = text
        .split_once(BEGIN)
        .and_then(|(_, rest)| rest.split_once(END))
        .with_context(|| {
            format!(
                "{} is no key: `patchyard change key FILE` makes one",
                file.display()
            )
        })?;
    let base64: String = inner.0.split_whitespace().collect();
    let bytes = STANDARD.decode(base64).with_context(said)?;
    let seed = bytes.strip_prefix(&PKCS8).and_then(|seed| seed.try_into().ok());
    let Some(seed) = seed else {
        bail!("{} is no Ed25519 key in PKCS#8", file.display())
    };
    Ok(SigningKey::from_seed(seed))
}

/// Whether these hosts, and no others, are those of the approval.
fn is_scope_of(approval: &Approval, hosts: &[(&str, &str)]) -> anyhow::Result<bool> {
    let ids = hosts.iter().map(|(id, _)| {
        let id: HostId = id.parse().with_context(|| format!("{id:?} is no host's id"))?;
        Ok(id)
    });
    let ids = ids.collect::<anyhow::Result<Vec<_>>>()?;
    Ok(Tree::over(&ids).scope() == approval.scope)
}

/// What is signed, from its bytes.
fn told(approved: &Approved, hosts: &[(&str, &str)]) -> String {
    let Approved { approval, digest } = approved;
    let rules = &approval.release.rules;
    let mut out = format!("You would sign {} for the tenant {}:\n", digest, approval.tenant);
    for update in &approval.release.updates {
        let _ = writeln!(
            out,
            "  {} {} of {}, signed by {}",
            shown(&update.source),
            shown(&update.source_version),
            shown(&update.publisher.origin),
            shown(&update.publisher.keys.join(", "))
        );
    }
    let names: Vec<_> = hosts.iter().map(|(_, name)| shown(name)).collect();
    let _ = writeln!(out, "  on {}: {}", counted(hosts.len(), "host"), names.join(", "));
    let _ = writeln!(out, "  from {}", counted(approval.snapshots.len(), "snapshot"));
    let direction = match approval.direction {
        Direction::Forward => "forwards",
        Direction::BackOut => "back to former versions",
    };
    let start = match rules.start {
        Start::WithGo => "each host asks before it begins",
        Start::OfflineOk => "hosts may begin without asking",
    };
    let reboot = match rules.reboot {
        RebootRule::Never => "no reboot".to_owned(),
        RebootRule::IfNeeded { notice_seconds } => {
            format!("a reboot if needed, after {notice_seconds} s of notice")
        }
    };
    let _ = writeln!(
        out,
        "  {direction}; nothing begins after {}; mode {}; {start}; {reboot}",
        approval.not_after, rules.needs
    );
    for removal in &rules.removals {
        let _ = writeln!(
            out,
            "  may remove {}:{}",
            shown(&removal.name),
            shown(&removal.architecture)
        );
    }
    out
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A public key as people hand it on: 64 hexadecimal digits.
fn public_half(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let bytes = digits.chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(pair, 16).ok()
    });
    bytes.collect::<Option<Vec<u8>>>()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_key_is_one_that_openssl_reads_with_the_same_public_half() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("approver.key");
        let seed = [7_u8; 32];
        let text = format!(
            "{BEGIN}\n{}\n{END}\n",
            STANDARD.encode([&PKCS8[..], &seed].concat())
        );
        write(&file, &text, 0o600);
        let ours = read(&file).expect("our own form");
        let Ok(theirs) = Command::new("openssl")
            .args(["pkey", "-pubout", "-outform", "DER", "-in"])
            .arg(&file)
            .output()
        else {
            return testkit::skip::skip(&"openssl is not here");
        };
        assert!(
            theirs.status.success(),
            "{}",
            String::from_utf8_lossy(&theirs.stderr)
        );
        assert!(theirs.stdout.ends_with(&ours.verifying().to_bytes()));
    }

    #[test]
    fn a_key_that_others_can_read_and_what_is_no_key_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("approver.key");
        let good = format!(
            "{BEGIN}\n{}\n{END}\n",
            STANDARD.encode([&PKCS8[..], &[7; 32]].concat())
        );
        write(&file, &good, 0o640);
        let refused = read(&file).expect_err("others can read it").to_string();
        assert!(refused.contains("chmod 600"), "{refused}");
        for bad in ["", BEGIN, &good[..60], &good.replace("MC4", "MC5")] {
            let other = folder.path().join("other");
            let _ = fs::remove_file(&other);
            write(&other, bad, 0o600);
            assert!(read(&other).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_approver_signs_for_the_hosts_that_are_named_and_no_others() {
        let named = [
            "0190b5a0-0000-7000-8000-000000000001",
            "0190b5a0-0000-7000-8000-000000000002",
        ];
        let other = "0190b5a0-0000-7000-8000-000000000003";
        let ids: Vec<HostId> = named.iter().map(|id| id.parse().expect("an id")).collect();
        let approval = Approval {
            tenant: domain::id::TenantId([1; 16]),
            release: domain::change::Release {
                updates: vec![],
                rules: domain::change::Rules {
                    needs: domain::host::mode::Mode::Install,
                    start: Start::WithGo,
                    reboot: RebootRule::Never,
                    removals: vec![],
                },
            },
            snapshots: vec![],
            scope: Tree::over(&ids).scope(),
            not_after: jiff::Timestamp::UNIX_EPOCH,
            direction: Direction::Forward,
        };
        let is = |hosts: &[&str]| {
            let hosts: Vec<_> = hosts.iter().map(|id| (*id, "web")).collect();
            is_scope_of(&approval, &hosts).expect("ids")
        };
        assert!(is(&named) && is(&[named[1], named[0]]));
        assert!(!is(&[named[0], other]) && !is(&named[..1]) && !is(&[named[0], named[1], other]));
        assert!(is_scope_of(&approval, &[("web1", "web1")]).is_err());
    }

    fn write(file: &Path, text: &str, mode: u32) {
        let mut options = OpenOptions::new();
        let out = options.write(true).create_new(true).mode(mode).open(file);
        out.and_then(|mut out| out.write_all(text.as_bytes()))
            .expect("a new file");
    }
}
