//! The `damselfly` server binary.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    damselfly_server::run(|config| damselfly_server::Builder::from_config(config).start())
}
