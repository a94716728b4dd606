//! Starts `sinyal`, which is in the library beside it: the fuzzer gets in there.

use std::process::ExitCode;

// Short-lived buffers of many sizes on a few threads: measured faster than the system's allocator, and with less memory.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    sinyal::main()
}
