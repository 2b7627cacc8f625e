//! Files of orders, given by ticket: to whom, which, and in which parts.

use super::Shop;
use crate::world::add_tenant;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use content::Expected;
use domain::digest::Sha256Digest;
use domain::id::{DeploymentId, HostId, SiteId, SourceId, TenantId};
use http_body_util::BodyExt;
use jiff::SignedDuration;
use server::agents::content_ticket::{self, LIFETIME, TicketKey};
use server::catalog::resolve::{Below, NeededFile};
use server::http::content::routes;
use store::Whole;
use store::acquisition::{self, Scan, ScanState};
use testkit::archive::package::Package;
use tower::ServiceExt;

struct Serving {
    shop: Shop,
    router: axum::Router,
    bytes: Vec<u8>,
    digest: Sha256Digest,
    deployment: DeploymentId,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Serving {
    /// A deployment with one granted file of 10,000 bytes, as RFC 9110 shows ranges of.
    async fn new() -> Self {
        let bytes: Vec<u8> = (0..10_000_u32).map(|at| (at % 251) as u8).collect();
        Self::of(bytes).await
    }

    async fn of(bytes: Vec<u8>) -> Self {
        let shop = Shop::new(&[], &[Package::new("app", "1")]).await;
        let content = &shop.fleet.world.context.content;
        let limit = Expected::AtMost { size_bytes: 1 << 30 };
        let (digest, _) = content.insert(&bytes[..], limit).expect("it is kept");
        let deployment = shop.granted(1, shop.host, &[needed(digest)]).await;
        let router = routes(&shop.fleet.world.context);
        Self {
            shop,
            router,
            bytes,
            digest,
            deployment,
        }
    }

    fn ticket(&self, host: HostId, tenant: TenantId, deployment: DeploymentId) -> String {
        let world = &self.shop.fleet.world;
        content_ticket::issue(&world.context, host, tenant, deployment, world.now())
    }

    fn own_ticket(&self) -> String {
        self.ticket(self.shop.host, self.shop.fleet.world.tenant, self.deployment)
    }

    async fn ask(&self, method: Method, path: &str, fields: &[(header::HeaderName, &str)]) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in fields {
            request = request.header(name, *value);
        }
        let request = request.body(Body::empty()).expect("a request");
        let answer = self.router.clone().oneshot(request).await.expect("an answer");
        let (parts, body) = answer.into_parts();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.collect().await.expect("a body").to_bytes().to_vec(),
        }
    }

    async fn by(&self, ticket: &str, digest: Sha256Digest) -> StatusCode {
        let bearer = format!("Bearer {ticket}");
        let path = format!("/content/{digest}");
        self.ask(Method::GET, &path, &[(header::AUTHORIZATION, &bearer)])
            .await
            .status
    }

    async fn own(&self, method: Method, fields: &[(header::HeaderName, &str)]) -> Answer {
        let bearer = format!("Bearer {}", self.own_ticket());
        let mut all = vec![(header::AUTHORIZATION, bearer.as_str())];
        all.extend_from_slice(fields);
        self.ask(method, &format!("/content/{}", self.digest), &all).await
    }
}

