//! `fuzzed::community_stage`, for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzed::community_stage(bytes));
