//! Lists of hosts in the order of names, by every filter that the API has. Each filter has an index that ends in the name,
//! so that a page costs what it shows.

use super::{COLUMNS, Host, HostMode, HostStanding, HostState, counts, read};
use crate::db::placeholders;
use crate::value::{Row, Value, values};
use crate::{ByName, Error, Page, Scope, View};
use domain::id::{HostId, SiteId};
use jiff::Timestamp;
use roaring::RoaringBitmap;
use std::ops::ControlFlow;

/// Which hosts a list has: those that all of the conditions hold for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostFilter {
    /// By name.
    pub name: Option<HostNames>,
    /// At this site.
    pub site: Option<SiteId>,
    /// With this tag.
    pub tag: Option<String>,
    /// In this state; without one, every host that is not retired.
    pub state: Option<HostState>,
    /// Enrolled and not retired at this moment, whatever its state is now.
    pub there_at: Option<Timestamp>,
    /// That stand so.
    pub standing: Option<HostStanding>,
    /// With this mode.
    pub mode: Option<HostMode>,
    /// With one of these numbers: the hosts that miss an update, or of a query.
    pub numbers: Option<RoaringBitmap>,
}

/// Which names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostNames {
    /// This very name.
    Exactly(String),
    /// Those that begin so.
    Beginning(String),
    /// Those in which this occurs, whatever the case of ASCII letters.
    Containing(String),
}

/// Below this many numbers, hosts are looked up by number; above, the list of names is read until a page is full.
const FEW_NUMBERS: u64 = 2_000;

/// The hosts that the filter lets through, in the order of names.
///
/// # Errors
/// Of the database.
pub fn page(
    view: &mut View,
    scope: &Scope,
    filter: &HostFilter,
    after: Option<&ByName<HostId>>,
    limit: u32,
) -> Result<Page<Host, ByName<HostId>>, Error> {
    let wanted = limit.saturating_add(1);
    let keys = match &filter.numbers {
        None => {
            let (sql, values) = Query::of(scope, filter, after).page(wanted);
            view.list(sql, values, read_key)?
        }
        Some(numbers) if numbers.len() <= FEW_NUMBERS => few(view, scope, filter, after, numbers, wanted)?,
        Some(numbers) => many(view, scope, filter, after, numbers, wanted)?,
    };
    let rows = hosts_of(view, scope, &keys)?;
    Ok(Page::of(rows, limit, |host| ByName {
        name: host.name.clone(),
        id: host.id,
    }))
}

/// What a list is ordered by. Keys are found in an index alone; only the hosts of one page are looked at.
type Key = (String, HostId);

fn read_key(row: &Row) -> Result<Key, Error> {
    Ok((row.get(0)?, row.get(1)?))
}

/// The hosts with these keys, in their order.
fn hosts_of(view: &mut View, scope: &Scope, keys: &[Key]) -> Result<Vec<Host>, Error> {
    let mut hosts: Vec<Host> = Vec::with_capacity(keys.len());
    for keys in keys.chunks(256) {
        let mut values = values![scope];
        values.extend(keys.iter().map(|(_, id)| (*id).into()));
        let sql = format!(
            "SELECT {} FROM (VALUES {}) AS n CROSS JOIN hosts h WHERE h.tenant_id = $1 AND h.id = n.column1",
            columns(),
            one_a_row(2, keys.len())
        );
        hosts.extend(view.list(sql, values, read)?);
    }
    hosts.sort_unstable_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
    counts::fill(view, scope, &mut hosts)?;
    Ok(hosts)
}

