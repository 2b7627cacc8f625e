//! What the channels say about each installed package, and what stands in the way on this host: the domain's rule over
//! what was read and asked.

use super::channels::Channels;
use super::simulate::{self, Simulated};
use agent::host::Host;
use domain::assess::findings::Subject;
pub use domain::assess::findings::{Finding, Findings};

/// Judges every installed package.
pub fn of<'a>(host: &'a Host, channels: &'a Channels<'_>, simulated: Option<&Simulated>) -> Findings<'a> {
    let config = &host.channel_config;
    let subject = Subject::new(
        config,
        &host.inventory,
        host.facts.machine_id.clone(),
        host.in_chroot,
    );
    Findings::of(
        &subject,
        channels.listings.all(),
        |name, into| channels.offers(name, into),
        |package| {
            let native = &config.native_architecture;
            simulated.map(|simulated| simulate::said(simulated, package, native))
        },
    )
}
