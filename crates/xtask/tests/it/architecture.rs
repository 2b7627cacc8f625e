//! Invariants that the source text itself keeps or breaks.

use xtask::metadata::Metadata;
use xtask::tidy::{Outcome, edges};
use xtask::tree::{TextFile, Tree};

fn tree() -> Tree {
    Tree::of_this_checkout().expect("the tests run in a git checkout")
}

/// The lines of code of a file above its unit tests, with their numbers; comments left out.
fn product_lines(file: &TextFile) -> impl Iterator<Item = (usize, &str)> {
    let lines = file
        .text
        .lines()
        .enumerate()
        .map(|(number, line)| (number + 1, line));
    let product = lines.take_while(|(_, line)| !line.starts_with("#[cfg(test)]"));
    product.filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// Unit tests in a file of their own: `tests.rs`, and what stands in a folder `tests` beside it.
fn is_of_tests(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/")
}

/// Every place below `folder` where one of `words` stands in the product's code.
fn places_of(folder: &str, words: &[&str]) -> Vec<String> {
    let tree = tree();
    let files: Vec<&TextFile> = tree
        .with_extension("rs")
        .filter(|file| file.path.starts_with(folder) && !is_of_tests(&file.path))
        .collect();
    assert!(!files.is_empty(), "{folder} has no Rust files");
    let mut places = Vec::new();
    for file in files {
        let hits = product_lines(file).filter(|(_, line)| words.iter().any(|word| line.contains(word)));
        places.extend(hits.map(|(number, line)| format!("{}:{number}: {}", file.path, line.trim())));
    }
    places
}

/// As [`places_of`], without the files that `named` allows by the beginning of their paths. A name that allows nothing any
/// more is a place too: the list says what is, not what was.
fn unnamed_places_of(folders: &[&str], words: &[&str], named: &[(&str, &str)]) -> Vec<String> {
    let places: Vec<String> = folders
        .iter()
        .flat_map(|folder| places_of(folder, words))
        .collect();
    let is_of = |place: &str, (path, _): &(&str, &str)| place.starts_with(path);
    let idle = named
        .iter()
        .filter(|one| !places.iter().any(|place| is_of(place, one)))
        .map(|(path, reason)| format!("{path} is named ({reason}), and there is nothing"));
    let strangers = places
        .iter()
        .filter(|place| !named.iter().any(|one| is_of(place, one)))
        .cloned();
    strangers.chain(idle).collect()
}

#[test]
fn the_domain_reads_no_clock_chance_file_or_network() {
    let doors = [
        "std::fs",
        "std::net",
        "std::env",
        "std::process",
        "std::io",
        "std::thread",
        "std::time",
        "std::os",
        "Timestamp::now",
        "Zoned::now",
        "RandomState",
        "rand::",
        "getrandom",
    ];
    let mut places = places_of("crates/domain/src/", &doors);
    // An address is a value; what would send something there is not in the same line.
    places.retain(|place| !place.ends_with(": use std::net::IpAddr;"));
    assert_eq!(places, [""; 0]);
}

#[test]
fn crates_depend_only_downwards() {
    let metadata = Metadata::of(tree().root()).expect("cargo knows the workspace");
    match edges::are_allowed(&metadata) {
        Outcome::Kept(_) => {}
        Outcome::Broken(places) => panic!("{places:?}"),
        Outcome::Skipped(why) => panic!("{why}"),
    }
}

#[test]
fn the_servers_door_reaches_rows_files_and_secrets_only_through_its_rooms() {
    let words = [
        "store::",
        ".db",
        "ctx.content",
        "ctx.fleets",
        "ctx.local",
        "sources::apt",
        "std::fs",
    ];
    assert_eq!(
        unnamed_places_of(&["crates/server/src/http"], &words, &[]),
        [""; 0]
    );
}

#[test]
fn unsafe_code_stands_only_in_the_memory_map() {
    let tree = tree();
    let is_product = |file: &&TextFile| file.path.starts_with("crates/") && file.path.contains("/src/");
    let with_unsafe = tree.with_extension("rs").filter(is_product).filter(|file| {
        product_lines(file).any(|(_, line)| {
            line.contains("unsafe {") || line.contains("unsafe fn") || line.contains("unsafe impl")
        })
    });
    let paths: Vec<&str> = with_unsafe.map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["crates/content/src/mapped.rs"]);
}

#[test]
fn no_library_prints_or_ends_the_process() {
    let libraries = [
        "crates/domain/src/",
        "crates/content/src/",
        "crates/sources/src/",
        "crates/protocol/src/",
        "crates/store/src/",
        "crates/server/src/",
        "crates/agent/src/",
    ];
    let words = [
        "println!",
        "eprintln!",
        "print!(",
        "process::exit",
        "process::abort",
    ];
    let named = [(
        "crates/agent/src/main.rs:",
        "the program that stands before the library",
    )];
    assert_eq!(unnamed_places_of(&libraries, &words, &named), [""; 0]);
}

