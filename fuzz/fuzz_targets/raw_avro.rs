//! `fuzzed::raw_avro`, for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzed::raw_avro(bytes));
