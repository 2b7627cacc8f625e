//! Changes, deployments and orders as rows: what holds between them.

use crate::engines::{at, digest, on_both};
use crate::walls::world::{a_report, a_world, an_order, change_id, deployment_id};
use store::order::{self, OrderStage, Report};
use store::rollout_change::{self, ChangeStaging};

#[test]
fn a_plan_holds_only_the_generation_that_it_was_made_for() {
    on_both(async |db| {
        let scope = a_world(&db).await.scope;
        let held = db.write(move |tx| {
            let generation = rollout_change::generation(tx, &scope)?;
            let before = rollout_change::hold_generation(tx, &scope, generation)?;
            rollout_change::next_generation(tx, &scope)?;
            let after = rollout_change::hold_generation(tx, &scope, generation)?;
            let next = rollout_change::hold_generation(tx, &scope, generation + 1)?;
            Ok((before, after, next))
        });
        assert_eq!(held.await.expect("written"), (true, false, true));
    });
}

#[test]
fn files_that_were_fetched_are_not_all_when_others_are_wanted_meanwhile() {
    on_both(async |db| {
        let scope = a_world(&db).await.scope;
        let looked = db.write(move |tx| {
            let (id, done) = (change_id(), ChangeStaging::Done);
            let unasked = rollout_change::note_staged(tx, &scope, id, done, "")?;
            rollout_change::note_staging(tx, &scope, id, ChangeStaging::Asked, "")?;
            let asked = rollout_change::note_staged(tx, &scope, id, done, "")?;
            let staging = rollout_change::get(tx, &scope, id)?.map(|change| change.staging);
            Ok((unasked, asked, staging))
        });
        let expected = (false, true, Some(ChangeStaging::Done));
        assert_eq!(looked.await.expect("written"), expected);
    });
}

#[test]
fn what_ended_is_reported_on_permitted_and_taken_back_no_more() {
    on_both(async |db| {
        let scope = a_world(&db).await.scope;
        let looked = db.write(move |tx| {
            let late = order::note(tx, &scope, 1, &a_report(OrderStage::Succeeded), None, at(9))?;
            let permitted = order::permit(tx, &scope, 1, at(99))?;
            let withdrawn = order::withdraw(tx, &scope, 1, at(9))?;
            let stages = order::stages(tx, &scope, 1)?.len();
            Ok((late, permitted, withdrawn, stages))
        });
        assert_eq!(looked.await.expect("written"), (false, false, false, 1));
    });
}

#[test]
fn an_unheard_order_ends_with_its_withdrawal_unless_its_host_may_begin() {
    on_both(async |db| {
        let scope = a_world(&db).await.scope;
        let looked = db.write(move |tx| {
            for number in [11, 12] {
                order::create(tx, &scope, &an_order(number), at(5))?;
            }
            assert!(order::permit(tx, &scope, 12, at(50))?);
            for number in [11, 12] {
                assert!(order::withdraw(tx, &scope, number, at(9))?);
            }
            let late = order::permit(tx, &scope, 12, at(99))?;
            let orders = order::get_many(tx, &scope, &[11, 12])?;
            Ok((
                late,
                orders.into_iter().map(|order| order.ended_at).collect::<Vec<_>>(),
            ))
        });
        assert_eq!(looked.await.expect("written"), (false, vec![Some(at(9)), None]));
    });
}

#[test]
fn each_stage_stands_once_in_the_history_and_the_last_words_in_the_order() {
    on_both(async |db| {
        let scope = a_world(&db).await.scope;
        let looked = db.write(move |tx| {
            for (when, line) in [(10, "one"), (11, "two")] {
                let report = Report {
                    last_line: line.to_owned(),
                    output: Some(digest(80)),
                    ..a_report(OrderStage::Installing)
                };
                assert!(order::note(tx, &scope, 2, &report, None, at(when))?);
            }
            let stages = order::stages(tx, &scope, 2)?;
            let mut orders = order::of_deployment(tx, &scope, deployment_id(1))?;
            Ok((stages, orders.pop().expect("the last one").report.last_line))
        });
        let (stages, line) = looked.await.expect("written");
        assert_eq!(stages.len(), 1);
        assert_eq!((stages[0].received_at, &*line), (at(10), "two"));
    });
}
