//! Everything that this suite promises is promised on PostgreSQL too: a second run of it, in a process of its own, in which
//! every world has a database of a PostgreSQL server.

use std::process::Command;
use testkit::postgres::ENGINE;

/// What is not run a second time, by the beginnings of names, and why.
const LEFT_OUT: [(&str, &str); 7] = [
    ("on_postgres::", "this very test"),
    ("faults::beneath::", "it is about the one file of SQLite"),
    ("fixture::", "it is about a file of SQLite that is kept"),
    (
        "schemathesis::",
        "it takes as long as all others, and answers have one shape on both",
    ),
    (
        "faults::kill::",
        "processes are killed between the steps of one engine; the store's own suite does so on both",
    ),
    ("faults::failover::", "always on PostgreSQL"),
    (
        "check_in::an_unknown_key_is_told_so_without_the_database_being_asked",
        "other nodes may have let it in: with PostgreSQL the database is asked",
    ),
];

#[test]
fn the_whole_suite_keeps_its_promises_on_postgresql() {
    if let Err(why) = testkit::postgres::is_here() {
        testkit::skip::skip(&why);
        return;
    }
    let mut suite = Command::new(std::env::current_exe().expect("the tests have a file"));
    for (name, _why) in LEFT_OUT {
        suite.args(["--skip", name]);
    }
    let done = suite
        .env(ENGINE, "postgres")
        .output()
        .expect("the suite can be run again");
    let said = String::from_utf8_lossy(&done.stdout);
    let passed = said
        .lines()
        .find_map(|line| line.strip_prefix("test result: ok. ")?.split(' ').next())
        .and_then(|count| count.parse::<u32>().ok());
    let failed = said.find("failures:").map_or(&*said, |at| &said[at..]);
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "on PostgreSQL:\n{failed}\n{errors}");
    assert!(passed.is_some_and(|passed| passed > 100), "{said}");
}
