//! How a test that lacks something here says so: on a person's machine it is skipped aloud, in CI it fails.

use std::path::PathBuf;

/// Says that a test cannot run here and why. With `CI=true` nothing may be skipped: panics.
pub fn skip(why: &dyn std::fmt::Display) {
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "skipped, which CI does not permit: {why}"
    );
    #[expect(clippy::print_stderr, reason = "a test speaks to the person who runs it")]
    {
        eprintln!("skipped: {why}");
    }
}

/// As [`skip`], with the whole chain of causes.
pub fn skip_for(missing: &dyn std::error::Error) {
    let causes = std::iter::successors(Some(missing), |error| error.source()).map(ToString::to_string);
    skip(&causes.collect::<Vec<_>>().join(": "));
}

/// The folder of shared test data (environment variable `PATCHYARD_SHARED`), or a skip.
pub fn shared_data() -> Option<PathBuf> {
    let shared = std::env::var_os("PATCHYARD_SHARED")
        .map(PathBuf::from)
        .filter(|path| path.is_dir());
    if shared.is_none() {
        skip(&"PATCHYARD_SHARED names no folder of shared data");
    }
    shared
}

/// Whether this is a run in CI, where nothing may be skipped (`CI=true`).
pub fn is_ci() -> bool {
    std::env::var("CI").as_deref() == Ok("true")
}

/// How many cases to run: what the environment variable says, or one of these.
pub fn cases(variable: &str, usually: u64, in_ci: u64) -> u64 {
    let chosen = std::env::var(variable).ok();
    let chosen = chosen.map(|text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} is not a number: {text}"))
    });
    chosen.unwrap_or(if is_ci() { in_ci } else { usually })
}
