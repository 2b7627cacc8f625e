//! Updates and where they are listed. What an update is never changes; its classification follows its listings, and one that
//! left every source is withdrawn.

use crate::value::{Columns, Row, Value, values, words};
use crate::{Error, Owner, Page, Scope, Tx, View, Whole};
use domain::id::{SnapshotId, SourceId, UpdateKey};
use jiff::Timestamp;
use std::collections::{HashMap, HashSet};

words! {
    /// What kind of update it is, from where it is listed.
    pub enum UpdateClass {
        /// Listed in a security suite.
        Security = "security",
        /// Anything else.
        Other = "other",
    }
}

words! {
    /// Whether its publisher still offers it.
    pub enum UpdateState {
        /// Some source lists it.
        Listed = "listed",
        /// No source lists it any more.
        Withdrawn = "withdrawn",
        /// One identity, two contents: nothing may be done with it.
        Quarantined = "quarantined",
    }
}

/// What an update is: publisher, source package, version, build.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UpdateIdentity {
    /// The Release's Origin.
    pub origin: String,
    /// Fingerprints of the keys that may sign, sorted, as JSON.
    pub signing_keys: String,
    /// Source package.
    pub source: String,
    /// Source version.
    pub source_version: String,
    /// The binary-rebuild suffix, or empty.
    pub build: String,
}

/// An update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// Everybody's, or a tenant's own.
    pub owner: Owner,
    /// Its key.
    pub id: UpdateKey,
    /// What it is.
    pub identity: UpdateIdentity,
    /// What kind it is.
    pub class: UpdateClass,
    /// Whether it is still offered.
    pub state: UpdateState,
    /// When it was seen here first.
    pub first_seen_at: Timestamp,
    /// When it left its last source.
    pub withdrawn_at: Option<Timestamp>,
}

const COLUMNS: &str = "owner, id, origin, signing_keys, source, source_version, build, classification, state, \
                       first_seen_at, withdrawn_at";

fn read_identity(columns: &mut Columns<'_>) -> Result<UpdateIdentity, Error> {
    Ok(UpdateIdentity {
        origin: columns.next()?,
        signing_keys: columns.next()?,
        source: columns.next()?,
        source_version: columns.next()?,
        build: columns.next()?,
    })
}

fn read(row: &Row) -> Result<Update, Error> {
    let mut columns = row.columns();
    Ok(Update {
        owner: columns.next()?,
        id: columns.next()?,
        identity: read_identity(&mut columns)?,
        class: columns.next()?,
        state: columns.next()?,
        first_seen_at: columns.next()?,
        withdrawn_at: columns.next()?,
    })
}

/// Notes updates: new ones under the ids that they come with, known ones under those that they have. A known one gets the
/// classification it comes with, except that what was security stays so. The keys, in their order.
///
/// # Errors
/// Of the database.
pub fn note(
    tx: &mut Tx,
    _: &Whole,
    owner: Owner,
    updates: &[(UpdateKey, UpdateIdentity, UpdateClass)],
    now: Timestamp,
) -> Result<Vec<UpdateKey>, Error> {
    let mut given = HashSet::with_capacity(updates.len());
    let once = updates.iter().filter(|(_, identity, _)| given.insert(identity));
    let noted = tx.list_many(
        "INSERT INTO updates (owner, id, origin, signing_keys, source, source_version, build, classification, state,
             first_seen_at)",
        "ON CONFLICT (owner, source, source_version, build, origin, signing_keys) DO UPDATE SET
             classification = CASE WHEN updates.classification = 'security' THEN updates.classification
                 ELSE excluded.classification END,
             state = CASE WHEN updates.state = 'withdrawn' THEN excluded.state ELSE updates.state END,
             withdrawn_at = NULL
         RETURNING id, origin, signing_keys, source, source_version, build",
        once.map(|(id, identity, class)| {
            values![
                owner,
                *id,
                &identity.origin,
                &identity.signing_keys,
                &identity.source,
                &identity.source_version,
                &identity.build,
                *class,
                UpdateState::Listed,
                now
            ]
        }),
        |row| {
            let mut columns = row.columns();
            let id: UpdateKey = columns.next()?;
            Ok((read_identity(&mut columns)?, id))
        },
    )?;
    let noted: HashMap<UpdateIdentity, UpdateKey> = noted.into_iter().collect();
    let key_of = |(_, identity, _): &(UpdateKey, UpdateIdentity, UpdateClass)| noted.get(identity).copied();
    let keys: Option<Vec<UpdateKey>> = updates.iter().map(key_of).collect();
    keys.ok_or(Error::Decode {
        what: "the updates that were just noted",
    })
}

