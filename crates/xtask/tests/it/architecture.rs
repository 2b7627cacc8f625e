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

/// Every place below `folder` where one of `words` stands in the product's code.
fn places_of(folder: &str, words: &[&str]) -> Vec<String> {
    let tree = tree();
    let files: Vec<&TextFile> = tree
        .with_extension("rs")
        .filter(|file| file.path.starts_with(folder))
        .collect();
    assert!(!files.is_empty(), "{folder} has no Rust files");
    let mut places = Vec::new();
    for file in files {
        let hits = product_lines(file).filter(|(_, line)| words.iter().any(|word| line.contains(word)));
        places.extend(hits.map(|(number, line)| format!("{}:{number}: {}", file.path, line.trim())));
    }
    places
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
    assert_eq!(places_of("crates/domain/src/", &doors), [""; 0]);
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
    for folder in [
        "crates/domain/src/",
        "crates/content/src/",
        "crates/sources/src/",
        "crates/agent/src/",
    ] {
        let words = [
            "println!",
            "eprintln!",
            "print!(",
            "process::exit",
            "process::abort",
        ];
        let mut places = places_of(folder, &words);
        places.retain(|place| !place.starts_with("crates/agent/src/main.rs:"));
        assert_eq!(places, [""; 0]);
    }
}

#[test]
fn the_rules_and_the_reading_of_a_host_cannot_reach_the_network() {
    for folder in ["crates/domain/src/", "crates/content/src/", "crates/agent/src/"] {
        let mut places = places_of(folder, &["ureq", "TcpStream", "UdpSocket", "TcpListener"]);
        places.retain(|place| !place.starts_with("crates/agent/src/transport"));
        assert_eq!(places, [""; 0]);
    }
}

#[test]
fn nothing_in_the_product_starts_a_program_but_apts_simulation() {
    let mut places = Vec::new();
    for folder in [
        "crates/domain/src/",
        "crates/content/src/",
        "crates/sources/src/",
        "crates/agent/src/",
        "crates/cli/src/",
    ] {
        places.extend(places_of(folder, &["process::Command", "Command::new("]));
    }
    // The agent starts itself: its other process, and a reading of the host.
    let own = [
        "crates/cli/src/scan/simulate.rs:",
        "crates/agent/src/executor.rs:",
        "crates/agent/src/command/run.rs:",
    ];
    let strangers: Vec<&String> = places
        .iter()
        .filter(|place| !own.iter().any(|own| place.starts_with(own)))
        .collect();
    assert!(strangers.is_empty(), "{strangers:?}");
}
