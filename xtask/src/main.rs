//! The project's own tasks: `cargo xtask tidy|gen|bench`.
#![expect(clippy::print_stdout, reason = "a developer's tool, not the product")]

mod bench;
mod generate;
mod tidy;

use std::path::PathBuf;

use anyhow::{Context as _, bail};

const USAGE: &str = "\
usage: cargo xtask TASK

  tidy              check what the compiler does not: floors, module docs, file sizes, licences
  gen [--check]     write (or check) the generated files
  bench pipelines [--graphs N] [--log-gigabytes N]
                    measure Loopline beside bash, and act where it is installed
  bench images [layers] [registries]
                    measure layers beside tar, and the registry beside docker-registry
  bench containers  measure containers and builds beside runc, podman and buildah
  bench api [start] [writes] [reads] [watches]
                    measure the API server, and its store beside etcd where it is installed
";

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["tidy"] => {
            let problems = tidy::check(&root()?)?;
            for problem in &problems {
                println!("{problem}");
            }
            if !problems.is_empty() {
                bail!("{} problems", problems.len());
            }
            println!("tidy");
            Ok(())
        }
        ["gen"] => generate::all(&root()?, false),
        ["gen", "--check"] => generate::all(&root()?, true),
        ["bench", "pipelines", sizes @ ..] => {
            bench::pipelines(&root()?, &bench::Sizes::parse(sizes)?)
        }
        ["bench", "images", parts @ ..] => bench::images(&root()?, parts),
        ["bench", "containers"] => bench::containers(&root()?),
        ["bench", "api", parts @ ..] => bench::api(&root()?, parts),
        _ => {
            print!("{USAGE}");
            bail!("no such task: {words:?}")
        }
    }
}

/// Returns the workspace's folder.
fn root() -> anyhow::Result<PathBuf> {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    Ok(here.parent().context("xtask lies in the workspace")?.to_path_buf())
}
