//! What of this server must not get out: the secrets that it can read in the clear, and the names that its database knows.

use super::redact::{Names, Redactor};
use crate::Context;
use crate::catalog::access::{self, AccessJson};
use crate::local::TOKEN_FILE;
use crate::reconcile::chain;
use crate::start::listener_names;
use store::given_name::{self, Bearer};
use store::{Whole, source};

/// What the stand-ins of names are made for.
const PURPOSE: &str = "stand-ins of names in support bundles";
/// Lines of a key that are shorter give nothing away.
const SHORTEST_LINE: usize = 16;

/// A redactor that knows all that this server knows. Where that is not all, says why: then no free text may get out.
pub(super) async fn redactor(ctx: &Context, names: Names) -> (Redactor, Result<(), String>) {
    let key = ctx.authority.sealer().mac_key(PURPOSE);
    let mut redactor = Redactor::new(key, names);
    if let Some(password) = ctx.settings.file.database.as_deref().and_then(password_of) {
        redactor.hide_secret(password);
    }
    let token = tokio::fs::read_to_string(ctx.settings.data.join(TOKEN_FILE)).await;
    redactor.hide_secret(token.unwrap_or_default().trim());
    for name in listener_names(&ctx.settings) {
        if name.parse::<std::net::IpAddr>().is_err() && name != "localhost" {
            redactor.hide_name(Bearer::Host, &name);
        }
    }
    let sealed = ctx
        .db
        .read(|view| source::all_of_server(view, &Whole::server()))
        .await;
    let given = ctx.db.read(|view| {
        let mut given = Vec::new();
        given_name::each(view, &Whole::server(), |bearer, name| given.push((bearer, name)))?;
        Ok(given)
    });
    let (sources, given) = match (sealed, given.await) {
        (Ok(sources), Ok(given)) => (sources, given),
        (Err(error), _) | (_, Err(error)) => {
            let why = format!(
                "the names that must be hidden could not be read: {}",
                chain(&error)
            );
            return (redactor, Err(why));
        }
    };
    for sealed in sources
        .iter()
        .filter_map(|source| source.credentials_sealed.as_ref())
    {
        match access::read(ctx, sealed) {
            Ok(access) => hide_access(&mut redactor, &access),
            Err(error) => {
                let why = format!(
                    "a secret that must be hidden could not be read: {}",
                    chain(&error)
                );
                return (redactor, Err(why));
            }
        }
    }
    for (bearer, name) in given {
        redactor.hide_name(bearer, &name);
    }
    (redactor, Ok(()))
}

/// The password in `scheme://user:password@host`.
fn password_of(url: &str) -> Option<&str> {
    let authority = url.split_once("://")?.1.split(['/', '?', '#']).next()?;
    let (login, _host) = authority.rsplit_once('@')?;
    login.split_once(':').map(|(_user, password)| password)
}

fn hide_access(redactor: &mut Redactor, access: &AccessJson) {
    if let Some(login) = &access.login {
        redactor.hide_secret(&login.password);
        redactor.hide_name(Bearer::User, &login.username);
    }
    if let Some(own) = &access.certificate {
        let lines = own.key.lines().filter(|line| line.len() >= SHORTEST_LINE);
        lines.for_each(|line| redactor.hide_secret(line));
    }
}
