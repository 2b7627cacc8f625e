//! Two hundred seeds, and nothing that was promised is broken. Ten thousand: `simulation --seeds 10000`.

use domain::digest::Sha256Digest;
use jiff::Timestamp;
use simulation::promise::{Broken, Promises};
use simulation::run::{START_SECONDS, tell};
use simulation::site::{Site, Template};
use simulation::{Copying, simulate};
use std::future::Future;

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
