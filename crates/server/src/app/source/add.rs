//! A source that a person adds by hand: its release file is fetched and verified at once, so that a wrong address, key or
//! password is said now, and what it calls itself is known before the first host uses it.

use super::access::AccessRequest;
use super::{bad_row, shown};
use crate::Context;
use crate::app::caller::Caller;
use crate::app::change::{self, Done, Keep, Made, Once, Record};
use crate::app::permission::{Noun, Verb};
use crate::app::refusal::Refusal;
use crate::catalog::access::AccessJson;
use crate::catalog::fetching::{self, Place, Wanted};
use crate::catalog::row::{self, AddressesJson, IdentityJson, PlaceJson, ScheduleJson};
use crate::context::Work;
use crate::reconcile::chain;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use content::Expected;
use domain::catalog::release::ReleaseFacts;
use domain::catalog::source::{Claim, SourceIdentity};
use domain::digest::Sha256Digest;
use domain::host::address::without_login;
use domain::id::SourceId;
use serde::Deserialize;
use sources::apt::fetch::address::Address;
use sources::apt::keyring::Keyring;
use std::collections::BTreeSet;
use std::sync::Arc;
use store::source::{self, NewSource, SourceEdit, SourceKind, SourceState};
use store::{Scope, Tx};
use utoipa::ToSchema;

/// Most components and architectures.
const MOST_WORDS: usize = 64;

/// An apt repository to be added.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceRequest {
    /// Its address, without a login: `https://archive.example/debian/`.
    #[schema(min_length = 1, max_length = 2000)]
    pub uri: String,
    /// Its suite, such as `bookworm`; with a slash at its end, the folder of a flat repository.
    #[schema(min_length = 1, max_length = 200)]
    pub suite: String,
    /// Its components, such as `main`; none of a flat repository.
    #[serde(default)]
    #[schema(max_items = 64)]
    pub components: Vec<String>,
    /// The architectures that are fetched at once; those that hosts use of it are added by themselves.
    #[serde(default)]
    #[schema(max_items = 64)]
    pub architectures: Vec<String>,
    /// The file with the keys that may sign it: its text if it is armoured, otherwise its bytes in base64.
    #[schema(min_length = 1)]
    pub key: String,
    /// What opens it, if it is private.
    #[serde(default)]
    pub access: Option<AccessRequest>,
}

/// The same, checked.
struct ByHand {
    place: Place,
    components: BTreeSet<String>,
    architectures: BTreeSet<String>,
    key_file: Vec<u8>,
    keyring: Keyring,
    access: Option<AccessJson>,
}

/// Adds a source of the tenant's own and adopts it; it is synced soon.
///
/// # Errors
/// A value that may not be, an archive that cannot be fetched or verified now, a source that is known already.
pub async fn add(
    ctx: &Context,
    caller: &Caller,
    scope: Scope,
    once: Once,
    wanted: SourceRequest,
) -> Result<Made, Refusal> {
    let by_hand = check(&wanted)?;
    if let Some(made) = change::answered(ctx, caller, scope.owner(), &once).await? {
        return Ok(made);
    }
    let (by_hand, release) = look(ctx, by_hand).await?;
    let claim = Claim::from(&*release);
    let identity = SourceIdentity::of(claim).ok_or_else(|| {
        Refusal::invalid(
            "/uri",
            "its release file says neither Origin, Label, Suite nor Codename: no host's source could be told to be this one",
        )
    })?;
    let key_file = keep_key(ctx, &by_hand.key_file)?;
    let new = row_of(ctx, &by_hand, &identity, key_file);
    let record = Record::of(Verb::Create, Noun::Source, new.id)
        .with("name", &*new.edit.name)
        .with("uri", &*by_hand.place.uri)
        .with("suite", &*by_hand.place.suite);
    let record = match &wanted.access {
        None => record,
        Some(access) => access.recorded(record),
    };
    let (keys, now) = (
        by_hand.keyring.fingerprints().into_iter().collect(),
        ctx.clock.now(),
    );
    let made = change::make(ctx, caller, scope.owner(), once, Keep::Plain, move |tx| {
        refuse_known(tx, &scope, &identity, &keys)?;
        source::create(tx, &scope, &new, now)?;
        let row = source::get(tx, &scope, new.id)?.ok_or(Refusal::AlreadyExists { what: "source" })?;
        let version = row.version;
        Ok(Done::new(shown(&row)?, record.clone()).version(version))
    });
    let made = made.await?;
    ctx.wake_ups.nudge(Work::Sync);
    Ok(made)
}

fn check(wanted: &SourceRequest) -> Result<ByHand, Refusal> {
    let place = Place {
        uri: address(&wanted.uri)?,
        suite: suite(&wanted.suite)?,
    };
    let is_flat = place.suite.ends_with('/');
    if is_flat != wanted.components.is_empty() {
        let detail =
            "a suite has at least one component, and a flat repository (its suite ends with a slash) none";
        return Err(Refusal::invalid("/components", detail));
    }
    let key_file = key_file(&wanted.key)?;
    let keyring = Keyring::parse(&key_file).map_err(|error| Refusal::invalid("/key", chain(&error)))?;
    let access = wanted.access.as_ref();
    if access.is_some_and(|access| access.uri.is_some()) {
        return Err(Refusal::invalid(
            "/access/uri",
            "a new source has one address: the one that is opened",
        ));
    }
    Ok(ByHand {
        components: words("/components", &wanted.components)?,
        architectures: words("/architectures", &wanted.architectures)?,
        access: access.map(|access| access.to_json(&place.uri)).transpose()?,
        place,
        key_file,
        keyring,
    })
}

