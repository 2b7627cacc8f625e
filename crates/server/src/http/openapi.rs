//! The OpenAPI document, made from the same routes as the router. `docs/openapi.json` is this document; a test says when
//! it is not.

use std::collections::BTreeMap;

use axum::http::Method;
use utoipa::openapi::path::{HttpMethod, PathItem, PathsBuilder};
use utoipa::openapi::schema::{AdditionalProperties, Schema};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, RefOr};

use super::admin::route::{Needs, Route, problem_schemas};

/// The name of the one security scheme: a token, or a session's cookie that stands for one.
const TOKEN: &str = "token";

/// The document of these routes.
pub fn document(routes: Vec<Route>) -> OpenApi {
    let info = InfoBuilder::new()
        .title("Patchyard")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "What people and programs do with a Patchyard server. See docs/api.md.",
        ))
        .license(Some(
            LicenseBuilder::new()
                .name("Apache-2.0")
                .identifier(Some("Apache-2.0"))
                .build(),
        ))
        .build();
    let mut paths = BTreeMap::<&str, Vec<PathItem>>::new();
    let mut schemas: BTreeMap<_, _> = problem_schemas().into_iter().collect();
    for route in routes {
        let (path, method, needs) = (route.path, method(&route.method), route.needs);
        let (mut operation, shapes) = route.describe();
        if !matches!(needs, Needs::Nothing(_)) {
            operation.security = Some(vec![SecurityRequirement::new(TOKEN, Vec::<String>::new())]);
        }
        paths
            .entry(path)
            .or_default()
            .push(PathItem::new(method, operation));
        schemas.extend(shapes);
    }
    schemas.values_mut().for_each(close);
    let paths = paths
        .into_iter()
        .fold(PathsBuilder::new(), |paths, (path, items)| {
            items
                .into_iter()
                .fold(paths, |paths, item| paths.path(path, item))
        });
    let token = SecurityScheme::Http(
        HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("pyt_...")
            .build(),
    );
    let components = ComponentsBuilder::new()
        .schemas_from_iter(schemas)
        .security_scheme(TOKEN, token);
    OpenApiBuilder::new()
        .info(info)
        .paths(paths.build())
        .components(Some(components.build()))
        .build()
}

/// The alternatives of a shape take no unknown fields, as all shapes; of these the derived schema does not say so.
fn close(schema: &mut RefOr<Schema>) {
    let RefOr::T(Schema::OneOf(one_of)) = schema else {
        return;
    };
    for alternative in &mut one_of.items {
        if let RefOr::T(Schema::Object(object)) = alternative {
            object.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
        }
    }
}

fn method(method: &Method) -> HttpMethod {
    match *method {
        Method::POST => HttpMethod::Post,
        Method::PATCH => HttpMethod::Patch,
        Method::DELETE => HttpMethod::Delete,
        _ => HttpMethod::Get,
    }
}
