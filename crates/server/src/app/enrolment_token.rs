//! Enrolment tokens: one text that a person carries to a host, which then belongs to a site.

use domain::id::{EnrolmentTokenId, SiteId};
use jiff::SignedDuration;
use protocol::address::{NotAnAddress, ServerAddress};
use protocol::token::{EnrolmentToken as Carried, SITE_BYTES};
use serde::{Deserialize, Serialize};
use store::enrolment_token::{self, Admits, EnrolmentToken, NewEnrolmentToken};
use store::{Page, site};
use utoipa::ToSchema;

use super::caller::{Caller, Place};
use super::change::{self, Done, Keep, Made, Once, Record};
use super::permission::{Noun, Verb, Within};
use super::refusal::{Refusal, changed};
use super::shape::{IdText, Listed, Part, When, maybe_whole};
use super::text;
use crate::Context;
use crate::clock::draw;

/// How long a token lasts when nobody says.
const USUAL_LIFE: SignedDuration = SignedDuration::from_hours(24);
/// How long a token may last.
const LONGEST_LIFE: SignedDuration = SignedDuration::from_hours(24 * 366);
/// How many hosts a token may admit.
const MOST_USES: u32 = 100_000;

/// An enrolment token, shown without its secret.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = EnrolmentToken)]
pub struct EnrolmentTokenView {
    /// Its id.
    pub id: IdText,
    /// Its name.
    pub name: String,
    /// The site that it admits to.
    pub site: IdText,
    /// What becomes of hosts: `active`, or `pending` until a person approves.
    pub admits: &'static str,
    /// How many hosts it still admits.
    pub uses_left: u32,
    /// Who made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub made_by: Option<IdText>,
    /// When it was made.
    pub created_at: When,
    /// When it ends.
    pub expires_at: When,
    /// When it was revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<When>,
    /// Counts its changes by people; the ETag is made of it.
    pub version: i64,
}

impl Listed for EnrolmentTokenView {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "name",
        "site",
        "admits",
        "uses_left",
        "made_by",
        "created_at",
        "expires_at",
        "revoked_at",
    ];
}

impl From<EnrolmentToken> for EnrolmentTokenView {
    fn from(token: EnrolmentToken) -> Self {
        Self {
            id: IdText::of(token.id),
            name: token.name,
            site: IdText::of(token.site),
            admits: token.admits.as_str(),
            uses_left: token.uses_left,
            made_by: token.made_by.map(IdText::of),
            created_at: When(token.created_at),
            expires_at: When(token.expires_at),
            revoked_at: token.revoked_at.map(When),
            version: token.version,
        }
    }
}

/// A token to make.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnrolmentTokenRequest {
    /// The site that hosts will belong to.
    pub site: IdText,
    /// Its name; what it is for.
    #[serde(default)]
    pub name: Option<String>,
    /// `active` (usual) or `pending`.
    #[serde(default)]
    pub admits: Option<String>,
    /// How many hosts it admits: 1 (usual) to 100,000.
    #[serde(default, deserialize_with = "maybe_whole")]
    #[schema(minimum = 1, maximum = 100_000)]
    pub uses: Option<u32>,
    /// When it ends: in 24 hours unless told, within a year.
    #[serde(default)]
    pub expires_at: Option<When>,
    /// `host:port` by which these hosts reach the server, tried before its own addresses: that of a forwarding proxy, say.
    #[serde(default)]
    pub address: Option<String>,
}

/// A token that was just made: the only time that its text is shown.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct NewEnrolmentTokenView {
    /// The token.
    pub token: EnrolmentTokenView,
    /// What `patchyard-agent enrol` takes: a secret.
    pub text: String,
    /// SHA-256 of the agent's package, in hexadecimal digits: to be had below `/agent/package/`, where the server has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
}

/// The tenant's enrolment tokens that the caller may see, the last made last.
///
/// # Errors
/// Of the database.
pub async fn list(
    ctx: &Context,
    place: &Place,
    after: Option<EnrolmentTokenId>,
    limit: u32,
) -> Result<Part<EnrolmentTokenView, String>, Refusal> {
    let (scope, within) = (place.scope, place.within.clone());
    let page = ctx
        .db
        .read(move |view| enrolment_token::page(view, &scope, after, limit))
        .await?;
    let rows = page.rows.into_iter().filter(|token| match &within {
        Within::Everywhere => true,
        Within::Sites(sites) => sites.contains(&token.site),
        Within::Nowhere => false,
    });
    let page = Page {
        rows: rows.collect(),
        next: page.next,
    };
    Ok(Part::of(page, EnrolmentTokenView::from, |id| id.to_string()))
}

