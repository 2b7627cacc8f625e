//! How the facts document says what was changed on a host lately, and by whom.

use crate::document::{Wire, wire_struct};
use crate::wire::is_default;
use domain::host::change::{Author, History, PackageChange, Transaction};
use serde::{Deserialize, Serialize};

/// The latest changes of packages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireHistory {
    /// Oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transactions: Vec<WireTransaction>,
    /// Why there may have been more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<String>,
}

wire_struct!(WireHistory = History { transactions, unread });

/// Changes that belong together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireTransaction {
    /// When, in microseconds since 1970 by the host's own clock.
    pub at_micros: i64,
    /// Who.
    pub by: WireAuthor,
    /// The command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// What.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<WirePackageChange>,
    /// How many more.
    #[serde(default, skip_serializing_if = "is_default")]
    pub omitted: u32,
}

wire_struct!(
    WireTransaction = Transaction {
        at_micros,
        by,
        command,
        changes,
        omitted
    }
);

/// One package's change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WirePackageChange {
    /// Its name.
    pub package: Box<str>,
    /// Its architecture.
    pub architecture: Box<str>,
    /// The version before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Box<str>>,
    /// The version after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Box<str>>,
}

wire_struct!(
    WirePackageChange = PackageChange {
        package,
        architecture,
        from,
        to
    }
);

/// Who changed packages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum WireAuthor {
    /// Patchyard's agent, by this order.
    Patchyard {
        /// The order's name.
        order: String,
    },
    /// Another tool.
    Tool {
        /// Its name.
        name: String,
    },
    /// A person.
    Person {
        /// Their login.
        login: String,
        /// The program that they used.
        program: String,
    },
    /// Root, whoever that was.
    Root {
        /// The program that was used.
        program: String,
    },
    /// Nobody is recorded.
    Unrecorded,
}

impl Wire for WireAuthor {
    type Domain = Author;

    fn of(value: &Author) -> Self {
        match value.clone() {
            Author::Patchyard { order } => Self::Patchyard { order },
            Author::Tool { name } => Self::Tool { name },
            Author::Person { login, program } => Self::Person { login, program },
            Author::Root { program } => Self::Root { program },
            Author::Unrecorded => Self::Unrecorded,
        }
    }

    fn into_domain(self) -> Author {
        match self {
            Self::Patchyard { order } => Author::Patchyard { order },
            Self::Tool { name } => Author::Tool { name },
            Self::Person { login, program } => Author::Person { login, program },
            Self::Root { program } => Author::Root { program },
            Self::Unrecorded => Author::Unrecorded,
        }
    }
}
