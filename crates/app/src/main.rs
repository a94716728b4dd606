//! Starts `sinyal`, which is in the library beside it: the fuzzer gets in there.

use std::process::ExitCode;

// librdkafka's too: glibc would keep what a restore has fetched, in an arena for each of its threads. Measured in `benches/results`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    sinyal::main()
}
