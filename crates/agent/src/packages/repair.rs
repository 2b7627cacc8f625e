//! What somebody left unfinished is finished before anything new begins: dpkg says whether there is any, and configures it.

use super::tool::Tool;
use super::{Installed, Trouble};
use domain::rollout::deployment::Failure;

/// Where dpkg keeps changes that it has not merged into its status yet.
const UPDATES: &str = "/var/lib/dpkg/updates";
/// dpkg's own rules where a configuration file was changed: the host's stays.
const RULES: [&str; 4] = [
    "--no-force-confnew",
    "--no-force-confask",
    "--force-confdef",
    "--force-confold",
];

/// Something was left unfinished, and is finished now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interrupted {
    /// What it was, for people.
    pub(crate) what: String,
    /// What dpkg said.
    pub(crate) said: String,
}

/// Finishes what was left unfinished; `None` if nothing was.
///
/// # Errors
/// [`Failure::Script`], [`Failure::DiskFull`] or [`Failure::Interrupted`]: dpkg could not.
pub(crate) fn repair() -> Result<Option<Interrupted>, Trouble> {
    let halves = Installed::read()?.halves();
    let audit = Tool::Dpkg.ask(["--audit"])?;
    let is_sound =
        audit.is_success() && audit.text().trim().is_empty() && !has_updates() && halves.is_empty();
    if is_sound {
        return Ok(None);
    }
    let what = match halves.len() {
        0 => "dpkg had not merged its journal".to_owned(),
        1..=3 => halves.join(", "),
        more => format!("{}, and {} more", halves[..3].join(", "), more - 3),
    };
    let words = RULES.into_iter().chain(["--configure", "--pending"]);
    let said = Tool::Dpkg.ask(words)?;
    if said.is_success() {
        return Ok(Some(Interrupted {
            what,
            said: said.all(),
        }));
    }
    let kind = match super::classify(&said.all()) {
        Failure::PackageManager => Failure::Interrupted,
        other => other,
    };
    let detail = format!(
        "{what} was left unfinished; {}",
        said.complaint("dpkg --configure")
    );
    Err(Trouble::new(kind, &detail))
}

/// Whether dpkg was cut off before it merged its journal. Names of digits alone are changes (dpkg's lib/dpkg/dbmodify.c).
fn has_updates() -> bool {
    let is_change = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    let entries = std::fs::read_dir(UPDATES).into_iter().flatten().flatten();
    entries
        .into_iter()
        .any(|entry| is_change(&entry.file_name().to_string_lossy()))
}
