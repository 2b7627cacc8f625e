//! One route: its path, what a caller needs for it, what it takes and gives, and the handler. The router and the
//! OpenAPI document are both made from these, so that neither can have a route that the other lacks, and no route can be
//! without its permission.

use axum::handler::Handler;
use axum::http::Method;
use axum::routing::{MethodFilter, MethodRouter, on};
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::{Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{Ref, RefOr, Required, Response, ResponseBuilder, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use super::Api;
use super::answer::Page;
use super::input::Paging;
use crate::app::permission::{Noun, Permission, Verb};
use crate::app::shape::IdText;

/// What a caller needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: anybody may ask. Says why that is right.
    Nothing(&'static str),
    /// Credentials that hold; it is about the caller alone.
    LogIn,
    /// To be the command line on the server's own machine: no role and no token reaches it.
    Local,
    /// A permission that reaches the whole server.
    Server(Permission),
    /// A permission that reaches the tenant in the path.
    Tenant(Permission),
    /// A permission that reaches the tenant in the path or one of its sites; the handler heeds which.
    Sites(Permission),
    /// A permission anywhere; the handler shows what of it the caller may see.
    Anywhere(Permission),
}

fn of(verb: Verb, noun: Noun) -> Permission {
    Permission::of(verb, noun)
        .expect("routes need what the table of permissions has; the server does not start otherwise")
}

impl Needs {
    /// See [`Needs::Server`].
    pub fn server(verb: Verb, noun: Noun) -> Self {
        Self::Server(of(verb, noun))
    }

    /// See [`Needs::Tenant`].
    pub fn tenant(verb: Verb, noun: Noun) -> Self {
        Self::Tenant(of(verb, noun))
    }

    /// See [`Needs::Sites`].
    pub fn sites(verb: Verb, noun: Noun) -> Self {
        Self::Sites(of(verb, noun))
    }

    /// See [`Needs::Anywhere`].
    pub fn anywhere(verb: Verb, noun: Noun) -> Self {
        Self::Anywhere(of(verb, noun))
    }

    /// The permission, where there is one.
    pub const fn permission(self) -> Option<Permission> {
        match self {
            Self::Nothing(_) | Self::LogIn | Self::Local => None,
            Self::Server(permission)
            | Self::Tenant(permission)
            | Self::Sites(permission)
            | Self::Anywhere(permission) => Some(permission),
        }
    }

    fn sentence(self) -> String {
        match self {
            Self::Nothing(why) => format!("Needs no credentials: {why}."),
            Self::LogIn => "Needs a log-in or a token.".to_owned(),
            Self::Local => "Only for the command line on the server's own machine.".to_owned(),
            Self::Server(permission) => format!("Needs `{permission}` for the whole server."),
            Self::Tenant(permission) => format!("Needs `{permission}` for the tenant."),
            Self::Sites(permission) => format!("Needs `{permission}` for the tenant or the site."),
            Self::Anywhere(permission) => format!("Needs `{permission}`; shows what it reaches."),
        }
    }
}

/// How lately a person must have shown the second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// At log-in.
    LogIn,
    /// Within the last ten minutes.
    Lately,
}

/// A route of the API.
pub struct Route {
    pub(in crate::http) method: Method,
    pub(in crate::http) path: &'static str,
    pub(in crate::http) needs: Needs,
    pub(in crate::http) freshness: Freshness,
    is_keyed: bool,
    pub(in crate::http) operation: OperationBuilder,
    pub(in crate::http) query: Vec<Parameter>,
    pub(in crate::http) schemas: Vec<(String, RefOr<Schema>)>,
    pub(in crate::http) handler: MethodRouter<Api>,
}

impl Route {
    /// Its method.
    pub const fn method(&self) -> &Method {
        &self.method
    }

    /// Its path, with the names of its parts in braces.
    pub const fn path(&self) -> &'static str {
        self.path
    }

    /// What a caller needs.
    pub const fn needs(&self) -> Needs {
        self.needs
    }

    /// Whether a repetition of it has to name itself by an idempotency key.
    pub const fn is_keyed(&self) -> bool {
        self.is_keyed
    }

    fn new<H, T>(method: Method, id: &'static str, path: &'static str, needs: Needs, handler: H) -> Self
    where
        H: Handler<T, Api>,
        T: 'static,
    {
        let filter = MethodFilter::try_from(method.clone()).expect("a method that axum routes");
        if matches!(needs, Needs::Tenant(_) | Needs::Sites(_)) {
            assert!(
                path.starts_with("/api/v1/tenants/{tenant}"),
                "{path} names no tenant, but needs a permission for one"
            );
        }
        let tag = path
            .split('/')
            .rev()
            .find(|part| !part.is_empty() && !part.starts_with('{'))
            .unwrap_or("server");
        let mut operation = OperationBuilder::new().operation_id(Some(id)).tag(tag);
        for name in path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        {
            let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Path);
            let parameter = parameter.required(Required::True).schema(Some(IdText::schema()));
            operation = operation.parameter(parameter.build());
        }
        if !matches!(needs, Needs::Nothing(_)) {
            operation = operation.response("401", problem("No credentials, or ones that do not hold."));
            operation = operation.response("403", problem("The credentials do not allow this."));
        }
        operation = operation.response("default", problem("Any other refusal; see `code`."));
        Self {
            method,
            path,
            needs,
            freshness: Freshness::LogIn,
            is_keyed: false,
            operation,
            query: Vec::new(),
            schemas: Vec::new(),
            handler: on(filter, handler),
        }
    }

    /// Reads something.
    pub fn get<H: Handler<T, Api>, T: 'static>(
        id: &'static str,
        path: &'static str,
        needs: Needs,
        handler: H,
    ) -> Self {
        Self::new(Method::GET, id, path, needs, handler)
    }

    /// Makes or does something; the handler takes it by `Post`, which asks for the idempotency key.
    pub fn post<H: Handler<T, Api>, T: 'static>(
        id: &'static str,
        path: &'static str,
        needs: Needs,
        handler: H,
    ) -> Self {
        let mut route = Self::new(Method::POST, id, path, needs, handler);
        route.is_keyed = true;
        route.operation = route.operation.parameter(header(
            "Idempotency-Key",
            "1 to 128 visible ASCII characters: the same request with the same key is done once.",
            "^[!-~]{1,128}$",
        ));
        route
    }

    /// A POST that changes nothing that could be done twice: logging in and out.
    pub fn bare_post<H: Handler<T, Api>, T: 'static>(
        id: &'static str,
        path: &'static str,
        needs: Needs,
        handler: H,
    ) -> Self {
        Self::new(Method::POST, id, path, needs, handler)
    }

    /// Changes something; the handler takes it by `Edit`, which asks for the version.
    pub fn patch<H: Handler<T, Api>, T: 'static>(
        id: &'static str,
        path: &'static str,
        needs: Needs,
        handler: H,
    ) -> Self {
        Self::new(Method::PATCH, id, path, needs, handler).with_version()
    }

    /// Ends something; the handler takes it by `Edit`, which asks for the version.
    pub fn delete<H: Handler<T, Api>, T: 'static>(
        id: &'static str,
        path: &'static str,
        needs: Needs,
        handler: H,
    ) -> Self {
        Self::new(Method::DELETE, id, path, needs, handler).with_version()
    }

    fn with_version(mut self) -> Self {
        let version = header(
            "If-Match",
            "The ETag of the version that the change was made for.",
            "^\"v[0-9]{1,18}\"$",
        );
        self.operation = self
            .operation
            .parameter(version)
            .response("412", problem("Somebody changed it meanwhile."));
        self
    }

    /// What it does, in a sentence for the document.
    #[must_use]
    pub fn says(mut self, summary: &'static str) -> Self {
        self.operation = self
            .operation
            .summary(Some(summary))
            .description(Some(self.needs.sentence()));
        self
    }

    /// A person must have shown the second factor lately.
    #[must_use]
    pub const fn lately(mut self) -> Self {
        self.freshness = Freshness::Lately;
        self
    }

    /// Parameters that it knows; all that are named by no call of this are refused.
    #[must_use]
    pub fn query<P: IntoParams>(mut self) -> Self {
        for mut parameter in P::into_params(|| Some(ParameterIn::Query)) {
            parameter.schema = parameter.schema.map(never_null);
            self.query.push(parameter);
        }
        self
    }

    /// The shape of its body.
    #[must_use]
    pub fn takes<B: ToSchema>(mut self) -> Self {
        let content = ContentBuilder::new().schema(Some(self.shape::<B>())).build();
        // A missing body stands for `{}`, where that is enough.
        let required = match B::schema() {
            RefOr::T(Schema::Object(object)) if object.required.is_empty() => Required::False,
            _ => Required::True,
        };
        let body = RequestBodyBuilder::new()
            .content("application/json", content)
            .required(Some(required));
        self.operation = self.operation.request_body(Some(body.build()));
        self
    }

    /// The shape of a good answer.
    #[must_use]
    pub fn gives<B: ToSchema>(mut self, status: &'static str, description: &'static str) -> Self {
        let content = ContentBuilder::new().schema(Some(self.shape::<B>())).build();
        let answer = ResponseBuilder::new()
            .description(description)
            .content("application/json", content)
            .build();
        self.operation = self.operation.response(status, answer);
        self
    }

    /// All of these at once, as JSON or CSV.
    #[must_use]
    pub fn lists<T: ToSchema>(mut self, description: &'static str) -> Self {
        Page::<T>::schemas(&mut self.schemas);
        T::schemas(&mut self.schemas);
        self.schemas.push((T::name().into_owned(), T::schema()));
        // All pages have one name by themselves: each would take the other's place.
        let name = format!("{}Page", T::name());
        self.schemas.push((name.clone(), Page::<T>::schema()));
        let page: RefOr<Schema> = Ref::from_schema_name(name).into();
        let page = ContentBuilder::new().schema(Some(page)).build();
        let text = ObjectBuilder::new().schema_type(Type::String);
        let table = ContentBuilder::new().schema(Some(text)).build();
        let answer = ResponseBuilder::new()
            .description(description)
            .content("application/json", page)
            .content("text/csv", table)
            .build();
        self.operation = self.operation.response("200", answer);
        self
    }

    /// These page by page.
    #[must_use]
    pub fn pages<T: ToSchema>(self, description: &'static str) -> Self {
        self.query::<Paging>().lists::<T>(description)
    }

    /// A good answer that is an object of any shape.
    #[must_use]
    pub fn gives_object(mut self, status: &'static str, description: &'static str) -> Self {
        let object = ObjectBuilder::new().schema_type(Type::Object);
        let content = ContentBuilder::new().schema(Some(object)).build();
        let answer = ResponseBuilder::new()
            .description(description)
            .content("application/json", content)
            .build();
        self.operation = self.operation.response(status, answer);
        self
    }

    /// A good answer of another media type.
    #[must_use]
    pub fn gives_text(
        mut self,
        status: &'static str,
        media_type: &'static str,
        description: &'static str,
    ) -> Self {
        let text = ObjectBuilder::new().schema_type(Type::String);
        let content = ContentBuilder::new().schema(Some(text)).build();
        let answer = ResponseBuilder::new()
            .description(description)
            .content(media_type, content)
            .build();
        self.operation = self.operation.response(status, answer);
        self
    }

    /// A good answer without a body.
    #[must_use]
    pub fn gives_nothing(mut self, description: &'static str) -> Self {
        self.operation = self
            .operation
            .response("204", ResponseBuilder::new().description(description).build());
        self
    }

    fn shape<B: ToSchema>(&mut self) -> RefOr<Schema> {
        let name = B::name().into_owned();
        B::schemas(&mut self.schemas);
        self.schemas.push((name.clone(), B::schema()));
        Ref::from_schema_name(name).into()
    }

    /// Its part of the document, with the schemas that it refers to.
    pub(in crate::http) fn describe(self) -> (Operation, Vec<(String, RefOr<Schema>)>) {
        let operation = self
            .query
            .into_iter()
            .fold(self.operation, OperationBuilder::parameter);
        (operation.build(), self.schemas)
    }

    /// The names of the parameters that it knows.
    pub(in crate::http) fn query_names(&self) -> Vec<String> {
        self.query
            .iter()
            .map(|parameter| parameter.name.clone())
            .collect()
    }
}

