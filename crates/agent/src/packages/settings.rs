//! The settings of a private world, apt.conf(5), read after the host's own: where it stands, what it never does, and what of the
//! host's own rules stays.

use super::world::SOURCES;
use super::{Trouble, WorldPlaces};
use domain::order::OrderedSnapshot;
use domain::rollout::deployment::Failure;
use std::collections::BTreeSet;

/// The text of the file. The host's rules for dpkg and its hooks stay, but for what would ask or take another
/// configuration file than the host's.
pub(super) fn text(places: &WorldPlaces) -> Result<String, Trouble> {
    let folder = places.world();
    let folder = folder.to_str().filter(|path| {
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"\"\\;{}".contains(&byte);
        path.starts_with('/') && path.bytes().all(is_plain)
    });
    let Some(folder) = folder else {
        let detail = "the agent's folder has a name that apt cannot be told";
        return Err(Trouble::new(Failure::PackageManager, detail));
    };
    let mut text = format!(
        "Dir::Etc::sourcelist \"{folder}/{SOURCES}\";\nDir::Etc::sourceparts \"/dev/null\";\n\
         Dir::Etc::preferences \"/dev/null\";\nDir::Etc::preferencesparts \"/dev/null\";\n\
         Dir::Etc::trusted \"/dev/null\";\nDir::Etc::trustedparts \"/dev/null\";\n\
         Dir::State::lists \"{folder}/lists\";\nDir::Cache::archives \"{folder}/archives\";\n\
         Dir::Cache::pkgcache \"{folder}/pkgcache.bin\";\nDir::Cache::srcpkgcache \"{folder}/srcpkgcache.bin\";\n"
    );
    text.push_str(FIXED_SETTINGS);
    Ok(text)
}

/// The forms in which indexes were ordered: apt would ask for others that the release file names, and what is not here it has to
/// do without.
pub(super) fn forms(snapshot: &OrderedSnapshot) -> String {
    let forms: BTreeSet<_> = (snapshot.indexes.iter())
        .map(|index| match index.path.rsplit_once("Packages.") {
            Some((_, form)) if form.bytes().all(|byte| byte.is_ascii_alphanumeric()) => form,
            _ => "uncompressed",
        })
        .collect();
    forms.into_iter().collect::<Vec<_>>().join(" ")
}

/// The same for every world.
const FIXED_SETTINGS: &str = r#"APT::Sandbox::User "root";
APT::Update::Error-Mode "any";
APT::Get::List-Cleanup "false";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear APT::Default-Release;
Acquire::Languages "none";
Acquire::GzipIndexes "false";
Acquire::IndexTargets::deb::Packages::KeepCompressed "false";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowWeakRepositories "false";
Acquire::AllowDowngradeToInsecureRepositories "false";
APT::Get::AllowUnauthenticated "false";
APT::Get::AutomaticRemove "false";
APT::Get::Purge "false";
APT::Get::Fix-Broken "false";
APT::Get::Fix-Missing "false";
APT::Get::Always-Include-Phased-Updates "true";
APT::Install-Recommends "false";
APT::Install-Suggests "false";
APT::Keep-Downloaded-Packages "true";
APT::Clean-Installed "false";
Dpkg::Use-Pty "0";
Dpkg::Progress-Fancy "0";
DPkg::Lock::Timeout "0";
DPkg::Options:: "--no-force-confnew";
DPkg::Options:: "--no-force-confask";
DPkg::Options:: "--force-confdef";
DPkg::Options:: "--force-confold";
"#;