/// The update that the tenant sees with this id.
///
/// # Errors
/// Of the database.
pub fn get(view: &mut View, scope: &Scope, id: UpdateKey) -> Result<Option<Update>, Error> {
    view.find(
        format!("SELECT {COLUMNS} FROM updates WHERE owner IN ($1, $2) AND id = $3"),
        values![Owner::Shared, scope, id],
        read,
    )
}

/// The updates of this identity that the tenant sees: everybody's, its own, or both.
///
/// # Errors
/// Of the database.
pub fn by_identity(view: &mut View, scope: &Scope, identity: &UpdateIdentity) -> Result<Vec<Update>, Error> {
    view.list(
        format!(
            "SELECT {COLUMNS} FROM updates
             WHERE owner IN ($1, $2) AND source = $3 AND source_version = $4 AND build = $5 AND origin = $6
               AND signing_keys = $7
             ORDER BY owner"
        ),
        values![
            Owner::Shared,
            scope,
            &identity.source,
            &identity.source_version,
            &identity.build,
            &identity.origin,
            &identity.signing_keys
        ],
        read,
    )
}

/// Those of these that the tenant sees, in the order of ids.
///
/// # Errors
/// Of the database.
pub fn get_many(view: &mut View, scope: &Scope, ids: &[UpdateKey]) -> Result<Vec<Update>, Error> {
    let mut found = Vec::with_capacity(ids.len());
    for ids in ids.chunks(256) {
        let places = crate::db::placeholders(3, ids.len());
        let mut values = values![Owner::Shared, scope];
        values.extend(ids.iter().map(|id| (*id).into()));
        let sql = format!("SELECT {COLUMNS} FROM updates WHERE owner IN ($1, $2) AND id IN ({places})");
        found.extend(view.list(sql, values, read)?);
    }
    found.sort_unstable_by_key(|update| update.id);
    Ok(found)
}

/// Hands over every update of the server and its tenants: for filling a cache.
///
/// # Errors
/// Of the database, or what `take` fails with.
pub fn each(
    view: &mut View,
    _: &Whole,
    mut take: impl FnMut(Update) -> Result<(), Error>,
) -> Result<(), Error> {
    view.each(
        format!("SELECT {COLUMNS} FROM updates ORDER BY owner, id"),
        values![],
        |row| {
            take(read(row)?)?;
            Ok(std::ops::ControlFlow::Continue(()))
        },
    )
}

/// Which updates a list has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpdateFilter {
    /// Of this source package.
    pub package: Option<String>,
    /// Of this kind.
    pub class: Option<UpdateClass>,
    /// In this state.
    pub state: Option<UpdateState>,
    /// Listed by this source, now or then.
    pub source: Option<SourceId>,
    /// Only those that some host of the tenant misses, now or then.
    pub missed: Missed,
    /// As it was at a moment; now, without it.
    pub then: Option<Then>,
}

/// A moment of the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Then {
    /// When.
    pub at: Timestamp,
    /// The generation of findings that was known then; 0 before the first.
    pub generation: u64,
}

/// Whether it matters that some host misses an update.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missed {
    /// It does not.
    #[default]
    OrNot,
    /// Some host misses it.
    BySome,
}

/// The updates that the tenant sees and the filter lets through, the newest first: an id begins with the time at which it was
/// given (RFC 9562, section 5.7).
///
/// # Errors
/// Of the database.
pub fn page(
    view: &mut View,
    scope: &Scope,
    filter: &UpdateFilter,
    before: Option<UpdateKey>,
    limit: u32,
) -> Result<Page<Update, UpdateKey>, Error> {
    // Each owner's updates come out of an index in their order; together they would have to be sorted.
    let mut rows = Vec::new();
    for owner in [Owner::Shared, scope.owner()] {
        let (sql, values) = newest(scope, owner, filter, before, limit.saturating_add(1));
        rows.extend(view.list(sql, values, read)?);
    }
    rows.sort_unstable_by_key(|update| std::cmp::Reverse(update.id));
    rows.truncate(limit as usize + 1);
    Ok(Page::of(rows, limit, |update| update.id))
}

