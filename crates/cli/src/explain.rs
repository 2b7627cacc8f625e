//! `--explain NAME`: the chain of facts behind one package's verdict, down to who signed the lists that say so.

use crate::scan::Scan;
use crate::scan::simulate;
use crate::text::{self, Style, shown};
use domain::assess::explain::{Explanation, Question, explain};
use domain::host::address::without_login;
use domain::host::inventory::InstalledPackage;
use std::collections::BTreeSet;

/// Nobody knows the package.
#[derive(Debug, thiserror::Error)]
#[error(
    "no package called {name} is installed, and no verified source lists one; 'patchyard scan' names the sources that do not answer"
)]
pub struct UnknownPackage {
    name: String,
}

/// The explanation of every package that `asked` names: `NAME`, `NAME:ARCHITECTURE`, or the name of a source package
/// of which binaries are installed.
pub fn render(scan: &Scan<'_>, asked: &str, style: Style) -> Result<String, UnknownPackage> {
    let (name, architecture) = asked
        .split_once(':')
        .map_or((asked, None), |(name, architecture)| (name, Some(architecture)));
    let subjects = subjects(scan, name, architecture);
    let mut out = String::new();
    let mut used = BTreeSet::new();
    for subject in &subjects {
        let mut offers = Vec::new();
        scan.channels.offers(&subject.name, &mut offers);
        used.extend(offers.iter().map(|offer| offer.listing));
        let native = &scan.host.channel_config.native_architecture;
        let said = match (&scan.simulated, subject.package) {
            (Some(simulated), Some(package)) => Some(simulate::said(simulated, package, native)),
            _ => None,
        };
        let explanation = explain(
            &scan.findings.policy,
            &Question {
                name: &subject.name,
                architecture: &subject.architecture,
                package: subject.package,
                offers: &offers,
                listings: scan.channels.listings.all(),
                settings: &scan.host.channel_config.settings,
                simulated: said.as_ref(),
            },
        );
        write(&mut out, subject, &explanation, style);
    }
    if subjects.is_empty() {
        return Err(UnknownPackage {
            name: asked.to_owned(),
        });
    }
    vouchers(&mut out, scan, &used, style);
    Ok(out)
}

/// One package to explain.
struct Subject<'a> {
    name: String,
    architecture: String,
    package: Option<&'a InstalledPackage>,
}

fn subjects<'a>(scan: &Scan<'a>, name: &str, architecture: Option<&str>) -> Vec<Subject<'a>> {
    let packages = &scan.host.inventory.packages;
    let is_asked =
        |package: &&InstalledPackage| architecture.is_none_or(|asked| *package.architecture == *asked);
    let by = |matches: &dyn Fn(&InstalledPackage) -> bool| -> Vec<Subject<'a>> {
        let chosen = packages
            .iter()
            .filter(|package| matches(package))
            .filter(is_asked);
        chosen
            .map(|package| Subject {
                name: package.name.to_string(),
                architecture: package.architecture.to_string(),
                package: Some(package),
            })
            .collect()
    };
    let installed = by(&|package| *package.name == *name);
    if !installed.is_empty() {
        return installed;
    }
    let of_source = by(&|package| *package.source == *name);
    if !of_source.is_empty() {
        return of_source;
    }
    let mut offers = Vec::new();
    scan.channels.offers(name, &mut offers);
    let architecture = architecture.unwrap_or(&scan.host.channel_config.native_architecture);
    match offers.is_empty() {
        true => Vec::new(),
        false => vec![Subject {
            name: name.to_owned(),
            architecture: architecture.to_owned(),
            package: None,
        }],
    }
}

fn write(out: &mut String, subject: &Subject<'_>, explanation: &Explanation, style: Style) {
    let title = format!("{}:{}", shown(&subject.name), shown(&subject.architecture));
    out.push_str(&format!("{}\n", style.strong(&title)));
    for fact in &explanation.facts {
        out.push_str(&format!("  {}\n", shown(&fact.to_string())));
    }
    if explanation.facts.is_empty() {
        out.push_str("  nothing is known of it\n");
    }
}

/// Who vouches for the lists that were used, and which lists could not be asked.
fn vouchers(
    out: &mut String,
    scan: &Scan<'_>,
    used: &BTreeSet<domain::catalog::listing::ListingNo>,
    style: Style,
) {
    out.push_str(&format!("{}\n", style.strong("the lists")));
    let mut named = BTreeSet::new();
    for number in used {
        let (asked, answer) = scan.channels.source_of(*number);
        let first = asked.source.stanzas[0];
        if !named.insert((&first.uri, &first.suite)) {
            continue;
        }
        let signer = answer.signatures.first().map_or_else(String::new, |good| {
            let who = good.user_id.as_deref().unwrap_or("a key without a name");
            format!(", signed by {} ({})", shown(who), good.certificate)
        });
        let date = answer.release.facts().date.map_or_else(String::new, |at| {
            format!(", published {}", at.strftime("%Y-%m-%d %H:%M UTC"))
        });
        out.push_str(&format!(
            "  {} {}{date}{signer}\n",
            shown(&without_login(&first.uri)),
            shown(&first.suite)
        ));
    }
    for asked in &scan.channels.asked {
        if let Err(why) = &asked.outcome {
            let first = asked.source.stanzas[0];
            let warning = style.warn("not asked:");
            out.push_str(&format!(
                "  {warning} {} {}: {}\n",
                shown(&without_login(&first.uri)),
                shown(&first.suite),
                shown(&text::chain(why))
            ));
        }
    }
}
