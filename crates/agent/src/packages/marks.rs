//! Which packages were installed automatically. To apt, what is installed by name was wanted by a person; an order wants nothing,
//! so what was automatic stays so, and a new dependency is. apt's own file is read, which is a hundred times quicker than
//! asking apt; it is changed by apt's own program alone, and only where apt has cleared a mark.

use super::tool::Tool;
use super::{Installed, Trouble, WorldPlaces};
use crate::apt_conf::read::{ConfOptions, read as read_conf};
use crate::tree::Tree;
use domain::deb822::Scanner;
use domain::order::Order;
use domain::rollout::deployment::Failure;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;

/// The file of marks, unless the host says otherwise (apt.conf(5)).
const STATES: &str = "/var/lib/apt/extended_states";
/// It is never larger: 20,000 packages take 1.4 MB.
const STATES_BYTES: u64 = 16 << 20;

/// The packages of an order that are automatic when it is done, as `name:architecture`, of which none is `all`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks(pub(crate) Vec<String>);

impl Marks {
    /// What is to be restored after this order.
    pub(crate) fn read(order: &Order) -> Result<Self, Trouble> {
        let automatic = automatic()?;
        let native = Installed::read()?.native_architecture();
        let marks = order.packages.iter().filter_map(|package| {
            // apt has packages of architecture `all` among the native ones.
            let architecture = match &*package.architecture {
                "all" => &*native,
                own => own,
            };
            let name = format!("{}:{architecture}", package.name);
            (package.from.is_none() || automatic.contains(&name)).then_some(name)
        });
        Ok(Self(marks.collect()))
    }

    /// Marks again what lost its mark.
    pub(crate) fn restore(&self, places: &WorldPlaces) -> Result<(), Trouble> {
        let automatic = automatic()?;
        let lost: Vec<_> = (self.0.iter())
            .filter(|name| !automatic.contains(*name))
            .collect();
        if lost.is_empty() {
            return Ok(());
        }
        let words = places.settings().into_iter().chain([OsString::from("auto")]);
        let words = words.chain(lost.into_iter().map(OsString::from));
        Tool::AptMark.tell(words, Failure::PackageManager).map(drop)
    }
}

/// All that apt has as automatic.
fn automatic() -> Result<BTreeSet<String>, Trouble> {
    let failed = |why: &str| {
        Trouble::new(
            Failure::PackageManager,
            &format!("cannot read apt's marks: {why}"),
        )
    };
    let tree = Tree::open(Path::new("/")).map_err(|error| failed(&crate::problem::chain(&error)))?;
    let (conf, _) = read_conf(&tree, &ConfOptions::default());
    let path = match conf.text("Dir::State::extended_states") {
        Some(_) => conf.file("Dir::State::extended_states"),
        None => STATES.to_owned(),
    };
    let bytes = match tree.read(&path, STATES_BYTES) {
        Ok(bytes) => bytes,
        Err(error) if error.is_not_found() => return Ok(BTreeSet::new()),
        Err(error) => return Err(failed(&crate::problem::chain(&error))),
    };
    let mut automatic = BTreeSet::new();
    let mut stanzas = Scanner::new(&bytes);
    while let Some(fields) = stanzas.next_stanza() {
        let fields = fields.map_err(|error| failed(&error.to_string()))?;
        let text = |name: &str| {
            let field = fields.iter().find(|field| field.is(name));
            field.and_then(|field| field.text().ok()).unwrap_or_default()
        };
        if text("Auto-Installed") == "1" {
            automatic.insert(format!("{}:{}", text("Package"), text("Architecture")));
        }
    }
    Ok(automatic)
}
