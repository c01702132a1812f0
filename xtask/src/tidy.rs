//! What the compiler does not check: floors, module docs, lints, file sizes, licences.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use fs_err as fs;

/// The floor of every crate (ARCHITECTURE.md). A crate uses only floors below its own.
const FLOORS: &[(&str, u8)] = &[
    ("loopline-clock", 1),
    ("loopline-units", 1),
    ("loopline-source", 1),
    ("loopline-diagnostic", 1),
    ("loopline-formats", 2),
    ("loopline-merge", 2),
    ("loopline-schema", 2),
    ("loopline-workflow", 2),
    ("loopline-git", 3),
    ("loopline-image", 3),
    ("loopline-node", 3),
    ("loopline-sandbox", 3),
    ("loopline-store", 3),
    ("loopline-tls", 3),
    ("loopline-runner", 3),
    ("loopline-apiserver", 4),
    ("loopline-workloads", 4),
    ("loopline-cli", 5),
    ("loopline", 5),
    ("xtask", 6),
];

/// Neighbours that may see each other, and through which trait.
const NEIGHBOURS: &[(&str, &str, &str)] = &[
    ("loopline-diagnostic", "loopline-source", "spans and files are what findings point at"),
    ("loopline-schema", "loopline-merge", "through the trait `Type`"),
    ("loopline-runner", "loopline-sandbox", "through the trait `Machine`"),
    ("loopline-runner", "loopline-git", "through the trait `actions::source::Remote`"),
    ("loopline-node", "loopline-image", "containers stand on its snapshots"),
    ("loopline-node", "loopline-sandbox", "what runs in it is its `Container`"),
    ("loopline", "loopline-cli", "the binary is the command line's composition root"),
];

/// The longest file without a reason, in lines.
const MAX_LINES: usize = 800;

/// Crates that engines must not use, because they do IO or tell the time.
const NOT_FOR_ENGINES: &[&str] =
    &["fs-err", "tokio", "rustix", "tempfile", "hyper", "axum", "reqwest", "loopline-clock"];

/// Returns everything that is wrong, one line each.
pub(crate) fn check(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut problems = Vec::new();
    let floors: BTreeMap<&str, u8> = FLOORS.iter().copied().collect();
    let mut folders: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(root.join("crates"))? {
        folders.push(entry?.path());
    }
    folders.push(root.join("xtask"));
    folders.sort();
    for folder in folders {
        let manifest = folder.join("Cargo.toml");
        let text = fs::read_to_string(&manifest)?;
        let name = folder.file_name().and_then(|name| name.to_str()).context("a folder's name")?;
        check_manifest(name, &text, &floors, &mut problems);
        for file in rust_files(&folder)? {
            check_file(root, &file, &mut problems)?;
        }
    }
    Ok(problems)
}

fn check_manifest(name: &str, text: &str, floors: &BTreeMap<&str, u8>, problems: &mut Vec<String>) {
    let Some(floor) = floors.get(name) else {
        problems.push(format!("{name}: has no floor in xtask/src/tidy.rs"));
        return;
    };
    if !text.contains(&format!("name = \"{name}\"")) {
        problems.push(format!("{name}: the package is not named like its folder"));
    }
    if !text.contains("[lints]\nworkspace = true") {
        problems.push(format!("{name}: does not inherit the workspace's lints"));
    }
    let mut section = "";
    for line in text.lines() {
        if line.starts_with('[') {
            section = line;
            continue;
        }
        let Some(dependency) = line.split(['.', ' ', '=']).next().filter(|word| !word.is_empty())
        else {
            continue;
        };
        let normal = section == "[dependencies]";
        if !normal && section != "[dev-dependencies]" && section != "[build-dependencies]" {
            continue;
        }
        if !line.contains("workspace = true") {
            problems.push(format!("{name}: `{dependency}` is not declared in the workspace"));
        }
        if normal && *floor == 2 && NOT_FOR_ENGINES.contains(&dependency) {
            problems.push(format!("{name}: an engine does no IO, so it cannot use {dependency}"));
        }
        let Some(other) = floors.get(dependency) else { continue };
        let neighbours = NEIGHBOURS.iter().any(|(from, to, _)| *from == name && *to == dependency);
        if normal && other >= floor && !neighbours {
            problems
                .push(format!("{name} (floor {floor}): may not use {dependency} (floor {other})"));
        }
    }
}

fn rust_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                if path.file_name().is_none_or(|name| name != "target") {
                    open.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

fn check_file(root: &Path, file: &Path, problems: &mut Vec<String>) -> anyhow::Result<()> {
    let text = fs::read_to_string(file)?;
    let name = file.strip_prefix(root)?.display();
    let head: Vec<&str> = text.lines().take(12).collect();
    let generated = head.first().is_some_and(|line| line.contains("@generated"));
    if !generated && !head.first().is_some_and(|line| line.starts_with("//!")) {
        problems.push(format!("{name}:1: says nothing about what lives here (`//!`)"));
    }
    let lines = text.lines().count();
    let excused = head.iter().any(|line| line.contains("lines long because"));
    if lines > MAX_LINES && !generated && !excused {
        problems.push(format!(
            "{name}: {lines} lines; split it, or say at the top `lines long because ...`"
        ));
    }
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_start();
        if line.starts_with("#[allow(") || line.starts_with("#![allow(") {
            problems.push(format!("{name}:{}: use #[expect(.., reason = ..)]", index + 1));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_house_is_tidy() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let problems = check(&root.canonicalize().expect("a workspace")).expect("readable files");
        assert!(problems.is_empty(), "{}", problems.join("\n"));
    }

    #[test]
    fn a_crate_cannot_look_up() {
        let floors: BTreeMap<&str, u8> = FLOORS.iter().copied().collect();
        let mut problems = Vec::new();
        let manifest = "[package]\nname = \"loopline-workflow\"\n[lints]\nworkspace = true\n\
                        [dependencies]\nloopline-store.workspace = true\ntokio = \"1\"\n";
        check_manifest("loopline-workflow", manifest, &floors, &mut problems);
        assert_eq!(
            problems,
            [
                "loopline-workflow (floor 2): may not use loopline-store (floor 3)",
                "loopline-workflow: `tokio` is not declared in the workspace",
                "loopline-workflow: an engine does no IO, so it cannot use tokio",
            ]
        );
    }
}
