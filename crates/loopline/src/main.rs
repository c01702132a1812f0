//! The `loopline` binary: wires the machines to the command line.
fn main() {}