/// A parameter is there or left out: an address has no way to write that it is null.
fn never_null(schema: RefOr<Schema>) -> RefOr<Schema> {
    let is_null = |item: &RefOr<Schema>| match item {
        RefOr::T(Schema::Object(object)) => object.schema_type == SchemaType::Type(Type::Null),
        _ => false,
    };
    match schema {
        RefOr::T(Schema::OneOf(mut either)) => {
            either.items.retain(|item| !is_null(item));
            match either.items.pop() {
                Some(only) if either.items.is_empty() => only,
                last => {
                    either.items.extend(last);
                    RefOr::T(Schema::OneOf(either))
                }
            }
        }
        RefOr::T(Schema::Object(mut object)) => {
            if let SchemaType::Array(types) = &mut object.schema_type {
                types.retain(|one| *one != Type::Null);
                if let [only] = types.as_slice() {
                    object.schema_type = SchemaType::Type(only.clone());
                }
            }
            RefOr::T(Schema::Object(object))
        }
        other => other,
    }
}

fn header(name: &str, description: &str, pattern: &str) -> Parameter {
    let text = ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(pattern));
    let parameter = ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(Required::True);
    parameter
        .description(Some(description))
        .schema(Some(text))
        .build()
}

fn problem(description: &str) -> Response {
    let shape: RefOr<Schema> = Ref::from_schema_name("Problem").into();
    let content = ContentBuilder::new().schema(Some(shape)).build();
    ResponseBuilder::new()
        .description(description)
        .content("application/problem+json", content)
        .build()
}

/// The schema that every refusal refers to.
pub fn problem_schemas() -> Vec<(String, RefOr<Schema>)> {
    use crate::http::problem::{FieldProblem, ProblemBody};
    let mut schemas = Vec::new();
    ProblemBody::schemas(&mut schemas);
    schemas.push((FieldProblem::name().into_owned(), FieldProblem::schema()));
    schemas.push((ProblemBody::name().into_owned(), ProblemBody::schema()));
    schemas
}
