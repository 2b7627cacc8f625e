//! Which packages were installed automatically. To apt, what is installed by name was wanted by a person; an order wants nothing,
//! so what was automatic stays so, and a new dependency is.

use super::tool::Tool;
use super::{Installed, Trouble, WorldPlaces};
use domain::order::Order;
use domain::rollout::deployment::Failure;
use std::collections::BTreeSet;
use std::ffi::OsString;

/// The packages of an order that are automatic when it is done, as apt names them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks(pub(crate) Vec<String>);

impl Marks {
    /// What is to be restored after this order.
    pub(crate) fn read(places: &WorldPlaces, order: &Order) -> Result<Self, Trouble> {
        let words = places.settings().into_iter().chain(["showauto".into()]);
        let text = Tool::AptMark.tell(words, Failure::PackageManager)?;
        let automatic: BTreeSet<&str> = text.split_ascii_whitespace().collect();
        let native = Installed::read()?.native_architecture();
        let marks = order.packages.iter().filter_map(|package| {
            let full = format!("{}:{}", package.name, package.architecture);
            // Packages of other architectures are named with theirs.
            let is_native = *package.architecture == *native || &*package.architecture == "all";
            let said = if is_native { &*package.name } else { &*full };
            let is_automatic = package.from.is_none() || automatic.contains(said);
            is_automatic.then(|| said.to_owned())
        });
        Ok(Self(marks.collect()))
    }

    /// Marks them again.
    pub(crate) fn restore(&self, places: &WorldPlaces) -> Result<(), Trouble> {
        if self.0.is_empty() {
            return Ok(());
        }
        let words = places.settings().into_iter().chain([OsString::from("auto")]);
        let words = words.chain(self.0.iter().map(OsString::from));
        Tool::AptMark.tell(words, Failure::PackageManager).map(drop)
    }
}
