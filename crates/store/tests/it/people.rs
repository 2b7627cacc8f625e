//! Users, roles, sessions, tokens, and the tokens with which hosts enrol.

use crate::engines::{WHOLE, a_tenant, at, bytes, host_id, new_host, on_both, site_id};
use domain::id::{EnrolmentTokenId, GrantId, RequestId, RoleId, SessionId, TokenId, UserId};
use store::enrolment_token::{Admits, NewEnrolmentToken, Spent};
use store::idempotency_key::{Answer, RequestName};
use store::role::NewGrant;
use store::session::Session;
use store::token::NewToken;
use store::user::{UserEdit, UserState};
use store::{Change, Db, Error, Owner, enrolment_token, host, idempotency_key, role, session, token, user};

pub fn user_id(number: u64) -> UserId {
    UserId(bytes(4, number))
}

async fn a_user(db: &Db, owner: Owner, number: u64) {
    db.write(move |tx| {
        let name = format!("user{number}");
        user::create(tx, &WHOLE, owner, user_id(number), &name, "A Person", at(0))
    })
    .await
    .expect("a user");
}

#[test]
fn one_code_is_good_once_and_never_after_a_later_one() {
    on_both(async |db| {
        a_user(&db, Owner::Shared, 1).await;
        let uses = |step| db.write(move |tx| user::use_totp_step(tx, &WHOLE, user_id(1), step));
        assert!(uses(100).await.expect("write"));
        assert!(!uses(100).await.expect("write"));
        assert!(uses(102).await.expect("write"));
        assert!(!uses(101).await.expect("write"));
    });
}

#[test]
fn a_tenant_changes_its_own_users_and_no_others() {
    on_both(async |db| {
        let (one, two) = (a_tenant(&db, 1).await, a_tenant(&db, 2).await);
        a_user(&db, one.owner(), 1).await;
        let edit = || UserEdit {
            display_name: "New".into(),
            state: UserState::Active,
            password_hash: Some("$argon2id$".into()),
            totp_sealed: None,
        };
        let theirs = db
            .write(move |tx| user::edit_own(tx, &two, user_id(1), 1, &edit()))
            .await;
        assert_eq!(theirs.expect("write"), Change::Absent);
        let own = db
            .write(move |tx| user::edit_own(tx, &one, user_id(1), 1, &edit()))
            .await;
        let own = own.expect("write").changed().expect("their own user");
        assert_eq!(
            (own.state, own.password_hash.as_deref()),
            (UserState::Active, Some("$argon2id$"))
        );
        assert!(!format!("{own:?}").contains("argon2id"), "secrets are not shown");
    });
}

#[test]
fn a_link_logs_in_once_and_not_after_its_time() {
    on_both(async |db| {
        let link =
            |hash: u8| db.write(move |tx| session::make_link(tx, &WHOLE, [hash; 32], None, at(0), at(1800)));
        link(1).await.expect("a link");
        link(2).await.expect("a link");
        let uses = |hash: u8, when| db.write(move |tx| session::use_link(tx, &WHOLE, [hash; 32], at(when)));
        assert_eq!(uses(1, 10).await.expect("write"), Some(None));
        assert_eq!(uses(1, 11).await.expect("write"), None);
        assert_eq!(uses(2, 1800).await.expect("write"), None);
        assert_eq!(uses(3, 10).await.expect("write"), None);
    });
}

#[test]
fn a_session_lasts_as_long_as_it_says() {
    on_both(async |db| {
        a_user(&db, Owner::Shared, 1).await;
        let session = Session {
            id: SessionId(bytes(5, 1)),
            user: user_id(1),
            created_at: at(0),
            used_at: at(0),
            expires_at: at(100),
            second_factor_at: None,
            address: "192.0.2.7".into(),
        };
        let begun = session.clone();
        db.write(move |tx| session::begin(tx, &WHOLE, [7; 32], &begun))
            .await
            .expect("a session");
        let found = |when| db.read(move |view| session::find(view, &WHOLE, [7; 32], at(when)));
        assert_eq!(found(99).await.expect("read"), Some(session.clone()));
        assert_eq!(found(100).await.expect("read"), None);
        db.write(move |tx| session::note_use(tx, &WHOLE, session.id, at(90), at(190)))
            .await
            .expect("write");
        assert_eq!(
            found(150).await.expect("read").map(|session| session.used_at),
            Some(at(90))
        );
        assert_eq!(
            db.write(move |tx| session::end_all(tx, &WHOLE, user_id(1)))
                .await
                .expect("write"),
            1
        );
        assert_eq!(found(99).await.expect("read"), None);
    });
}