fn newest(
    scope: &Scope,
    owner: Owner,
    filter: &UpdateFilter,
    before: Option<UpdateKey>,
    limit: u32,
) -> (String, Vec<Value>) {
    let mut values = values![owner, Owner::Shared, scope, limit];
    let mut conditions = vec!["u.owner = $1".to_owned()];
    let mut wants = |condition: &str, given: Vec<Value>| {
        let mut condition = condition.to_owned();
        for value in given {
            values.push(value);
            condition = condition.replacen('?', &format!("${}", values.len()), 1);
        }
        conditions.push(condition);
    };
    if let Some(package) = &filter.package {
        wants("u.source = ?", values![package]);
    }
    if let Some(class) = filter.class {
        wants("u.classification = ?", values![class]);
    }
    if let Some(state) = filter.state {
        let (condition, given) = in_state(state, filter.then);
        wants(condition, given);
    }
    if let Some(then) = filter.then {
        wants("u.first_seen_at <= ?", values![then.at]);
    }
    // The updates of a source are gone through in the order of its listings: it may have none among the newest of all.
    let mut from = "updates u";
    if let Some(source) = filter.source {
        let at = filter.then.map_or(Value::from(OPEN - 1), |then| then.at.into());
        from = "listings l CROSS JOIN updates u";
        wants(
            "u.owner = l.owner AND u.id = l.update_id
             AND l.source_owner = (SELECT s.owner FROM sources s WHERE s.id = ? AND s.owner IN ($2, $3))
             AND l.source_id = ? AND l.listed_at <= ? AND l.delisted_at > ?",
            vec![source.into(), source.into(), at.clone(), at.clone()],
        );
        // It lists an update once for each component and architecture; grouping would have to look at all of them first.
        wants(
            "NOT EXISTS (SELECT 1 FROM listings m WHERE m.owner = l.owner AND m.update_id = l.update_id
                 AND m.source_owner = l.source_owner AND m.source_id = l.source_id
                 AND m.listed_at <= ? AND m.delisted_at > ?
                 AND (m.component, m.architecture, m.listed_at) < (l.component, l.architecture, l.listed_at))",
            vec![at.clone(), at],
        );
        if let Some(before) = before {
            wants("l.update_id < ?", values![before]);
        }
    }
    match (filter.missed, filter.then) {
        (Missed::OrNot, _) => {}
        (Missed::BySome, None) => wants(
            "EXISTS (SELECT 1 FROM finding_chunks f WHERE f.tenant_id = $3 AND f.update_id = u.id
                 AND f.until_generation = ?)",
            values![OPEN],
        ),
        (Missed::BySome, Some(then)) => wants(
            "EXISTS (SELECT 1 FROM finding_chunks f WHERE f.tenant_id = $3 AND f.update_id = u.id
                 AND f.generation <= ? AND f.until_generation > ?)",
            values![then.generation, then.generation],
        ),
    }
    if let Some(before) = before {
        wants("u.id < ?", values![before]);
    }
    let conditions = conditions.join(" AND ");
    // PostgreSQL wants to see each placeholder used: the tenant and the shared owner stand in every query.
    let columns: Vec<String> = COLUMNS.split(", ").map(|column| format!("u.{column}")).collect();
    let place = if filter.source.is_some() {
        "l.update_id"
    } else {
        "u.id"
    };
    let sql = format!(
        "SELECT {} FROM {from} WHERE {conditions} AND u.owner IN ($2, $3) ORDER BY {place} DESC LIMIT $4",
        columns.join(", ")
    );
    (sql, values)
}

/// The condition that an update is, or was then, in this state. Since when one is quarantined is not kept: it counts as such
/// for every moment, which nobody takes for a good one.
fn in_state(state: UpdateState, then: Option<Then>) -> (&'static str, Vec<Value>) {
    match (state, then) {
        (UpdateState::Listed, Some(then)) => (
            "u.state <> 'quarantined' AND COALESCE(u.withdrawn_at, 9223372036854775807) > ?",
            values![then.at],
        ),
        (UpdateState::Withdrawn, Some(then)) => (
            "u.state <> 'quarantined' AND u.withdrawn_at <= ?",
            values![then.at],
        ),
        (state, _) => ("u.state = ?", values![state]),
    }
}

/// One place where an update is published.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listing {
    /// Whose source.
    pub source_owner: Owner,
    /// The source.
    pub source: SourceId,
    /// Component.
    pub component: String,
    /// Architecture.
    pub architecture: String,
    /// Suite, as the release called itself then.
    pub suite: String,
    /// The snapshot that listed it first.
    pub first_snapshot: SnapshotId,
    /// Since when.
    pub listed_at: Timestamp,
    /// Until when; none while it is listed.
    pub delisted_at: Option<Timestamp>,
}

const LISTING: &str =
    "source_owner, source_id, component, architecture, suite, first_snapshot, listed_at, delisted_at";

/// What stands for the end of what has not ended.
const OPEN: i64 = i64::MAX;

