//! Two hundred seeds, and nothing that was promised is broken. Ten thousand: `simulation --seeds 10000`.

use agent::order::Accepted;
use domain::change::{Approval, Release, Rules};
use domain::digest::Sha256Digest;
use domain::host::mode::Mode;
use domain::id::{ChangeId, DeploymentId, HostId};
use domain::order::{Direction, Order, RebootRule, Start, Window};
use jiff::{SignedDuration, Timestamp};
use protocol::scope::Tree;
use simulation::executor::Deed;
use simulation::promise::{Broken, Promises};
use simulation::run::{START_SECONDS, tell};
use simulation::site::orders::Results;
use simulation::site::{Site, TENANT, Template};
use simulation::{Copying, simulate};
use std::future::Future;
use std::sync::Arc;

fn alone<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime of one thread").block_on(work)
}

fn start() -> Timestamp {
    Timestamp::from_second(START_SECONDS).expect("a time")
}

fn keep_every_promise(seeds: impl Iterator<Item = u64>) {
    alone(async {
        let template = Template::new(start()).await.expect("a server is set up");
        for seed in seeds {
            if let (Err(error), story) = tell(&template, seed, Copying::Happens).await {
                let end = &story[story.len().saturating_sub(60)..];
                panic!("seed {seed}: {error:#}\n{}", end.join("\n"));
            }
        }
    });
}

#[test]
fn a_hundred_even_seeds_keep_every_promise() {
    keep_every_promise((0..200).step_by(2));
}

#[test]
fn a_hundred_odd_seeds_keep_every_promise() {
    keep_every_promise((1..200).step_by(2));
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_seed_another() {
    alone(async {
        let template = Template::new(start()).await.expect("a server is set up");
        let first = simulate(&template, 7, Copying::Happens)
            .await
            .expect("it keeps its promises");
        let again = simulate(&template, 7, Copying::Happens)
            .await
            .expect("it keeps its promises");
        let other = simulate(&template, 8, Copying::Happens)
            .await
            .expect("it keeps its promises");
        assert_eq!(first, again);
        assert_ne!(first.trace, other.trace);
    });
}

#[test]
fn a_document_that_was_acknowledged_and_is_not_there_breaks_a_promise() {
    alone(async {
        let template = Template::new(start()).await.expect("a server is set up");
        let site = Site::new(&template, 1, 0, start()).await.expect("a server");
        let mut promises = Promises::default();
        promises.check_kept(&site).await.expect("nothing was promised");
        promises.acknowledged(&[Sha256Digest([1; 32])]);
        let error = promises.check_kept(&site).await.expect_err("it is not there");
        assert!(matches!(error.downcast_ref(), Some(Broken::Lost(_))), "{error:#}");
    });
}

fn order(change: ChangeId, needs: Mode) -> Arc<Accepted> {
    let approval = Approval {
        tenant: TENANT,
        release: Release {
            updates: Vec::new(),
            rules: Rules {
                needs,
                start: Start::WithGo,
                reboot: RebootRule::Never,
                removals: Vec::new(),
            },
        },
        snapshots: Vec::new(),
        scope: Tree::over(&[]).scope(),
        not_after: Timestamp::MAX,
        direction: Direction::Forward,
    };
    let order = Order {
        number: 7,
        epoch: 1,
        tenant: TENANT,
        host: HostId([1; 16]),
        change,
        deployment: DeploymentId([1; 16]),
        approved: Sha256Digest([1; 32]),
        direction: Direction::Forward,
        snapshots: Vec::new(),
        packages: Vec::new(),
        removals: Vec::new(),
        window: Window {
            opens: Timestamp::MIN,
            closes: Timestamp::MAX,
        },
        needs,
        start: Start::WithGo,
        reboot: RebootRule::Never,
    };
    Arc::new(Accepted {
        order,
        approval,
        digest: Sha256Digest([2; 32]),
    })
}

fn broken(checked: anyhow::Result<()>) -> Broken {
    let error = checked.expect_err("a promise is broken");
    error.downcast().expect("a promise")
}

#[test]
fn a_beginning_later_than_stop_and_lease_breaks_a_promise() {
    let (change, mut promises) = (ChangeId([3; 16]), Promises::default());
    let began = Deed::Began {
        accepted: order(change, Mode::Install),
    };
    let begins = |promises: &mut Promises, seconds: i64| {
        let then = start() + SignedDuration::from_secs(seconds);
        promises.check_deed("host", Mode::Install, &began, then)
    };
    assert!(begins(&mut promises, 9_999).is_ok(), "nobody stopped it");
    promises.stopped(change, start());
    assert!(begins(&mut promises, 600).is_ok());
    let late = broken(begins(&mut promises, 601));
    assert!(
        matches!(late, Broken::BeganAfterStop { late_seconds: 1, .. }),
        "{late}"
    );
}

#[test]
fn a_beginning_above_the_ceiling_or_beside_another_breaks_a_promise() {
    let mut promises = Promises::default();
    let permitted = Deed::Permitted {
        accepted: order(ChangeId([3; 16]), Mode::Full),
    };
    assert!(
        promises
            .check_deed("host", Mode::Full, &permitted, start())
            .is_ok()
    );
    let above = broken(promises.check_deed("host", Mode::Install, &permitted, start()));
    assert!(matches!(above, Broken::AboveCeiling { .. }), "{above}");
    let beside = Deed::Beside { number: 7 };
    let beside = broken(promises.check_deed("host", Mode::Full, &beside, start()));
    assert!(matches!(beside, Broken::TwoAtOnce { .. }), "{beside}");
}

#[test]
fn a_second_restart_by_one_order_and_a_second_end_of_one_break_a_promise() {
    let mut promises = Promises::default();
    let restarts = Deed::Restarts { number: 7 };
    let mut restart = |name| promises.check_deed(name, Mode::Full, &restarts, start());
    assert!(restart("one").is_ok() && restart("other").is_ok());
    let again = broken(restart("one"));
    assert!(matches!(again, Broken::RestartedTwice { .. }), "{again}");
    let end = |word: Option<&str>| Results::from([(7, word.map(str::to_owned))]);
    for word in [None, Some("failed"), None, Some("failed")] {
        promises.check_results(&end(word)).expect("it has one end");
    }
    let other = broken(promises.check_results(&end(Some("succeeded"))));
    assert!(matches!(other, Broken::TwoResults { .. }), "{other}");
}
