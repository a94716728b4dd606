//! `fuzzed::classify_stage`, for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzed::classify_stage(bytes));