fn read_listing(row: &Row) -> Result<Listing, Error> {
    let mut columns = row.columns();
    Ok(Listing {
        source_owner: columns.next()?,
        source: columns.next()?,
        component: columns.next()?,
        architecture: columns.next()?,
        suite: columns.next()?,
        first_snapshot: columns.next()?,
        listed_at: columns.next()?,
        delisted_at: Timestamp::from_microsecond(columns.next()?).ok(),
    })
}

/// Notes that updates are listed, each by the owner and key it has; what is listed already stays as it is.
///
/// # Errors
/// [`Error::NoSuchRow`] where an update or a source is not there.
pub fn list(tx: &mut Tx, _: &Whole, owner: Owner, listings: &[(UpdateKey, Listing)]) -> Result<(), Error> {
    for (update, listing) in listings {
        tx.execute(
            "INSERT INTO listings (owner, update_id, source_owner, source_id, component, architecture, suite,
                 first_snapshot, listed_at, delisted_at)
             SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10 WHERE NOT EXISTS (
                 SELECT 1 FROM listings WHERE owner = $1 AND update_id = $2 AND source_owner = $3 AND source_id = $4
                     AND component = $5 AND architecture = $6 AND delisted_at = $10)",
            values![
                owner,
                *update,
                listing.source_owner,
                listing.source,
                &listing.component,
                &listing.architecture,
                &listing.suite,
                listing.first_snapshot,
                listing.listed_at,
                OPEN
            ],
        )?;
    }
    Ok(())
}

/// Every listing of a source that has not ended, with the update that it is of.
///
/// # Errors
/// Of the database.
pub fn listed_by(view: &mut View, _: &Whole, source: SourceId) -> Result<Vec<(UpdateKey, Listing)>, Error> {
    view.list(
        format!(
            "SELECT {LISTING}, update_id FROM listings
             WHERE source_owner = (SELECT owner FROM sources WHERE id = $1) AND source_id = $1 AND delisted_at = $2
             ORDER BY update_id, component, architecture"
        ),
        values![source, OPEN],
        |row| Ok((row.get(8)?, read_listing(row)?)),
    )
}

/// Ends listings of a source, and withdraws the updates that no source lists any more; those updates.
///
/// # Errors
/// Of the database.
pub fn delist(
    tx: &mut Tx,
    _: &Whole,
    source: SourceId,
    listings: &[(UpdateKey, Listing)],
    now: Timestamp,
) -> Result<Vec<UpdateKey>, Error> {
    for (update, listing) in listings {
        tx.execute(
            "UPDATE listings SET delisted_at = $6
             WHERE source_owner = (SELECT owner FROM sources WHERE id = $1) AND source_id = $1 AND update_id = $2
               AND component = $3 AND architecture = $4 AND delisted_at = $5",
            values![source, *update, &listing.component, &listing.architecture, OPEN, now],
        )?;
    }
    let mut withdrawn = Vec::new();
    let mut updates: Vec<UpdateKey> = listings.iter().map(|(update, _)| *update).collect();
    updates.sort_unstable();
    updates.dedup();
    for update in updates {
        let gone = tx.execute(
            "UPDATE updates SET state = $2, withdrawn_at = $3
             WHERE id = $1 AND state = $4 AND NOT EXISTS (
                 SELECT 1 FROM listings l
                 WHERE l.owner = updates.owner AND l.update_id = updates.id AND l.delisted_at = $5)",
            values![update, UpdateState::Withdrawn, now, UpdateState::Listed, OPEN],
        )?;
        if gone > 0 {
            withdrawn.push(update);
        }
    }
    Ok(withdrawn)
}

/// Where an update is and was listed, as far as the tenant sees the sources, in the order of time.
///
/// # Errors
/// Of the database.
pub fn listings(view: &mut View, scope: &Scope, update: UpdateKey) -> Result<Vec<Listing>, Error> {
    view.list(
        format!(
            "SELECT {LISTING} FROM listings
             WHERE owner IN ($1, $2) AND source_owner IN ($1, $2) AND update_id = $3
             ORDER BY listed_at, source_owner, source_id, component, architecture"
        ),
        values![Owner::Shared, scope, update],
        read_listing,
    )
}

/// Marks an update that was seen with two contents. Whether it was not marked before.
///
/// # Errors
/// Of the database.
pub fn quarantine(tx: &mut Tx, _: &Whole, update: UpdateKey) -> Result<bool, Error> {
    let marked = tx.execute(
        "UPDATE updates SET state = $2 WHERE id = $1 AND state <> $2",
        values![update, UpdateState::Quarantined],
    )?;
    Ok(marked == 1)
}