/// `($from), ($from+1), ...`: a table of so many rows. Joined by `CROSS JOIN`, SQLite goes through it first and looks each
/// row up by the whole of a key; an `IN` list makes it read all of a tenant.
fn one_a_row(from: usize, count: usize) -> String {
    (from..from + count)
        .map(|number| format!("(${number})"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn few(
    view: &mut View,
    scope: &Scope,
    filter: &HostFilter,
    after: Option<&ByName<HostId>>,
    numbers: &RoaringBitmap,
    wanted: u32,
) -> Result<Vec<Key>, Error> {
    let numbers: Vec<u32> = numbers.iter().collect();
    let mut keys: Vec<Key> = Vec::new();
    for numbers in numbers.chunks(256) {
        let mut query = Query::of(scope, filter, after);
        query.with_numbers(numbers);
        let (sql, values) = query.select("h.name, h.id", "");
        keys.extend(view.list(sql, values, read_key)?);
    }
    keys.sort_unstable();
    keys.truncate(wanted as usize);
    Ok(keys)
}

fn many(
    view: &mut View,
    scope: &Scope,
    filter: &HostFilter,
    after: Option<&ByName<HostId>>,
    numbers: &RoaringBitmap,
    wanted: u32,
) -> Result<Vec<Key>, Error> {
    let mut keys = Vec::new();
    let mut after = after.cloned();
    loop {
        // In pieces: PostgreSQL sends all that it was asked for, even to somebody who has enough.
        let query = Query::of(scope, filter, after.as_ref());
        let order = format!("{} LIMIT {PIECE}", query.order);
        let (sql, values) = query.select("h.name, h.id, h.host_no", &order);
        let piece = view.list(sql, values, |row| Ok((read_key(row)?, row.get::<u32>(2)?)))?;
        let is_last = piece.len() < PIECE;
        after = piece.last().map(|((name, id), _)| ByName {
            name: name.clone(),
            id: *id,
        });
        keys.extend(
            piece
                .into_iter()
                .filter(|(_, number)| numbers.contains(*number))
                .map(|(key, _)| key),
        );
        if is_last || keys.len() >= wanted as usize {
            keys.truncate(wanted as usize);
            return Ok(keys);
        }
    }
}

/// Keys that are read at a time where most of them may be passed over.
const PIECE: usize = 2_000;

/// How many hosts the filter lets through.
///
/// # Errors
/// Of the database.
pub fn count(view: &mut View, scope: &Scope, filter: &HostFilter) -> Result<u64, Error> {
    let query = Query::of(scope, filter, None);
    let Some(numbers) = &filter.numbers else {
        let (sql, values) = query.select("COUNT(*)", "");
        return Ok(view.find(sql, values, |row| row.get(0))?.unwrap_or(0));
    };
    let (sql, values) = query.select("h.host_no", "");
    let mut found = 0;
    view.each(sql, values, |row| {
        found += u64::from(numbers.contains(row.get(0)?));
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(found)
}

/// The tags of these hosts, in the order of host ids and tags.
///
/// # Errors
/// Of the database.
pub fn tags(view: &mut View, scope: &Scope, hosts: &[HostId]) -> Result<Vec<(HostId, String)>, Error> {
    let mut found = Vec::new();
    for hosts in hosts.chunks(256) {
        let ids = placeholders(2, hosts.len());
        let sql = format!("SELECT host_id, tag FROM host_tags WHERE tenant_id = $1 AND host_id IN ({ids})");
        let mut values = values![scope];
        values.extend(hosts.iter().map(|host| (*host).into()));
        found.extend(view.list(sql, values, |row: &Row| Ok((row.get(0)?, row.get(1)?)))?);
    }
    found.sort_unstable();
    Ok(found)
}

fn columns() -> String {
    COLUMNS
        .split(", ")
        .map(|column| format!("h.{}", column.trim()))
        .collect::<Vec<_>>()
        .join(", ")
}

/// A query under construction: fixed texts with placeholders, and the values for them.
struct Query {
    conditions: Vec<String>,
    values: Vec<Value>,
    tables: String,
    order: &'static str,
}

impl Query {
    fn of(scope: &Scope, filter: &HostFilter, after: Option<&ByName<HostId>>) -> Self {
        let by_tag = filter.tag.is_some();
        let mut query = Self {
            conditions: vec!["h.tenant_id = $1".into()],
            values: values![scope],
            tables: if by_tag {
                "host_tags t CROSS JOIN hosts h".into()
            } else {
                "hosts h".into()
            },
            order: if by_tag {
                "ORDER BY t.name, t.host_id"
            } else {
                "ORDER BY h.name, h.id"
            },
        };
        if let Some(tag) = &filter.tag {
            query.with("t.tenant_id = $1 AND t.host_id = h.id AND t.tag = ?", tag.into());
        }
        if let Some(site) = filter.site {
            query.with("h.site_id = ?", site.into());
        }
        match (filter.state, filter.there_at) {
            (Some(state), _) => query.with("h.state = ?", state.into()),
            (None, None) => query.with("h.state <> ?", HostState::Retired.into()),
            (None, Some(_)) => {}
        }
        if let Some(at) = filter.there_at {
            query.with("h.enrolled_at <= ?", at.into());
            query.with("COALESCE(h.retired_at, 9223372036854775807) > ?", at.into());
        }
        if let Some(standing) = filter.standing {
            query.with("h.standing = ?", standing.into());
        }
        if let Some(mode) = filter.mode {
            query.with("h.mode = ?", mode.into());
        }
        if let Some(name) = &filter.name {
            query.with_name(name);
        }
        if let Some(after) = after {
            let next = query.values.len() + 1;
            let place = if by_tag {
                "t.name, t.host_id"
            } else {
                "h.name, h.id"
            };
            query
                .conditions
                .push(format!("({place}) > (${next}, ${})", next + 1));
            query.values.extend(values![&after.name, after.id]);
        }
        query
    }

    /// Adds a condition; its question mark stands for the value.
    fn with(&mut self, condition: &str, value: Value) {
        self.values.push(value);
        self.conditions
            .push(condition.replace('?', &format!("${}", self.values.len())));
    }

    fn with_name(&mut self, name: &HostNames) {
        match name {
            HostNames::Exactly(name) => self.with("h.name = ?", name.into()),
            HostNames::Beginning(start) => {
                self.with("h.name >= ?", start.into());
                if let Some(end) = after_prefix(start) {
                    self.with("h.name < ?", end.into());
                }
            }
            HostNames::Containing(part) => {
                let mut pattern = String::from("%");
                for letter in part.chars() {
                    if matches!(letter, '%' | '_' | '!') {
                        pattern.push('!');
                    }
                    pattern.push(letter.to_ascii_lowercase());
                }
                pattern.push('%');
                self.with("LOWER(h.name) LIKE ? ESCAPE '!'", pattern.into());
            }
        }
    }

    fn with_numbers(&mut self, numbers: &[u32]) {
        let rows = one_a_row(self.values.len() + 1, numbers.len());
        let tags = if self.tables.contains("host_tags") {
            "CROSS JOIN host_tags t"
        } else {
            ""
        };
        self.tables = format!("(VALUES {rows}) AS n CROSS JOIN hosts h {tags}");
        self.conditions.push("h.host_no = n.column1".into());
        self.values.extend(numbers.iter().map(|number| (*number).into()));
    }

    fn select(self, columns: &str, order: &str) -> (String, Vec<Value>) {
        let conditions = self.conditions.join(" AND ");
        (
            format!("SELECT {columns} FROM {} WHERE {conditions} {order}", self.tables),
            self.values,
        )
    }

    fn page(mut self, limit: u32) -> (String, Vec<Value>) {
        self.values.push(limit.into());
        let order = format!("{} LIMIT ${}", self.order, self.values.len());
        self.select("h.name, h.id", &order)
    }
}

/// The least text above every text that begins so; none where there is no such text.
fn after_prefix(start: &str) -> Option<String> {
    let mut letters: Vec<char> = start.chars().collect();
    while let Some(last) = letters.pop() {
        let next = match last {
            '\u{d7ff}' => Some('\u{e000}'),
            _ => char::from_u32(u32::from(last) + 1),
        };
        if let Some(next) = next {
            letters.push(next);
            return Some(letters.into_iter().collect());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::after_prefix;

    #[test]
    fn the_end_of_a_prefix_is_above_all_that_begin_so_and_below_the_rest() {
        assert_eq!(after_prefix("web").as_deref(), Some("wec"));
        assert_eq!(after_prefix("web\u{10ffff}").as_deref(), Some("wec"));
        assert_eq!(after_prefix("\u{d7ff}").as_deref(), Some("\u{e000}"));
        assert_eq!(after_prefix("\u{10ffff}"), None);
        assert_eq!(after_prefix(""), None);
    }
}