/// One token.
///
/// # Errors
/// Not found.
pub async fn get(ctx: &Context, place: &Place, id: EnrolmentTokenId) -> Result<EnrolmentTokenView, Refusal> {
    let scope = place.scope;
    let found = ctx
        .db
        .read(move |view| enrolment_token::get(view, &scope, id))
        .await?;
    let token = found.ok_or(Refusal::NotFound {
        what: "enrolment token",
    })?;
    place.reaches(token.site, "enrolment token")?;
    Ok(token.into())
}

/// Makes a token.
///
/// # Errors
/// Where the site is not there, or a number or time is out of its range.
pub async fn create(
    ctx: &Context,
    caller: &Caller,
    place: &Place,
    once: Once,
    new: EnrolmentTokenRequest,
) -> Result<Made, Refusal> {
    let site_id: SiteId = super::parse_id("/site", &new.site)?;
    place.reaches(site_id, "site")?;
    let now = ctx.clock.now();
    let expires_at = new.expires_at.map_or(now + USUAL_LIFE, |end| end.0);
    if expires_at <= now || expires_at > now + LONGEST_LIFE {
        return Err(Refusal::invalid(
            "/expires_at",
            "a token ends in the future and within 366 days",
        ));
    }
    let uses = new.uses.unwrap_or(1);
    if !(1..=MOST_USES).contains(&uses) {
        return Err(Refusal::invalid(
            "/uses",
            format!("a token admits 1 to {MOST_USES} hosts"),
        ));
    }
    let admits = Admits::parse(new.admits.as_deref().unwrap_or("active"))
        .ok_or_else(|| Refusal::invalid("/admits", "a token admits `active` or `pending` hosts"))?;
    let secret: [u8; 16] = draw(ctx.chance.as_ref());
    let row = NewEnrolmentToken {
        id: change::draw_id(ctx, EnrolmentTokenId::new),
        secret_hash: Carried::secret_digest(&secret).0,
        site: site_id,
        name: text::note("/name", new.name.as_deref().unwrap_or("enrolment"))?,
        admits,
        uses,
        made_by: caller.user,
        expires_at,
    };
    let mut addresses = crate::agents::addresses(&ctx.settings);
    if let Some(first) = &new.address {
        let first: ServerAddress = first
            .parse()
            .map_err(|error: NotAnAddress| Refusal::invalid("/address", error.to_string()))?;
        addresses.retain(|address| *address != first);
        addresses.insert(0, first);
        addresses.truncate(protocol::limits::ADDRESSES);
    }
    let authority = ctx.authority.root_digest();
    let package = super::agent_package::current(ctx).await?;
    let scope = place.scope;
    change::make(ctx, caller, scope.owner(), once, Keep::Sealed, move |tx| {
        let site = site::get(tx, &scope, site_id)?.ok_or(Refusal::NotFound { what: "site" })?;
        enrolment_token::create(tx, &scope, &row, now)?;
        let made = enrolment_token::get(tx, &scope, row.id)?;
        let made = made.ok_or(Refusal::Fault("a token that was just made is not there"))?;
        let carried = Carried {
            addresses: addresses.clone(),
            authority,
            secret,
            site: shorten(&site.name).to_owned(),
            package,
            expires: expires_at,
        };
        let record = Record::of(Verb::Create, Noun::EnrolmentToken, row.id);
        let record = record
            .with("site", site_id.to_string())
            .with("uses", row.uses)
            .with("admits", row.admits.as_str());
        Ok(Done::new(
            NewEnrolmentTokenView {
                token: made.into(),
                text: carried.to_text(),
                package: package.map(|digest| digest.to_string()),
            },
            record,
        )
        .version(1))
    })
    .await
}

/// The beginning of a name that fits into a token.
fn shorten(name: &str) -> &str {
    let mut end = name.len().min(SITE_BYTES);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

/// Revokes a token: it admits no further host.
///
/// # Errors
/// Not found, or changed meanwhile.
pub async fn revoke(
    ctx: &Context,
    caller: &Caller,
    place: &Place,
    id: EnrolmentTokenId,
    version: i64,
) -> Result<(), Refusal> {
    let (place, now) = (place.clone(), ctx.clock.now());
    change::change(ctx, caller, place.scope.owner(), move |tx| {
        let token = enrolment_token::get(tx, &place.scope, id)?.ok_or(Refusal::NotFound {
            what: "enrolment token",
        })?;
        place.reaches(token.site, "enrolment token")?;
        changed(
            enrolment_token::revoke(tx, &place.scope, id, version, now)?,
            "enrolment token",
        )?;
        Ok(Done::new((), Record::of(Verb::Remove, Noun::EnrolmentToken, id)))
    })
    .await
}