#[test]
fn a_role_is_given_in_a_tenant_only_if_the_tenant_has_it_to_give() {
    on_both(async |db| {
        let (one, two) = (a_tenant(&db, 1).await, a_tenant(&db, 2).await);
        a_user(&db, one.owner(), 1).await;
        let (shared, own) = (RoleId(bytes(6, 1)), RoleId(bytes(6, 2)));
        db.write(move |tx| {
            role::put_built_in(tx, &WHOLE, shared, "administrator", "[\"all\"]", at(0))?;
            role::create(tx, &one, own, "watcher", "[\"read\"]", at(0))
        })
        .await
        .expect("roles");
        let give = |scope, number, role, site| {
            let new = NewGrant {
                id: GrantId(bytes(7, number)),
                user: user_id(1),
                role,
                site,
                granted_by: None,
            };
            db.write(move |tx| role::grant(tx, &scope, &new, at(0)))
        };
        assert!(give(one, 1, shared, None).await.expect("write"));
        assert!(give(one, 2, own, Some(site_id(1))).await.expect("write"));
        assert!(!give(two, 3, own, None).await.expect("write"));
        assert!(matches!(
            give(one, 4, own, Some(site_id(2))).await,
            Err(Error::NoSuchRow(_))
        ));
        let grants = db
            .read(move |view| role::grants_of(view, &WHOLE, user_id(1)))
            .await
            .expect("read");
        let given: Vec<_> = grants
            .iter()
            .map(|grant| (grant.site, grant.permissions.as_str()))
            .collect();
        assert_eq!(given, [(None, "[\"all\"]"), (Some(site_id(1)), "[\"read\"]")]);
        let edited = db
            .write(move |tx| role::edit(tx, &one, shared, 1, "mine", "[]"))
            .await;
        assert!(
            !edited.expect("write").is_changed(),
            "a role of the server is not the tenant's to change"
        );
    });
}

#[test]
fn a_token_is_known_until_it_ends_or_is_revoked() {
    on_both(async |db| {
        let scope = a_tenant(&db, 1).await;
        let new = NewToken {
            id: TokenId(bytes(8, 1)),
            secret_hash: [3; 32],
            name: "ci".into(),
            made_by: None,
            permissions: "[]".into(),
            site: None,
            expires_at: Some(at(50)),
        };
        let id = new.id;
        db.write(move |tx| token::create(tx, &scope, &new, at(0)))
            .await
            .expect("a token");
        let found = |when| db.read(move |view| token::find(view, &WHOLE, [3; 32], at(when)));
        assert_eq!(
            found(49).await.expect("read").map(|token| token.owner),
            Some(scope.owner())
        );
        assert!(found(50).await.expect("read").is_none());
        let revoked = db
            .write(move |tx| token::revoke(tx, &scope, id, 1, at(9)))
            .await
            .expect("write");
        assert!(revoked.is_changed());
        assert!(found(10).await.expect("read").is_none());
    });
}

#[test]
fn an_enrolment_token_admits_as_many_as_it_says_and_a_repeated_request_once() {
    on_both(async |db| {
        let scope = a_tenant(&db, 1).await;
        let id = EnrolmentTokenId(bytes(9, 1));
        let new = NewEnrolmentToken {
            id,
            secret_hash: [4; 32],
            site: site_id(1),
            name: "rack 1".into(),
            admits: Admits::Pending,
            uses: 2,
            made_by: None,
            expires_at: at(100),
        };
        db.write(move |tx| {
            enrolment_token::create(tx, &scope, &new, at(0))?;
            for number in 1..=4 {
                host::create(tx, &scope, &new_host(number, site_id(1), "new"), at(0))?;
            }
            Ok(())
        })
        .await
        .expect("a token and hosts");
        let spend = |request, host, when| {
            let request = RequestId(bytes(10, request));
            db.write(move |tx| enrolment_token::spend(tx, &scope, id, request, host_id(host), at(when)))
        };
        assert_eq!(
            spend(1, 1, 100).await.expect("write"),
            Spent::Refused,
            "at its end"
        );
        assert_eq!(spend(1, 1, 5).await.expect("write"), Spent::Now);
        assert_eq!(spend(1, 2, 6).await.expect("write"), Spent::Before(host_id(1)));
        assert_eq!(spend(2, 2, 7).await.expect("write"), Spent::Now);
        assert_eq!(spend(3, 3, 8).await.expect("write"), Spent::Refused);
        let admitted = db
            .read(move |view| enrolment_token::admitted(view, &scope, id))
            .await;
        assert_eq!(admitted.expect("read"), [host_id(1), host_id(2)]);
        let left = db
            .read(move |view| enrolment_token::find(view, &WHOLE, [4; 32]))
            .await
            .expect("read");
        assert_eq!(left.map(|token| token.uses_left), Some(0));
    });
}

#[test]
fn a_repeated_request_gets_the_first_answer() {
    on_both(async |db| {
        let keep = |body: &'static [u8]| {
            let request = RequestName {
                owner: Owner::Shared,
                principal: [1; 16],
                name: "k".into(),
            };
            let answer = Answer {
                request_digest: [2; 32],
                status: 201,
                body: body.into(),
            };
            db.write(move |tx| idempotency_key::keep(tx, &WHOLE, &request, &answer, at(0)))
        };
        assert_eq!(keep(b"first").await.expect("write"), None);
        let again = keep(b"second").await.expect("write").expect("the first answer");
        assert_eq!((again.status, again.body.as_slice()), (201, b"first".as_slice()));
        let gone = db
            .write(|tx| idempotency_key::forget_before(tx, &WHOLE, at(1)))
            .await;
        assert_eq!(gone.expect("write"), 1);
        assert_eq!(keep(b"third").await.expect("write"), None);
    });
}
