//! `fuzzed::registry_schema`, for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzed::registry_schema(bytes));