/// An address of the web, with a slash at its end.
fn address(text: &str) -> Result<String, Refusal> {
    if without_login(text) != text {
        return Err(Refusal::invalid(
            "/uri",
            "a login is given apart, in `access`, not in the address",
        ));
    }
    match Address::parse(text) {
        Ok(Address::Http(_)) if text.len() <= 2000 && !text.contains(['?', '#']) => {
            let slash = if text.ends_with('/') { "" } else { "/" };
            Ok(format!("{text}{slash}"))
        }
        Ok(_) => Err(Refusal::invalid(
            "/uri",
            "an archive's address begins with http:// or https:// and has no query",
        )),
        Err(error) => Err(Refusal::invalid("/uri", error.to_string())),
    }
}

fn suite(text: &str) -> Result<String, Refusal> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-+._~/".contains(&byte);
    let is_good = (1..=200).contains(&text.len())
        && text.bytes().all(plain)
        && !text.split('/').any(|part| part == "..")
        && (text == "/" || !text.starts_with('/'));
    match is_good {
        true => Ok(text.to_owned()),
        false => Err(Refusal::invalid(
            "/suite",
            "a suite has 1 to 200 letters, digits and marks of -+._~/, and does not lead upwards",
        )),
    }
}

fn words(field: &'static str, words: &[String]) -> Result<BTreeSet<String>, Refusal> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-+._/".contains(&byte);
    let is_good = |word: &String| (1..=64).contains(&word.len()) && word.bytes().all(plain);
    match words.len() <= MOST_WORDS && words.iter().all(is_good) {
        true => Ok(words.iter().cloned().collect()),
        false => Err(Refusal::invalid(
            field,
            format!("at most {MOST_WORDS} words of 1 to 64 letters, digits and marks of -+._/"),
        )),
    }
}

fn key_file(text: &str) -> Result<Vec<u8>, Refusal> {
    if text.contains("-----BEGIN PGP") {
        return Ok(text.as_bytes().to_vec());
    }
    STANDARD.decode(text.trim()).map_err(|_neither| {
        Refusal::invalid(
            "/key",
            "it is neither an armoured OpenPGP key nor base64 of a binary key file",
        )
    })
}

/// Fetches the release file and verifies it.
async fn look(ctx: &Context, by_hand: ByHand) -> Result<(ByHand, Arc<ReleaseFacts>), Refusal> {
    let (content, now) = (ctx.content.clone(), ctx.clock.now());
    let access = by_hand.access.as_ref().map(AccessJson::to_access).transpose();
    let access = access.map_err(|error| Refusal::invalid("/access", chain(&error)))?;
    let looking = tokio::task::spawn_blocking(move || {
        let wanted = Wanted {
            places: vec![by_hand.place.clone()],
            components: by_hand.components.iter().cloned().collect(),
            architectures: Vec::new(),
            keyring: by_hand.keyring.clone(),
            access,
            carried: None,
        };
        let release = fetching::look(&content, &wanted, now);
        (by_hand, release)
    });
    let (by_hand, release) = looking.await.expect("a fetch does not panic");
    match release {
        Ok(release) => Ok((by_hand, release)),
        Err(error) => Err(Refusal::invalid("/uri", chain(&error))),
    }
}

fn keep_key(ctx: &Context, key_file: &[u8]) -> Result<Sha256Digest, Refusal> {
    let limit = Expected::AtMost {
        size_bytes: key_file.len() as u64,
    };
    match ctx.content.insert(key_file, limit) {
        Ok((digest, _)) => Ok(digest),
        Err(error) => {
            tracing::error!(error = %chain(&error), "A key file could not be kept.");
            Err(Refusal::Fault("the key file could not be kept"))
        }
    }
}

fn row_of(ctx: &Context, by_hand: &ByHand, identity: &SourceIdentity, key_file: Sha256Digest) -> NewSource {
    let keys: BTreeSet<String> = by_hand.keyring.fingerprints().into_iter().collect();
    let identity = IdentityJson::new(identity, &keys);
    let text = row::json(&identity);
    NewSource {
        id: change::draw_id(ctx, SourceId::new),
        identity_digest: content::sha256(text.as_bytes()),
        identity: text,
        edit: SourceEdit {
            kind: SourceKind::Apt,
            state: SourceState::Adopted,
            name: identity.name(),
            addresses: row::json(&AddressesJson {
                places: vec![PlaceJson::from(&by_hand.place)],
                key_files: BTreeSet::from([key_file.to_string()]),
            }),
            components: row::json(&by_hand.components),
            architectures: row::json(&by_hand.architectures),
            schedule: row::json(&ScheduleJson::default()),
            credentials_sealed: by_hand.access.as_ref().map(|access| access.seal(ctx)),
            next_sync_at: Some(ctx.clock.now()),
        },
    }
}

/// Two rows of one source would answer for one another: the one that is there is adopted or opened instead.
fn refuse_known(
    tx: &mut Tx,
    scope: &Scope,
    identity: &SourceIdentity,
    keys: &BTreeSet<String>,
) -> Result<(), Refusal> {
    for row in source::all(tx, scope, None)? {
        let known: IdentityJson = row::parse("the identity", &row.identity).map_err(bad_row)?;
        let known = known.known(row.id);
        if known.identity == *identity && !known.keys.is_disjoint(keys) {
            return Err(Refusal::WrongState(format!(
                "this source is known already, it is {}: see {} in the list of sources, adopt it there or change what opens it",
                row.state.as_str(),
                row.id
            )));
        }
    }
    Ok(())
}
