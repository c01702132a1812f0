//! The project's own tasks: `cargo xtask tidy|gen|bench`.
fn main() {}
