//! Sites: the places of a tenant's hosts.

use domain::id::SiteId;
use serde::{Deserialize, Serialize};
use store::ByName;
use store::site::{self, Site};
use utoipa::ToSchema;

use super::caller::{Caller, Place};
use super::change::{self, Done, Keep, Made, Once, Record};
use super::permission::{Noun, Verb, Within};
use super::refusal::{Refusal, changed};
use super::shape::{IdText, Listed, Part, When};
use super::text;
use crate::Context;

/// A site, shown.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Site)]
pub struct SiteView {
    /// Its id.
    pub id: IdText,
    /// Its name, unique within the tenant.
    pub name: String,
    /// When it was made.
    pub created_at: When,
    /// Counts its changes; the ETag is made of it.
    pub version: i64,
}

impl Listed for SiteView {
    const COLUMNS: &'static [&'static str] = &["id", "name", "created_at"];
}

impl From<Site> for SiteView {
    fn from(site: Site) -> Self {
        Self {
            id: IdText::of(site.id),
            name: site.name,
            created_at: When(site.created_at),
            version: site.version,
        }
    }
}

/// A site to make, or its new name.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SiteName {
    /// Its name: 1 to 64 characters, unique within the tenant.
    #[schema(min_length = 1, max_length = 64)]
    pub name: String,
}

/// The sites that the caller may see, in the order of names.
///
/// # Errors
/// Of the database.
pub async fn list(
    ctx: &Context,
    place: &Place,
    after: Option<(String, SiteId)>,
    limit: u32,
) -> Result<Part<SiteView, (String, String)>, Refusal> {
    let (scope, within) = (place.scope, place.within.clone());
    let after = after.map(|(name, id)| ByName { name, id });
    let page = ctx.db.read(move |view| match &within {
        Within::Everywhere => site::page(view, &scope, after.as_ref(), limit),
        Within::Nowhere => Ok(store::Page {
            rows: Vec::new(),
            next: None,
        }),
        Within::Sites(sites) => {
            let found = sites
                .iter()
                .map(|id| site::get(view, &scope, *id))
                .collect::<Result<Vec<_>, _>>()?;
            let mut rows: Vec<_> = found.into_iter().flatten().collect();
            rows.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
            rows.retain(|site| {
                after
                    .as_ref()
                    .is_none_or(|key| (&site.name, site.id) > (&key.name, key.id))
            });
            let has_more = rows.len() > limit as usize;
            rows.truncate(limit as usize);
            let last = rows.last().map(|site| ByName {
                name: site.name.clone(),
                id: site.id,
            });
            Ok(store::Page {
                rows,
                next: last.filter(|_| has_more),
            })
        }
    });
    Ok(Part::of(page.await?, SiteView::from, |key| {
        (key.name, key.id.to_string())
    }))
}

/// One site.
///
/// # Errors
/// Not found.
pub async fn get(ctx: &Context, place: &Place, id: SiteId) -> Result<SiteView, Refusal> {
    place.reaches(id, "site")?;
    let scope = place.scope;
    let found = ctx.db.read(move |view| site::get(view, &scope, id)).await?;
    found
        .map(SiteView::from)
        .ok_or(Refusal::NotFound { what: "site" })
}

/// Makes a site.
///
/// # Errors
/// Where the name is taken or not allowed.
pub async fn create(
    ctx: &Context,
    caller: &Caller,
    place: &Place,
    once: Once,
    new: SiteName,
) -> Result<Made, Refusal> {
    let name = text::name("/name", &new.name)?;
    let id = change::draw_id(ctx, SiteId::new);
    let (scope, now) = (place.scope, ctx.clock.now());
    change::make(ctx, caller, scope.owner(), once, Keep::Plain, move |tx| {
        let site = site::create(tx, &scope, id, &name, now).map_err(Refusal::taken("site"))?;
        let record = Record::of(Verb::Create, Noun::Site, id).with("name", &*name);
        Ok(Done::new(SiteView::from(site), record).version(1))
    })
    .await
}

/// Renames a site.
///
/// # Errors
/// Where the name is taken or not allowed, or somebody changed it meanwhile.
pub async fn rename(
    ctx: &Context,
    caller: &Caller,
    place: &Place,
    id: SiteId,
    version: i64,
    wanted: SiteName,
) -> Result<SiteView, Refusal> {
    place.reaches(id, "site")?;
    let name = text::name("/name", &wanted.name)?;
    let scope = place.scope;
    change::change(ctx, caller, scope.owner(), move |tx| {
        let record = Record::of(Verb::Change, Noun::Site, id).with("name", &*name);
        let after = site::rename(tx, &scope, id, version, &name).map_err(Refusal::taken("site"))?;
        Ok(Done::new(SiteView::from(changed(after, "site")?), record))
    })
    .await
}

/// Removes a site that no host stands at.
///
/// # Errors
/// While hosts or tokens refer to it, or when somebody changed it meanwhile.
pub async fn remove(
    ctx: &Context,
    caller: &Caller,
    place: &Place,
    id: SiteId,
    version: i64,
) -> Result<(), Refusal> {
    place.reaches(id, "site")?;
    let scope = place.scope;
    change::change(ctx, caller, scope.owner(), move |tx| {
        let removed = site::remove(tx, &scope, id, version).map_err(|error| match error {
            store::Error::NoSuchRow(_) => Refusal::WrongState(
                "hosts or enrolment tokens belong to this site: move or retire them first".to_owned(),
            ),
            other => other.into(),
        })?;
        let site = changed(removed, "site")?;
        Ok(Done::new(
            (),
            Record::of(Verb::Remove, Noun::Site, id).with("name", site.name),
        ))
    })
    .await
}
