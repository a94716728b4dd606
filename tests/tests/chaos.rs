//! A short chaos run on three brokers; `cargo xtask chaos` runs for minutes.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use sinyal_tests::chaos::Chaos;

#[test]
fn whatever_is_killed_every_row_is_what_the_oracle_says() {
    let chaos = Chaos { seed: 2, interactions: 12_000, communities: 20, rate: 200, deep: false };
    match chaos.run(&mut |line| println!("{line}")) {
        Ok(verdict) => {
            println!("{verdict}");
            assert!(verdict.faults.len() == 5, "each kind of fault at least once: {verdict}");
        }
        Err(error) => panic!("{error:#}"),
    }
}
