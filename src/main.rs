//! The `ceteris` program.

use std::process::ExitCode;

/// A learner allocates and frees a tensor an operation; the system's allocator gives each larger one
/// back to the kernel and pays for fresh pages.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    ceteris::cli::main()
}
