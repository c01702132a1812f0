//! `loopline check`: mistakes in workflows, actions and Dockerfiles, before they run.

use std::path::{Path, PathBuf};

use loopline_diagnostic::{Diagnostic, Severity, render, rule_set};
use loopline_formats::dockerfile;
use loopline_source::{FileTree as _, SourceFile};
use loopline_store::FolderTree;
use loopline_workflow::github::check;

use super::{Context, Outcome};
use crate::arguments::{CheckArguments, Format};
use crate::error::{CommandError, Status};

pub(crate) fn run(context: &Context<'_>, arguments: &CheckArguments) -> Outcome {
    let printer = context.printer;
    let paths = if arguments.paths.is_empty() {
        vec![root_of(&std::env::current_dir()?)]
    } else {
        arguments.paths.clone()
    };
    let mut findings = Vec::new();
    let mut failed = false;
    let mut checked = 0;
    for path in &paths {
        let path = fs_err::canonicalize(path)?;
        let root = root_of(&path);
        let tree = FolderTree::new(&root)?;
        let relative = path.strip_prefix(&root).unwrap_or(Path::new("")).to_string_lossy();
        let files =
            if path.is_dir() { known(&tree, &relative)? } else { vec![relative.into_owned()] };
        for file in files {
            checked += 1;
            let report = check_one(&tree, &file);
            failed |= report.failed;
            findings.extend(report.findings);
        }
    }
    let format = if printer.json && arguments.format == Format::Text {
        Format::Json
    } else {
        arguments.format
    };
    match format {
        Format::Json => printer.json(&render::json(&findings)),
        Format::Sarif => printer.json(&render::sarif(&findings, env!("CARGO_PKG_VERSION"))),
        Format::Text => {
            let options = render::TextOptions { color: printer.color_out() };
            if !findings.is_empty() {
                printer.out(render::text(&findings, &options).trim_end());
            }
            if checked == 0 {
                printer.err("no workflows, actions or Dockerfiles here");
                printer.err("hint: `loopline check PATH` checks one file or folder");
            } else {
                let files = if checked == 1 { "file" } else { "files" };
                printer.err(&format!("{checked} {files} checked: {}", render::summary(&findings)));
            }
        }
    }
    Ok(if failed { Status::Failed } else { Status::Ok })
}

/// Returns the folder that local paths of a workflow start from: the nearest one above `path`
/// with `.git` or `.github`, else the folder itself.
fn root_of(path: &Path) -> PathBuf {
    let folder = if path.is_dir() { path } else { path.parent().unwrap_or(path) };
    folder
        .ancestors()
        .find(|folder| folder.join(".git").exists() || folder.join(".github").is_dir())
        .unwrap_or(folder)
        .to_path_buf()
}

/// Returns the workflows, actions and Dockerfiles below `folder`. Workflows of repositories inside this one
/// count too.
fn known(tree: &FolderTree, folder: &str) -> Result<Vec<String>, CommandError> {
    let files = tree.list(folder).map_err(|error| CommandError::usage(error.to_string()))?;
    Ok(files
        .into_iter()
        .filter(|path| {
            !path.split('/').any(|part| part == "node_modules" || part == "target")
                && (is_action(path)
                    || is_dockerfile(path)
                    || (path.ends_with(".yml") || path.ends_with(".yaml"))
                        && path
                            .rsplit_once('/')
                            .is_some_and(|(folder, _)| folder.ends_with(".github/workflows")))
        })
        .collect())
}

fn is_action(path: &str) -> bool {
    matches!(path.rsplit('/').next(), Some("action.yml" | "action.yaml"))
}

/// What a Dockerfile's name ends with when it is a template or a note, and no Dockerfile yet.
const NOT_DOCKERFILES: [&str; 9] =
    ["dockerignore", "j2", "tmpl", "tpl", "template", "erb", "md", "orig", "bak"];

/// Returns whether `path` is named like a Dockerfile: `Dockerfile`, `Dockerfile.NAME`,
/// `NAME.dockerfile`, and `Containerfile` in the same ways.
fn is_dockerfile(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or("");
    let (first, last) = (name.split('.').next(), name.rsplit('.').next());
    if last.is_some_and(|last| NOT_DOCKERFILES.contains(&last)) {
        return false;
    }
    // Only the whole name may be in small letters in front: `dockerfile.rs` is something else.
    first.is_some_and(|first| matches!(first, "Dockerfile" | "Containerfile"))
        || last.is_some_and(|last| {
            ["dockerfile", "containerfile"].iter().any(|word| last.eq_ignore_ascii_case(word))
        })
}

/// Checks one file of `tree`.
fn check_one(tree: &FolderTree, path: &str) -> dockerfile::check::Report {
    if is_dockerfile(path)
        && let Ok(text) = tree.read(path)
    {
        return dockerfile::check::dockerfile(&SourceFile::new(path, text), tree);
    }
    let findings = check_file(tree, path);
    let failed = findings.iter().any(|finding| finding.severity == Severity::Error);
    dockerfile::check::Report { findings, failed }
}

/// Checks one workflow or action of `tree`.
pub(crate) fn check_file(tree: &FolderTree, path: &str) -> Vec<Diagnostic> {
    let text = match tree.read(path) {
        Ok(text) => text,
        Err(error) => {
            let file = SourceFile::new(path, "");
            let span = loopline_source::Span::at(0);
            let message = format!("the file cannot be read: {error}");
            return vec![Diagnostic::new(&rule_set::YAML_SYNTAX, &file, span, message)];
        }
    };
    let file = SourceFile::new(path, text);
    // A repository inside this one has paths of its own.
    let nested = path.find(".github/").and_then(|at| {
        (at > 0).then(|| FolderTree::new(&tree.root().join(&path[..at])).ok()).flatten()
    });
    let tree = nested.as_ref().unwrap_or(tree);
    if is_action(path) {
        check::action(&file, tree, &check::Options::default())
    } else {
        check::workflow(&file, tree, &check::Options::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockerfiles_are_known_by_their_names() {
        for path in [
            "Dockerfile",
            "a/Dockerfile",
            "Dockerfile.dev",
            "app.Dockerfile",
            "a/app.dockerfile",
            "Containerfile",
            "Containerfile.prod",
            "dockerfile",
        ] {
            assert!(is_dockerfile(path), "{path}");
        }
        for path in [
            "Dockerfile.dockerignore",
            "Dockerfile.j2",
            "Dockerfiles/a",
            "docker.file",
            "dockerfile.rs",
            "Dockerfile/x.yml",
            "myDockerfile",
        ] {
            assert!(!is_dockerfile(path), "{path}");
        }
    }
}
