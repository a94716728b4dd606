//! `fuzzed::other_records`, for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzed::other_records(bytes));
