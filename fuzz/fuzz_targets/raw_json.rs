//! `fuzzed::raw_json`, for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzed::raw_json(bytes));
