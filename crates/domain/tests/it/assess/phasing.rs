//! The draw for phased updates against libstdc++ itself, by a program that is compiled here.

use crate::oracle::{self, Chance};
use domain::assess::phasing::draw;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

const PROGRAM: &str = r#"
#include <iostream>
#include <random>
#include <string>
int main() {
    for (std::string line; std::getline(std::cin, line);) {
        std::seed_seq seed(line.begin(), line.end());
        std::minstd_rand engine(seed);
        std::uniform_int_distribution<unsigned int> numbers(0, 100);
        std::cout << numbers(engine) << '\n';
    }
}
"#;

#[test]
fn a_host_draws_the_number_that_libstdcxx_draws() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (source, program) = (folder.path().join("draw.cc"), folder.path().join("draw"));
    fs::write(&source, PROGRAM).expect("writable");
    let compiled = Command::new("g++").arg("-o").arg(&program).arg(&source).status();
    if !compiled.is_ok_and(|status| status.success()) {
        return oracle::skip("no C++ compiler (install g++)");
    }
    let mut chance = Chance(0x5eed_0003);
    let letters = ["a", "lib", "1", "+", ".", "-", "2:", "~rc", "0ubuntu", "é"];
    let text = |chance: &mut Chance, most| {
        (0..chance.below(most))
            .map(|_| chance.of(&letters))
            .collect::<String>()
    };
    let cases: Vec<(String, String, String)> = (0..2000)
        .map(|_| {
            let machine = format!(
                "{:016x}{:016x}",
                chance.below(usize::MAX),
                chance.below(usize::MAX)
            );
            (text(&mut chance, 9), text(&mut chance, 300), machine)
        })
        .collect();
    let mut child = Command::new(&program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("just compiled");
    let lines: String = cases
        .iter()
        .map(|(source, version, machine)| format!("{source}-{version}-{machine}\n"))
        .collect();
    let mut stdin = child.stdin.take().expect("piped");
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()).expect("it reads"));
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("written");
    let theirs: Vec<u8> = String::from_utf8(output.stdout)
        .expect("digits")
        .lines()
        .map(|line| line.parse().expect("a number up to 100"))
        .collect();
    let ours: Vec<u8> = cases
        .iter()
        .map(|(source, version, machine)| draw(source, version, machine))
        .collect();
    assert_eq!(ours, theirs);
    assert!(ours.contains(&0) && ours.contains(&100));
}
