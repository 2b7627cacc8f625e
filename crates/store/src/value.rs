//! What goes into a statement and what comes out of a row, alike on both engines: 64-bit integers, text and bytes. Types
//! of the domain are converted here, once.

use crate::error::Error;
use crate::scope::{Owner, Scope};
use domain::digest::Sha256Digest;
use domain::id::{
    AuditId, BackupId, ChangeId, DeploymentId, EnrolmentTokenId, EpochId, GrantId, HostId, KeyId, NodeId,
    RequestId, RoleId, SessionId, SiteId, SnapshotId, SourceId, TenantId, TokenId, UpdateKey, UserId,
};
use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;

/// A value for a placeholder. An absent one has a type too, because PostgreSQL asks for it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// BIGINT or INTEGER.
    Int(Option<i64>),
    /// TEXT.
    Text(Option<String>),
    /// BYTEA or BLOB.
    Bytes(Option<Vec<u8>>),
}

/// The values of a statement's placeholders, in order.
macro_rules! values {
    ($($value:expr),* $(,)?) => { vec![$($crate::value::Value::from($value)),*] };
}
pub(crate) use values;

impl Value {
    fn absent(self) -> Self {
        match self {
            Self::Int(_) => Self::Int(None),
            Self::Text(_) => Self::Text(None),
            Self::Bytes(_) => Self::Bytes(None),
        }
    }
}

/// A type that a column can hold.
pub(crate) trait Field: Sized {
    /// A value of the type; any will do: it says how an absent one is typed.
    fn example() -> Value;
    /// Reads it. The raw value has the type of [`Field::example`].
    fn read(value: Value) -> Option<Self>;
}

impl<T: Field + Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or_else(|| T::example().absent(), Into::into)
    }
}

impl<T: Field> Field for Option<T> {
    fn example() -> Value {
        T::example()
    }
    fn read(value: Value) -> Option<Self> {
        match value {
            Value::Int(None) | Value::Text(None) | Value::Bytes(None) => Some(None),
            value => T::read(value).map(Some),
        }
    }
}

macro_rules! field {
    ($type:ty, $kind:ident, |$out:ident| $to:expr, |$in:ident| $from:expr) => {
        impl From<$type> for Value {
            fn from($out: $type) -> Self {
                Self::$kind(Some($to))
            }
        }
        impl Field for $type {
            fn example() -> Value {
                Value::$kind(None)
            }
            fn read(value: Value) -> Option<Self> {
                match value {
                    Value::$kind(Some($in)) => $from,
                    _ => None,
                }
            }
        }
    };
}

field!(i64, Int, |n| n, |n| Some(n));
field!(u32, Int, |n| i64::from(n), |n| u32::try_from(n).ok());
field!(u16, Int, |n| i64::from(n), |n| u16::try_from(n).ok());
// Counts and sizes: what is beyond SQL's integers is stored as their greatest, and never comes near it.
field!(u64, Int, |n| i64::try_from(n).unwrap_or(i64::MAX), |n| {
    u64::try_from(n).ok()
});
field!(bool, Int, |is| i64::from(is), |n| match n {
    0 => Some(false),
    1 => Some(true),
    _ => None,
});
field!(String, Text, |text| text, |text| Some(text));
field!(Vec<u8>, Bytes, |bytes| bytes, |bytes| Some(bytes));
field!([u8; 16], Bytes, |bytes| bytes.to_vec(), |bytes| bytes
    .try_into()
    .ok());
field!([u8; 32], Bytes, |bytes| bytes.to_vec(), |bytes| bytes
    .try_into()
    .ok());
field!([u8; 64], Bytes, |bytes| bytes.to_vec(), |bytes| bytes
    .try_into()
    .ok());
field!(Timestamp, Int, |at| at.as_microsecond(), |n| {
    Timestamp::from_microsecond(n).ok()
});
field!(Sha256Digest, Bytes, |digest| digest.0.to_vec(), |bytes| bytes
    .try_into()
    .ok()
    .map(Sha256Digest));
field!(Owner, Bytes, |owner| owner.bytes().to_vec(), |bytes| bytes
    .try_into()
    .ok()
    .map(Owner::from_bytes));

macro_rules! id_fields {
    ($($id:ident),*) => {$(
        field!($id, Bytes, |id| id.0.to_vec(), |bytes| bytes.try_into().ok().map($id));
    )*};
}
id_fields!(
    TenantId,
    SiteId,
    HostId,
    UserId,
    RoleId,
    GrantId,
    SessionId,
    TokenId,
    EnrolmentTokenId,
    SourceId,
    SnapshotId,
    UpdateKey,
    ChangeId,
    DeploymentId,
    AuditId,
    NodeId,
    EpochId,
    BackupId,
    RequestId,
    KeyId
);

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }
}
impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::Text(Some(text.clone()))
    }
}
impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(Some(bytes.to_vec()))
    }
}
impl From<&Scope> for Value {
    fn from(scope: &Scope) -> Self {
        scope.tenant().into()
    }
}

/// A row of an answer.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Row {
    /// The column at this place, counted from zero.
    pub(crate) fn get<T: Field>(&self, at: usize) -> Result<T, Error> {
        let raw = match (self, T::example()) {
            (Self::Sqlite(row), Value::Int(_)) => row.try_get(at).map(Value::Int),
            (Self::Sqlite(row), Value::Text(_)) => row.try_get(at).map(Value::Text),
            (Self::Sqlite(row), Value::Bytes(_)) => row.try_get(at).map(Value::Bytes),
            (Self::Postgres(row), Value::Int(_)) => row.try_get(at).map(Value::Int),
            (Self::Postgres(row), Value::Text(_)) => row.try_get(at).map(Value::Text),
            (Self::Postgres(row), Value::Bytes(_)) => row.try_get(at).map(Value::Bytes),
        };
        T::read(raw.map_err(Error::from)?).ok_or(Error::Row {
            column: at,
            wanted: std::any::type_name::<T>(),
        })
    }

    /// Reads the columns one after the other.
    pub(crate) fn columns(&self) -> Columns<'_> {
        Columns { row: self, next: 0 }
    }
}

/// Reads a row's columns in the order in which they were selected.
pub(crate) struct Columns<'r> {
    row: &'r Row,
    next: usize,
}

impl Columns<'_> {
    /// The next column.
    pub(crate) fn next<T: Field>(&mut self) -> Result<T, Error> {
        self.next += 1;
        self.row.get(self.next - 1)
    }
}

/// A closed set of words, stored as text.
macro_rules! words {
    ($(#[$doc:meta])* pub enum $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// Every one of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word that stands in the database and on the wire.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }

            /// The one with this word.
            pub fn parse(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }

        impl From<$name> for $crate::value::Value {
            fn from(word: $name) -> Self {
                Self::from(word.as_str())
            }
        }

        impl $crate::value::Field for $name {
            fn example() -> $crate::value::Value {
                $crate::value::Value::Text(None)
            }
            fn read(value: $crate::value::Value) -> Option<Self> {
                match value {
                    $crate::value::Value::Text(Some(word)) => Self::parse(&word),
                    _ => None,
                }
            }
        }
    };
}
pub(crate) use words;
