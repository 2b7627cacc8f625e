//! What opens a private source: set, changed and removed by people, sealed before it is stored, and never shown again.

use super::decide::{decided, own};
use super::{SourceView, bad_row, shown};
use crate::Context;
use crate::app::caller::Caller;
use crate::app::change::{self, Done, Record};
use crate::app::permission::{Noun, Verb};
use crate::app::refusal::{Refusal, changed};
use crate::catalog::access::{AccessJson, CertificateJson, LoginJson};
use crate::catalog::row::{self, AddressesJson};
use crate::context::Work;
use crate::reconcile::chain;
use domain::id::SourceId;
use serde::Deserialize;
use store::source::{self, Source, SourceEdit};
use store::{Scope, Tx};
use utoipa::ToSchema;
use zeroize::Zeroize;

/// What opens an archive: a login, a client certificate, the authority of the archive's own certificate, or several of them.
/// It is shown to this archive alone, and only over TLS.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccessRequest {
    /// Which of the source's addresses it opens; its first, without it.
    #[serde(default)]
    #[schema(max_length = 2000)]
    pub uri: Option<String>,
    /// The user name; it comes with a password.
    #[serde(default)]
    #[schema(max_length = 256)]
    pub username: Option<String>,
    /// The password.
    #[serde(default)]
    #[schema(max_length = 1024, format = Password)]
    pub password: Option<String>,
    /// A client certificate with its chain, PEM; it comes with its key.
    #[serde(default)]
    #[schema(max_length = 65_536)]
    pub client_certificate: Option<String>,
    /// The key of the client certificate, PEM, without a passphrase.
    #[serde(default)]
    #[schema(max_length = 65_536, format = Password)]
    pub client_key: Option<String>,
    /// The authorities that the archive's certificate may come from, PEM; those of the server's system, without it.
    #[serde(default)]
    #[schema(max_length = 65_536)]
    pub authorities: Option<String>,
}

impl Drop for AccessRequest {
    fn drop(&mut self) {
        self.password.zeroize();
        self.client_key.zeroize();
    }
}

impl std::fmt::Debug for AccessRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AccessRequest(secret)")
    }
}

impl AccessRequest {
    /// Checked, for the archive at this address.
    pub(super) fn to_json(&self, uri: &str) -> Result<AccessJson, Refusal> {
        let login = match (&self.username, &self.password) {
            (None, None) => None,
            (Some(username), Some(password)) => Some(LoginJson {
                username: username.clone(),
                password: password.clone(),
            }),
            _ => {
                return Err(Refusal::invalid(
                    "/password",
                    "user name and password come together",
                ));
            }
        };
        let certificate = match (&self.client_certificate, &self.client_key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some(CertificateJson {
                certificate: certificate.clone(),
                key: key.clone(),
            }),
            _ => {
                return Err(Refusal::invalid(
                    "/client_key",
                    "a client certificate and its key come together",
                ));
            }
        };
        if login.is_none() && certificate.is_none() && self.authorities.is_none() {
            return Err(Refusal::invalid(
                "/username",
                "give a login, a client certificate or the archive's authorities",
            ));
        }
        let json = AccessJson {
            uri: uri.to_owned(),
            login,
            certificate,
            authorities: self.authorities.clone(),
        };
        match json.to_access() {
            Ok(_) => Ok(json),
            Err(error) => Err(Refusal::invalid("/access", chain(&error))),
        }
    }

    /// What an audit record says of it.
    pub(super) fn recorded(&self, record: Record) -> Record {
        record
            .with("login", self.username.is_some())
            .with("client_certificate", self.client_certificate.is_some())
            .with("authorities", self.authorities.is_some())
    }
}

/// Sets what opens a source of the tenant's own, in place of what was set before. An adopted one is synced soon.
///
/// # Errors
/// What cannot open it, an address that is none of the source's, not found, everybody's, or changed meanwhile.
pub async fn open(
    ctx: &Context,
    caller: &Caller,
    scope: Scope,
    id: SourceId,
    version: i64,
    wanted: AccessRequest,
) -> Result<SourceView, Refusal> {
    let room = ctx.clone();
    let shown = change::change(ctx, caller, scope.owner(), move |tx| {
        let row = own(tx, &scope, id)?;
        let json = wanted.to_json(&place(&row, wanted.uri.as_deref())?)?;
        let record = Record::of(Verb::Change, Noun::Source, id).with("uri", &*json.uri);
        let row = set(&room, tx, &scope, &row, version, Some(json.seal(&room)))?;
        Ok(Done::new(shown(&row)?, wanted.recorded(record)))
    });
    let shown = shown.await?;
    ctx.wake_ups.nudge(Work::Sync);
    Ok(shown)
}

/// Removes what opens a source of the tenant's own.
///
/// # Errors
/// Not found, everybody's, changed meanwhile, or of the database.
pub async fn close(
    ctx: &Context,
    caller: &Caller,
    scope: Scope,
    id: SourceId,
    version: i64,
) -> Result<(), Refusal> {
    let room = ctx.clone();
    change::change(ctx, caller, scope.owner(), move |tx| {
        let row = own(tx, &scope, id)?;
        set(&room, tx, &scope, &row, version, None)?;
        let record = Record::of(Verb::Change, Noun::Source, id).with("credentials", "removed");
        Ok(Done::new((), record))
    })
    .await
}

fn set(
    ctx: &Context,
    tx: &mut Tx,
    scope: &Scope,
    row: &Source,
    version: i64,
    credentials_sealed: Option<Vec<u8>>,
) -> Result<Source, Refusal> {
    let edit = SourceEdit {
        credentials_sealed,
        ..decided(row, row.state, ctx.clock.now())
    };
    changed(source::edit(tx, scope, row.id, version, &edit)?, "source")
}

/// The address that is opened: one of the source's.
fn place(row: &Source, asked: Option<&str>) -> Result<String, Refusal> {
    let addresses: AddressesJson = row::parse("the addresses", &row.addresses).map_err(bad_row)?;
    let mut places = addresses.places.into_iter().map(|place| place.uri);
    let found = match asked {
        None => places.next(),
        Some(asked) => places.find(|uri| uri == asked || uri.strip_suffix('/') == Some(asked)),
    };
    found.ok_or_else(|| Refusal::invalid("/uri", "it is no address of this source"))
}
