//! Compares the pairs of a file, a pair a line with a tab between, as often as is said, and prints how many came out less,
//! equal and greater: `versions FILE ROUNDS`. Who starts it measures it; without words (as `cargo bench` does) it does nothing.

#![expect(clippy::print_stdout, reason = "a bench prints")]

use domain::version::deb::compare;
use std::cmp::Ordering;
use std::hint::black_box;

fn main() -> std::io::Result<()> {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    let [file, rounds] = words.as_slice() else {
        return Ok(());
    };
    let text = std::fs::read_to_string(file)?;
    let pairs: Vec<(&str, &str)> = text.lines().filter_map(|line| line.split_once('\t')).collect();
    let mut counts = [0_u64; 3];
    for _ in 0..rounds.parse().unwrap_or(1) {
        for &(a, b) in black_box(&pairs) {
            match compare(a, b) {
                Ordering::Less => counts[0] += 1,
                Ordering::Equal => counts[1] += 1,
                Ordering::Greater => counts[2] += 1,
            }
        }
    }
    println!("{} {} {}", counts[0], counts[1], counts[2]);
    Ok(())
}
