//! Every role on every route for the own and for another tenant: allowed exactly where the role's permissions and reach
//! say so, and silent about tenants that the caller may not know of.

use super::Front;
use crate::world::add_tenant;
use domain::id::{SiteId, TenantId};
use server::app::permission::{Level, Permission};
use server::app::role::built_in;
use server::http::admin::route::{Needs, Route};
use server::http::admin::routes;
use std::collections::BTreeSet;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    Allowed,
    Forbidden,
    Hidden,
}

/// What follows from the words of the design, without the server's own reckoning.
fn expected(route: &Route, has: &BTreeSet<Permission>, reach: &str, asks_own: bool) -> Expected {
    let everywhere = reach == "server";
    let held = |permission: &Permission| {
        has.contains(permission) && (everywhere || permission.level() != Level::Server)
    };
    match route.needs() {
        Needs::Nothing(_) | Needs::LogIn => Expected::Allowed,
        Needs::Local => Expected::Forbidden,
        Needs::Server(permission) if everywhere && has.contains(&permission) => Expected::Allowed,
        Needs::Server(_) => Expected::Forbidden,
        Needs::Anywhere(permission) if held(&permission) => Expected::Allowed,
        Needs::Anywhere(_) => Expected::Forbidden,
        Needs::Tenant(permission) | Needs::Sites(permission) => {
            let reaches = everywhere || asks_own;
            let knows = reaches && has.iter().any(|permission| permission.level() != Level::Server);
            match (knows, held(&permission)) {
                (false, _) => Expected::Hidden,
                (true, true) => Expected::Allowed,
                (true, false) => Expected::Forbidden,
            }
        }
    }
}

#[tokio::test]
async fn each_role_may_do_on_each_route_what_its_permissions_say_and_nothing_else() {
    let front = Front::new().await;
    let other = TenantId([9; 16]);
    add_tenant(&front.world.context, other, SiteId([9; 16]), "other").await;
    let (mut tried, mut allowed) = (0, 0);
    for (_, name, permissions) in built_in() {
        let texts: BTreeSet<String> = permissions.iter().map(Permission::to_string).collect();
        for reach in ["server", "tenant"] {
            let token = front.token(reach, &texts).await;
            for route in routes() {
                for tenant in [front.world.tenant, other] {
                    let path = route.path().replace("{tenant}", &tenant.to_string());
                    let path = path.split('/').map(|part| {
                        if part.starts_with('{') {
                            "0198c0de-0000-7000-8000-00000000abcd"
                        } else {
                            part
                        }
                    });
                    let path = path.collect::<Vec<_>>().join("/");
                    let ask = front
                        .ask(route.method().clone(), path, &token)
                        .key(&front.new_key())
                        .version("\"v1\"");
                    let answer = ask.send().await;
                    let found = match answer.status.as_u16() {
                        404 if answer.text.contains("no such tenant") => Expected::Hidden,
                        401 if matches!(route.needs(), Needs::Nothing(_)) => Expected::Allowed,
                        401 => panic!(
                            "{name} at {reach}: the token holds, but {} says {}",
                            route.path(),
                            answer.text
                        ),
                        403 => Expected::Forbidden,
                        _ => Expected::Allowed,
                    };
                    let wanted = expected(&route, &permissions, reach, tenant == front.world.tenant);
                    let what = format!(
                        "{name} at {reach}: {} {} of {tenant}",
                        route.method(),
                        route.path()
                    );
                    assert_eq!(found, wanted, "{what}: {} {}", answer.status, answer.text);
                    assert!(answer.status.as_u16() != 500, "{what}: {}", answer.text);
                    tried += 1;
                    allowed += u32::from(found == Expected::Allowed);
                    if !route.path().contains("{tenant}") {
                        break;
                    }
                }
            }
        }
    }
    assert!(
        tried > 1000 && allowed > 200 && tried - allowed > 200,
        "{allowed} of {tried} allowed: the matrix shows little"
    );
}