fn needed(sha256: Sha256Digest) -> NeededFile {
    NeededFile {
        sha256,
        size_bytes: 1,
        source: SourceId([1; 16]),
        path: "a.deb".to_owned(),
        below: Below::Archive,
        release: sha256,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_given_to_who_holds_a_ticket_of_its_deployment_and_to_nobody_else() {
    let serving = Serving::new().await;
    let (world, digest) = (&serving.shop.fleet.world, serving.digest);
    let whole = serving.own(Method::GET, &[]).await;
    assert_eq!((whole.status, &whole.body), (StatusCode::OK, &serving.bytes));
    assert_eq!(whole.headers[header::CONTENT_LENGTH], "10000");
    assert_eq!(whole.headers[header::ETAG], format!("\"{digest}\"").as_str());

    let (host, tenant, deployment) = (serving.shop.host, world.tenant, serving.deployment);
    let foreign = TenantId([7; 16]);
    add_tenant(&world.context, foreign, SiteId([8; 16]), "foreign").await;
    let nobody = StatusCode::NOT_FOUND;
    for ticket in [
        serving.ticket(host, foreign, deployment),
        serving.ticket(HostId([99; 16]), tenant, deployment),
        serving.ticket(host, tenant, DeploymentId([99; 16])),
    ] {
        assert_eq!(serving.by(&ticket, digest).await, nobody);
    }
    // Another file of the store, one of another deployment, and none at all.
    let content = &world.context.content;
    let (other, _) = content
        .insert(&b"another"[..], Expected::AtMost { size_bytes: 100 })
        .expect("it is kept");
    assert_eq!(serving.by(&serving.own_ticket(), other).await, nobody);
    let another = serving.shop.granted(2, host, &[needed(other)]).await;
    assert_eq!(serving.by(&serving.own_ticket(), other).await, nobody);
    assert_eq!(
        serving.by(&serving.ticket(host, tenant, another), other).await,
        StatusCode::OK
    );
    assert_eq!(
        serving.by(&serving.own_ticket(), Sha256Digest([0; 32])).await,
        nobody
    );
    let answer = serving.ask(Method::GET, "/content/..%2f..%2fkeys", &[]).await;
    assert_eq!(answer.status, nobody);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_is_good_for_two_hours_and_not_with_one_character_changed() {
    let serving = Serving::new().await;
    let (world, digest) = (&serving.shop.fleet.world, serving.digest);
    let ticket = serving.own_ticket();
    assert!(ticket.len() <= protocol::limits::TICKET_BYTES);
    let (key, now) = (TicketKey::of(&world.context), world.now());
    assert!(key.open(&ticket, now).is_ok());
    for at in 0..ticket.len() {
        let other = if &ticket[at..=at] == "A" { "B" } else { "A" };
        let altered = format!("{}{other}{}", &ticket[..at], &ticket[at + 1..]);
        assert!(key.open(&altered, now).is_err(), "character {at}");
        assert!(key.open(&ticket[..at], now).is_err(), "cut at {at}");
    }
    world.pass(LIFETIME - SignedDuration::from_micros(1));
    assert_eq!(serving.by(&ticket, digest).await, StatusCode::OK);
    world.pass(SignedDuration::from_micros(1));
    assert_eq!(serving.by(&ticket, digest).await, StatusCode::UNAUTHORIZED);
    assert_eq!(serving.by("", digest).await, StatusCode::UNAUTHORIZED);
    // Who tries has a stranger's budget.
    let mut refused = Vec::new();
    for _ in 0..60 {
        refused.push(serving.by("x", digest).await);
    }
    assert!(refused.contains(&StatusCode::TOO_MANY_REQUESTS));
    assert_eq!(serving.by(&serving.own_ticket(), digest).await, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ranges_are_those_of_the_standard() {
    let serving = Serving::new().await;
    // RFC 9110, section 14.1.2, on a representation of 10,000 bytes; then sections 14.2 and 15.5.17.
    let (first, last) = (0_usize, 9_999_usize);
    for (asked, part) in [
        ("bytes=0-499", Some(0..=499)),
        ("bytes=500-999", Some(500..=999)),
        ("bytes=-500", Some(9_500..=last)),
        ("bytes=9500-", Some(9_500..=last)),
        ("bytes=0-0", Some(0..=0)),
        ("bytes=-1", Some(last..=last)),
        ("bytes=0-", Some(first..=last)),
        ("bytes=-20000", Some(first..=last)),
        ("bytes=9999-20000", Some(last..=last)),
        ("bytes=0-99999999999999999999999", Some(first..=last)),
        ("BYTES=1-1", Some(1..=1)),
        ("bytes=10000-", None),
        ("bytes=-0", None),
        ("bytes=99999999999999999999999-", None),
    ] {
        let answer = serving.own(Method::GET, &[(header::RANGE, asked)]).await;
        match part {
            Some(part) => {
                assert_eq!(answer.status, StatusCode::PARTIAL_CONTENT, "{asked}");
                let said = format!("bytes {}-{}/10000", part.start(), part.end());
                assert_eq!(answer.headers[header::CONTENT_RANGE], said.as_str(), "{asked}");
                assert_eq!(answer.body, serving.bytes[part], "{asked}");
            }
            None => {
                assert_eq!(answer.status, StatusCode::RANGE_NOT_SATISFIABLE, "{asked}");
                assert_eq!(answer.headers[header::CONTENT_RANGE], "bytes */10000", "{asked}");
                assert!(answer.body.is_empty());
            }
        }
    }
    for ignored in [
        "bytes=5-3",
        "bytes=0-0,-1",
        "lines=0-1",
        "bytes",
        "bytes=x-",
        "bytes=-",
        "bytes=+1-2",
    ] {
        let answer = serving.own(Method::GET, &[(header::RANGE, ignored)]).await;
        assert_eq!(
            (answer.status, answer.body.len()),
            (StatusCode::OK, 10_000),
            "{ignored}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_goes_on_with_the_very_file_that_was_begun_and_a_head_has_no_body() {
    let serving = Serving::new().await;
    let (tag, other) = (
        format!("\"{}\"", serving.digest),
        format!("\"{}\"", Sha256Digest([1; 32])),
    );
    let begun = |known: &str| {
        let known = known.to_owned();
        let serving = &serving;
        async move {
            let fields = [(header::RANGE, "bytes=5-9"), (header::IF_RANGE, known.as_str())];
            serving.own(Method::GET, &fields).await.status
        }
    };
    assert_eq!(begun(&tag).await, StatusCode::PARTIAL_CONTENT);
    assert_eq!(begun(&other).await, StatusCode::OK);
    assert_eq!(
        begun(&format!("W/{tag}")).await,
        StatusCode::OK,
        "a weak tag is none (13.1.5)"
    );
    assert_eq!(begun("Fri, 20 Nov 2026 12:00:00 GMT").await, StatusCode::OK);
    let known = serving.own(Method::GET, &[(header::IF_NONE_MATCH, &tag)]).await;
    assert_eq!((known.status, known.body.len()), (StatusCode::NOT_MODIFIED, 0));
    let head = serving.own(Method::HEAD, &[(header::RANGE, "bytes=5-9")]).await;
    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
    assert_eq!(head.headers[header::CONTENT_LENGTH], "10000");
    let post = serving.own(Method::POST, &[]).await;
    assert_eq!(post.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_scan_found_bad_and_what_is_not_here_yet_is_not_given() {
    let serving = Serving::new().await;
    let (world, digest) = (&serving.shop.fleet.world, serving.digest);
    assert_eq!(serving.by(&serving.own_ticket(), digest).await, StatusCode::OK);
    let scan = Scan {
        digest,
        state: ScanState::Infected,
        detail: "Eicar-Test-Signature".to_owned(),
        engine: "ClamAV".to_owned(),
        scanned_at: world.now(),
    };
    let noted = world
        .context
        .db
        .write(move |tx| acquisition::note_scan(tx, &Whole::server(), &scan));
    noted.await.expect("it is noted");
    world.pass(SignedDuration::from_secs(60));
    assert_eq!(
        serving.by(&serving.own_ticket(), digest).await,
        StatusCode::NOT_FOUND
    );
    let absent = Sha256Digest([3; 32]);
    let deployment = serving
        .shop
        .granted(3, serving.shop.host, &[needed(absent)])
        .await;
    let ticket = serving.ticket(serving.shop.host, world.tenant, deployment);
    assert_eq!(serving.by(&ticket, absent).await, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_file_leaves_in_pieces_and_arrives_whole() {
    let bytes: Vec<u8> = (0..3_000_001_u32)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let serving = Serving::of(bytes).await;
    let bearer = format!("Bearer {}", serving.own_ticket());
    let request = Request::get(format!("/content/{}", serving.digest))
        .header(header::AUTHORIZATION, bearer)
        .body(Body::empty())
        .expect("a request");
    let answer = serving.router.clone().oneshot(request).await.expect("an answer");
    let (mut body, mut arrived, mut largest) = (answer.into_body(), Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let piece = frame.expect("nothing fails").into_data().expect("only data");
        largest = largest.max(piece.len());
        arrived.extend_from_slice(&piece);
    }
    assert_eq!(content::sha256(&arrived), serving.digest);
    assert!(largest <= 64 << 10, "{largest}");
}