#[test]
fn of_rules_and_agent_only_the_network_process_reaches_the_network() {
    let folders = ["crates/domain/src/", "crates/content/src/", "crates/agent/src/"];
    let doors = [
        "ureq",
        "TcpStream",
        "UdpSocket",
        "TcpListener",
        "rustix::net",
        "Transport::new",
    ];
    let named = [
        ("crates/agent/src/transport", "the way to the server"),
        (
            "crates/agent/src/network.rs:",
            "the network process, which goes that way and is not root",
        ),
        (
            "crates/agent/src/survey/netlink.rs:",
            "netlink(7) asks the kernel, not the network",
        ),
    ];
    assert_eq!(unnamed_places_of(&folders, &doors, &named), [""; 0]);
}

#[test]
fn the_product_starts_only_the_programs_that_are_named() {
    let folders = [
        "crates/domain/src/",
        "crates/content/src/",
        "crates/sources/src/",
        "crates/protocol/src/",
        "crates/store/src/",
        "crates/server/src/",
        "crates/agent/src/",
        "crates/cli/src/",
    ];
    let named = [
        (
            "crates/cli/src/scan/simulate.rs:",
            "apt's simulation, which a person asks for by an option",
        ),
        (
            "crates/cli/src/fleet/enrol.rs:",
            "ssh to the hosts that a person lists",
        ),
        (
            "crates/cli/src/service.rs:",
            "dpkg, to install this very program as a service",
        ),
        (
            "crates/cli/src/up/here.rs:",
            "the agent beside this program, for this machine",
        ),
        (
            "crates/agent/src/executor.rs:",
            "the agent itself: its process for the network",
        ),
        (
            "crates/agent/src/command/run.rs:",
            "the agent itself: one job of the network process",
        ),
        (
            "crates/agent/src/packages/tool.rs:",
            "apt and dpkg for orders, systemd and setsid around them: each is named there",
        ),
    ];
    let words = ["process::Command", "Command::new("];
    assert_eq!(unnamed_places_of(&folders, &words, &named), [""; 0]);
}

/// Lines of what makes something durable, by what stands in them.
const DURABLE: [&str; 8] = [
    ".sync_all()",
    ".sync_data()",
    "fs::rename(",
    "disk.sync(",
    "disk.rename(",
    "disk.sync_folder(",
    "\"COMMIT\"",
    "\"VACUUM INTO",
];

/// Durable steps without a fail-point beside them, by file and a part of the line, and why.
const WITHOUT_A_FAIL_POINT: [(&str, &str, &str); 5] = [
    (
        "crates/content/src/disk.rs",
        "",
        "the port itself; who calls it has the points",
    ),
    (
        "crates/server/src/operations/backup.rs",
        "folder.sync_all()",
        "flushes a folder for those that have the points",
    ),
    (
        "crates/server/src/operations/logs.rs",
        "fs::rename(",
        "a log that is turned over: nobody was promised a line of it",
    ),
    (
        "crates/server/src/authority/sealed.rs",
        "File::open(folder)?.sync_all()",
        "the last of three steps, with a point before it",
    ),
    (
        "crates/server/src/authority/sealed.rs",
        "folder.sync_all()",
        "the end of a removal: a key that is back after a power cut is removed again",
    ),
];

#[test]
fn every_durable_step_of_the_server_stands_beside_a_fail_point() {
    let tree = tree();
    let folders = ["crates/content/src/", "crates/store/src/", "crates/server/src/"];
    let mut bare = Vec::new();
    let mut count = 0;
    for file in tree.with_extension("rs") {
        let is_product = folders.iter().any(|folder| file.path.starts_with(folder));
        if !is_product || file.path.ends_with("/tests.rs") {
            continue;
        }
        let lines: Vec<(usize, &str)> = product_lines(file).collect();
        for (at, (number, line)) in lines.iter().enumerate() {
            let is_named = |(path, part, _): &(&str, &str, &str)| file.path == *path && line.contains(part);
            if !DURABLE.iter().any(|step| line.contains(step)) || WITHOUT_A_FAIL_POINT.iter().any(is_named) {
                continue;
            }
            count += 1;
            let beside = &lines[at.saturating_sub(4)..(at + 5).min(lines.len())];
            if !beside.iter().any(|(_, line)| line.contains("reach(")) {
                bare.push(format!("{}:{number}: {}", file.path, line.trim()));
            }
        }
    }
    assert_eq!(bare, [""; 0]);
    assert!(count >= 10, "durable steps are called otherwise by now: {count}");
}
