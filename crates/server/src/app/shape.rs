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

/// A whole number as JSON writes it: `300`, and `300.0` too, which is the same number (JSON Schema, validation 6.1.1); of 63
/// bits, as the document says of such numbers (int64).
struct Whole(u64);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl serde::de::Visitor<'_> for Visit {
            type Value = Whole;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a whole number from 0")
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Whole, E> {
                match i64::try_from(number) {
                    Ok(_) => Ok(Whole(number)),
                    Err(_beyond) => Err(E::custom("the number is too large")),
                }
            }

            fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Whole, E> {
                // Above 2^53 not every whole number can be written so.
                let is_whole = number.fract() == 0.0 && (0.0..9_007_199_254_740_992.0).contains(&number);
                match is_whole {
                    true => Ok(Whole(number as u64)),
                    false => Err(E::invalid_value(serde::de::Unexpected::Float(number), &self)),
                }
            }
        }
        deserializer.deserialize_any(Visit)
    }
}

/// Reads a whole number.
///
/// # Errors
/// Anything else, and one that is too large.
pub fn whole<'de, D: serde::Deserializer<'de>, N: TryFrom<u64>>(deserializer: D) -> Result<N, D::Error> {
    let Whole(number) = Whole::deserialize(deserializer)?;
    N::try_from(number).map_err(|_beyond| serde::de::Error::custom("the number is too large"))
}

/// Reads a whole number or null.
///
/// # Errors
/// As [`whole`].
pub fn maybe_whole<'de, D: serde::Deserializer<'de>, N: TryFrom<u64>>(
    deserializer: D,
) -> Result<Option<N>, D::Error> {
    let number = Option::<Whole>::deserialize(deserializer)?;
    let number = number.map(|Whole(number)| N::try_from(number)).transpose();
    number.map_err(|_beyond| serde::de::Error::custom("the number is too large"))
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Numbers {
        #[serde(deserialize_with = "whole")]
        one: u32,
        #[serde(default, deserialize_with = "maybe_whole")]
        other: Option<u32>,
    }

    #[test]
    fn a_whole_number_is_read_however_json_writes_it_and_no_other_is() {
        let read = |text: &str| {
            serde_json::from_str::<Numbers>(text)
                .ok()
                .map(|it| (it.one, it.other))
        };
        assert_eq!(read(r#"{"one":300,"other":300.0}"#), Some((300, Some(300))));
        assert_eq!(read(r#"{"one":3e2}"#), Some((300, None)));
        assert_eq!(read(r#"{"one":4294967295,"other":null}"#), Some((u32::MAX, None)));
        let largest = |text: &str| serde_json::from_str(text).ok().map(|Whole(number)| number);
        assert_eq!(largest("9223372036854775807"), Some((1 << 63) - 1));
        assert_eq!(largest("9223372036854775808"), None);
        for wrong in [
            "4294967296",
            "-1",
            "0.5",
            "-0.5",
            "1e300",
            "\"3\"",
            "null",
            "true",
            "[3]",
        ] {
            assert_eq!(read(&format!(r#"{{"one":{wrong}}}"#)), None, "{wrong}");
        }
    }
}
