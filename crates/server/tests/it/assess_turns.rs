//! What one tenant notices of another's assessment: nothing.

use crate::world::{World, add_tenant, inventory, whole};
use domain::id::{NodeId, SiteId, TenantId};
use jiff::SignedDuration;
use protocol::document::DocumentKind;
use server::app::update;
use server::assess;
use store::update::UpdateFilter;
use store::{Scope, Whole, lease};

#[tokio::test]
async fn a_tenant_whose_assessment_takes_for_ever_holds_up_nobody_else() {
    let world = World::new().await;
    let large = TenantId([9; 16]);
    add_tenant(&world.context, large, SiteId([9; 16]), "large").await;
    // As long as a fleet is in hand, an assessment of it is at work. This one never ends.
    let _at_work = world.context.fleets.of(large).await;

    let mut agent = world.agent(1).await;
    let (document, bytes) = inventory(10);
    let digest = protocol::sha256(&bytes);
    assert_eq!(document.packages.len(), 10);
    agent
        .checks_in(&world, &[(DocumentKind::Inventory, digest)])
        .await
        .expect("a check-in");
    agent
        .hands_over(&world, &[whole(DocumentKind::Inventory, bytes)])
        .await
        .expect("an inventory");
    let (now, context) = (world.now(), &world.context);
    let until = now + SignedDuration::from_mins(1);
    let taken = context
        .db
        .write(move |tx| lease::take(tx, &Whole::server(), "assess", NodeId([1; 16]), now, until));
    let fence = taken.await.expect("the database answers").expect("it is free");
    let done = assess::run_tenant(context, &fence, world.scope())
        .await
        .expect("the small tenant's own assessment");
    assert_eq!(done.hosts, 1);
    let page = update::page(context, world.scope(), UpdateFilter::default(), None, None, 10).await;
    assert!(page.expect("a list").items.is_empty());
    let page = update::page(
        context,
        Scope::of_tenant(large),
        UpdateFilter::default(),
        None,
        None,
        10,
    )
    .await;
    assert!(page.expect("even the large tenant's lists").items.is_empty());
}
