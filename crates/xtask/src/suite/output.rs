//! Reading what `cargo test -- --show-output` prints, line by line: what to count, and what a person wants to see. The output
//! of tests that passed is hidden, but for the line in which one says that it could not run.

use super::Counts;

/// What a test that cannot run says, before its reason: through the harness, or past it on standard error.
pub const SKIPPED: &str = "skipped: ";

/// Whether a line is for the person at the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    Yes,
    No,
}

/// Where in the output of one test binary we are.
#[derive(Default)]
enum Place {
    /// Among the `test name ... ok` lines.
    #[default]
    Results,
    /// In what passed tests printed.
    Successes,
    /// In what failed tests printed, or in the list of their names.
    Failures,
}

/// Counts while it reads.
#[derive(Default)]
pub struct Reader {
    pub counts: Counts,
    place: Place,
}

impl Reader {
    /// Takes one line, without its line break.
    pub fn read(&mut self, line: &str) -> Show {
        if let Some(summary) = line.strip_prefix("test result: ") {
            self.summary(summary);
            self.place = Place::Results;
            return Show::No;
        }
        if line == "successes:" {
            self.place = Place::Successes;
            return Show::No;
        }
        if line == "failures:" {
            self.place = Place::Failures;
            return Show::Yes;
        }
        match self.place {
            Place::Failures => Show::Yes,
            Place::Results => self.result(line),
            Place::Successes => {
                if let Some(why) = line.strip_prefix(SKIPPED) {
                    self.counts.skipped.push(why.into());
                    return Show::Yes;
                }
                Show::No
            }
        }
    }

    fn result(&mut self, line: &str) -> Show {
        let Some(rest) = line.strip_prefix("test ") else {
            return if line.is_empty() || line.starts_with("running ") {
                Show::No
            } else {
                Show::Yes
            };
        };
        match rest.rsplit_once(" ... ") {
            Some((name, "FAILED")) => {
                self.counts.failed.push(name.into());
                Show::Yes
            }
            Some((_, "ok")) => Show::No,
            _ => Show::Yes,
        }
    }

    /// `ok. 3 passed; 0 failed; 0 ignored; ...`
    fn summary(&mut self, text: &str) {
        let number_before = |word: &str| {
            let mut words = text.split([' ', ';', '.']).filter(|word| !word.is_empty());
            let mut last = "";
            words.find_map(|next| {
                let found = (next == word).then(|| last.parse().ok()).flatten();
                last = next;
                found
            })
        };
        self.counts.passed += number_before("passed").unwrap_or(0);
        self.counts.ignored += number_before("ignored").unwrap_or(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "
running 4 tests
test a::works ... ok
test a::needs_root ... ok
test b::later ... ignored
test b::breaks ... FAILED

successes:

---- a::needs_root stdout ----
some noise
skipped: root is needed for chroot

successes:
    a::works
    a::needs_root

failures:

---- b::breaks stdout ----
thread 'b::breaks' panicked

failures:
    b::breaks

test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s

running 1 test
test c::works ... ok

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
";

    #[test]
    fn passed_failed_skipped_and_ignored_tests_are_told_apart() {
        let mut reader = Reader::default();
        for line in PRINTED.lines() {
            reader.read(line);
        }
        let expected = Counts {
            passed: 3,
            ignored: 1,
            failed: vec!["b::breaks".into()],
            skipped: vec!["root is needed for chroot".into()],
        };
        assert_eq!(reader.counts, expected);
    }

    #[test]
    fn what_a_failed_test_printed_is_shown_and_what_a_passed_one_printed_is_not() {
        let mut reader = Reader::default();
        let shown: Vec<&str> = PRINTED
            .lines()
            .filter(|line| reader.read(line) == Show::Yes)
            .collect();
        assert!(shown.contains(&"thread 'b::breaks' panicked"), "{shown:?}");
        assert!(!shown.contains(&"some noise"), "{shown:?}");
        assert!(shown.contains(&"skipped: root is needed for chroot"), "{shown:?}");
        assert!(shown.contains(&"test b::breaks ... FAILED"), "{shown:?}");
    }
}
