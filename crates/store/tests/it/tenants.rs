//! Tenants, sites, settings, lives of the server.

use crate::engines::{WHOLE, a_tenant, at, on_both, site_id, tenant_id};
use domain::id::EpochId;
use store::tenant::{TenantEdit, TenantState};
use store::{Change, Error, Scope, epoch, server_setting, site, tenant};

#[test]
fn a_tenant_is_found_as_it_was_made() {
    on_both(async |db| {
        let scope = a_tenant(&db, 1).await;
        let found = db.read(move |view| tenant::get(view, &scope)).await;
        let found = found.expect("read").expect("the tenant");
        assert_eq!(
            (found.id, found.name.as_str(), found.version),
            (tenant_id(1), "tenant 1", 1)
        );
        assert_eq!((found.state, found.created_at), (TenantState::Active, at(0)));
    });
}

#[test]
fn a_name_is_given_to_one_tenant_only() {
    on_both(async |db| {
        a_tenant(&db, 1).await;
        let again = db
            .write(|tx| tenant::create(tx, &WHOLE, tenant_id(2), "tenant 1", at(0)))
            .await;
        assert!(matches!(again, Err(Error::Taken { constraint, .. }) if constraint.contains("name")));
    });
}

#[test]
fn of_two_who_decided_on_one_version_the_second_sees_what_the_first_did() {
    on_both(async |db| {
        a_tenant(&db, 1).await;
        let edit = |name: &str| TenantEdit {
            name: name.into(),
            state: TenantState::Suspended,
        };
        let (first, second) = (edit("first"), edit("second"));
        let done = db
            .write(move |tx| tenant::edit(tx, &WHOLE, tenant_id(1), 1, &first))
            .await
            .expect("write");
        let Change::Changed(now) = done else {
            panic!("{done:?}")
        };
        assert_eq!(
            (now.name.as_str(), now.version, now.state),
            ("first", 2, TenantState::Suspended)
        );
        let late = db
            .write(move |tx| tenant::edit(tx, &WHOLE, tenant_id(1), 1, &second))
            .await;
        assert_eq!(late.expect("write"), Change::Conflict(now));
        let absent = db
            .write(move |tx| tenant::edit(tx, &WHOLE, tenant_id(9), 1, &edit("x")))
            .await;
        assert_eq!(absent.expect("write"), Change::Absent);
    });
}

#[test]
fn pages_of_sites_have_each_once_in_the_order_of_names() {
    on_both(async |db| {
        let scope = a_tenant(&db, 1).await;
        db.write(move |tx| {
            for (number, name) in (10..).zip(["b", "B", "zürich", "a", "z"]) {
                site::create(tx, &scope, site_id(number), name, at(0))?;
            }
            Ok(())
        })
        .await
        .expect("sites");
        let names = db
            .read(move |view| {
                let (mut names, mut after) = (Vec::new(), None);
                loop {
                    let page = site::page(view, &scope, after.as_ref(), 2)?;
                    assert!(page.rows.len() <= 2);
                    names.extend(page.rows.into_iter().map(|site| site.name));
                    after = page.next;
                    if after.is_none() {
                        return Ok(names);
                    }
                }
            })
            .await;
        assert_eq!(names.expect("read"), ["B", "a", "b", "main", "z", "zürich"]);
    });
}

#[test]
fn a_setting_is_made_once_and_changed_by_version() {
    on_both(async |db| {
        let set = |version, value: &'static str| {
            db.write(move |tx| server_setting::set(tx, &WHOLE, "listen", version, value, at(0)))
        };
        assert!(set(0, "one").await.expect("write").is_changed());
        let Change::Conflict(now) = set(0, "two").await.expect("write") else {
            panic!("made twice")
        };
        assert_eq!((now.value.as_str(), now.version), ("one", 1));
        assert!(set(1, "three").await.expect("write").is_changed());
    });
}

#[test]
fn a_new_life_goes_on_from_the_highest_order_number() {
    on_both(async |db| {
        let numbers = db
            .write(|tx| {
                epoch::begin(tx, &WHOLE, EpochId([1; 16]), "first start", at(0))?;
                let first = epoch::next_order_number(tx, &WHOLE)?;
                epoch::raise_order_floor(tx, &WHOLE, 40)?;
                epoch::raise_order_floor(tx, &WHOLE, 7)?;
                let life = epoch::begin(tx, &WHOLE, EpochId([2; 16]), "restore", at(1))?;
                Ok((first, life.number, epoch::next_order_number(tx, &WHOLE)?))
            })
            .await;
        assert_eq!(numbers.expect("write"), (Some(1), 2, Some(41)));
    });
}

#[test]
fn a_failed_change_leaves_nothing() {
    on_both(async |db| {
        let scope = a_tenant(&db, 1).await;
        let failed: Result<(), Error> = db
            .write(move |tx| {
                site::create(tx, &scope, site_id(2), "left over", at(0))?;
                site::create(tx, &Scope::of_tenant(tenant_id(9)), site_id(3), "nobody's", at(0))?;
                Ok(())
            })
            .await;
        assert!(matches!(failed, Err(Error::NoSuchRow(_))), "{failed:?}");
        let found = db
            .read(move |view| site::by_name(view, &scope, "left over"))
            .await;
        assert_eq!(found.expect("read"), None);
    });
}
