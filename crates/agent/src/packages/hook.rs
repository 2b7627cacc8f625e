//! The last word before dpkg starts (`DPkg::Pre-Install-Pkgs`, protocol 3 of apt.conf(5)): apt hands over every step that it is
//! about to take; it is held against the order, and each package file is hashed. On any difference and on any doubt the answer
//! is no, apt ends, and nothing has happened. The verdict is kept, so that the reason is told and not "apt failed".

use super::{DETAIL_CHARS, Installed, Trouble, WorldPlaces, allowed, simulation};
use crate::kept::{Form, PrivateFolder};
use crate::network::boot_clock;
use crate::run::job::Job;
use domain::digest::Sha256Digest;
use domain::order::Order;
use domain::order::transaction::{self, Objection};
use domain::rollout::deployment::Failure;
use protocol::message::orders::FailureKind;
use ring::digest::{Context, SHA256};
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The longest announcement, in bytes: its configuration, and [`transaction::MAX_ITEMS`] steps.
const ANNOUNCEMENT_BYTES: u64 = 32 << 20;
/// The verdict in the order's folder.
const VERDICT: &str = "verdict";
const FORM: Form = Form {
    word: "verdict",
    version: 1,
    longest: 64 << 10,
};

/// What the hook found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "verdict", deny_unknown_fields)]
pub(crate) enum Verdict {
    /// Exactly the order would be carried out.
    Agreed {},
    /// It would not, or nobody could tell.
    Refused {
        /// Why, as a kind.
        kind: FailureKind,
        /// Why, in a sentence.
        detail: String,
    },
    /// It would be, and its time is over.
    Late {},
}

/// The hook has said no.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// It would not have been what was ordered, or nobody could tell.
    #[error("Patchyard stops this transaction: {0}")]
    Refused(Trouble),
    /// The permission to begin is over.
    #[error("Patchyard stops this transaction: the time in which it might begin is over")]
    Late,
}

/// Judges what apt announces on `input`. `folder` is the order's own.
///
/// # Errors
/// [`Refusal`]; the caller ends with a failure then, and apt with it.
pub fn judge(folder: &Path, input: &mut dyn Read) -> Result<(), Refusal> {
    let verdict = match judged(folder, input) {
        Ok(job) if !job.may_begin(boot_clock()) => Verdict::Late {},
        Ok(_) => Verdict::Agreed {},
        Err(trouble) => Verdict::Refused {
            kind: trouble.kind.into(),
            detail: trouble.detail,
        },
    };
    let doubt = |error: crate::kept::KeptError| {
        let detail = format!("the verdict cannot be kept: {}", crate::problem::chain(&error));
        Refusal::Refused(Trouble::new(Failure::PackageManager, &detail))
    };
    let own = PrivateFolder::open(folder).map_err(doubt)?;
    let body = serde_json::to_vec(&verdict).expect("a verdict is words");
    own.write(VERDICT, FORM, &body).map_err(doubt)?;
    match verdict {
        Verdict::Agreed {} => Ok(()),
        Verdict::Late {} => Err(Refusal::Late),
        Verdict::Refused { kind, detail } => Err(Refusal::Refused(Trouble {
            kind: kind.into(),
            detail,
        })),
    }
}

/// The verdict that was kept; none if the hook was not asked, or what it wrote cannot be read.
pub(crate) fn verdict(own: &PrivateFolder) -> Option<Verdict> {
    let body = own.read(VERDICT, FORM).ok().flatten()?;
    serde_json::from_slice(&body).ok()
}

/// Forgets the verdict on an earlier run.
pub(crate) fn forget(own: &PrivateFolder) -> Result<(), crate::kept::KeptError> {
    own.remove(VERDICT)?;
    own.flush()
}

fn judged(folder: &Path, input: &mut dyn Read) -> Result<Job, Trouble> {
    let doubt = |why: &str| Trouble::new(Failure::PackageManager, why);
    let job = Job::read(folder)?;
    let mut text = Vec::new();
    (input.take(ANNOUNCEMENT_BYTES + 1))
        .read_to_end(&mut text)
        .map_err(|error| Trouble::io("read what apt announces", &error))?;
    if text.len() as u64 > ANNOUNCEMENT_BYTES {
        return Err(doubt("what apt announces is longer than any transaction"));
    }
    let text = String::from_utf8(text).map_err(|_| doubt("what apt announces is no text"))?;
    let installed = Installed::read()?;
    let places = WorldPlaces {
        folder: folder.to_owned(),
    };
    compare(&text, &job.order, &installed, &places.archives())?;
    Ok(job)
}

fn compare(text: &str, order: &Order, installed: &Installed, archives: &Path) -> Result<(), Trouble> {
    let items =
        transaction::parse(text).map_err(|error| Trouble::new(Failure::Differs, &error.to_string()))?;
    let in_place = installed.in_place(order);
    let digest = |file: &str| digest_of(Path::new(file), archives);
    match transaction::judge(&items, allowed(order, &in_place), digest) {
        Ok(()) => Ok(()),
        Err(Objection::Differs(difference)) => Err(simulation::differs(&difference)),
        Err(Objection::File(why)) => Err(Trouble::new(Failure::Content, &why)),
    }
}

/// SHA-256 of a package file in the archive folder, which nobody else can change afterwards.
fn digest_of(file: &Path, archives: &Path) -> Result<Sha256Digest, String> {
    if file.parent() != Some(archives) {
        let shown = crate::shown::harmless(&file.display().to_string(), DETAIL_CHARS / 2);
        return Err(format!("{shown} is no file of the order's"));
    }
    let failed = |error: std::io::Error| format!("a package file cannot be read: {error}");
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let open = rustix::fs::open(file, flags, Mode::empty());
    let mut file = File::from(open.map_err(|errno| failed(errno.into()))?);
    if !file.metadata().map_err(failed)?.is_file() {
        return Err("a package file is no file".to_owned());
    }
    let (mut hash, mut buffer) = (Context::new(&SHA256), vec![0; 1 << 16]);
    loop {
        match file.read(&mut buffer).map_err(failed)? {
            0 => break,
            count => hash.update(&buffer[..count]),
        }
    }
    let found = hash.finish();
    Ok(Sha256Digest(
        found.as_ref().try_into().expect("SHA-256 has 32 bytes"),
    ))
}
