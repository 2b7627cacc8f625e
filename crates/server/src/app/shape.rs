//! The small shapes that all answers are made of: ids, times, pages.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};
use utoipa::openapi::schema::{ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{KnownFormat, RefOr, Schema};

/// An id in its text form: a UUID.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IdText(pub String);

impl IdText {
    /// The text of any id.
    pub fn of(id: impl fmt::Display) -> Self {
        Self(id.to_string())
    }
}

impl utoipa::PartialSchema for IdText {
    fn schema() -> RefOr<Schema> {
        let format = SchemaFormat::Custom("uuid".to_owned());
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(format))
            .into()
    }
}

impl utoipa::ToSchema for IdText {}

/// A moment, as RFC 3339 in UTC with microseconds where it has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct When(pub Timestamp);

impl Serialize for When {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for When {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(|_malformed| {
            serde::de::Error::custom("a time is written as RFC 3339 says, such as 2026-01-31T12:00:00Z")
        })
    }
}

impl utoipa::PartialSchema for When {
    fn schema() -> RefOr<Schema> {
        let format = SchemaFormat::KnownFormat(KnownFormat::DateTime);
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(format))
            .into()
    }
}

impl utoipa::ToSchema for When {}

/// What can stand in a list, and be exported as a table.
pub trait Listed: Serialize {
    /// The fields that a table has, in order.
    const COLUMNS: &'static [&'static str];
}

/// A part of a list: its items, and the key of the last one while there are more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part<T, K> {
    /// In the list's order.
    pub items: Vec<T>,
    /// Where the next part begins.
    pub next: Option<K>,
}

impl<T, K> Part<T, K> {
    /// A page of the store, shown.
    pub fn of<Row, Key>(
        page: store::Page<Row, Key>,
        show: impl FnMut(Row) -> T,
        key: impl FnOnce(Key) -> K,
    ) -> Self {
        Self {
            items: page.rows.into_iter().map(show).collect(),
            next: page.next.map(key),
        }
    }
}
