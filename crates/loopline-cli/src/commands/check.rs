//! `loopline check`: mistakes in workflows and actions, before they run.

use std::path::{Path, PathBuf};

use loopline_diagnostic::{Diagnostic, Severity, render, rule_set};
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
            findings.extend(check_file(&tree, &file));
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
                printer.err("no workflows or actions here");
                printer.err("hint: `loopline check PATH` checks one file or folder");
            } else {
                let files = if checked == 1 { "file" } else { "files" };
                printer.err(&format!("{checked} {files} checked: {}", render::summary(&findings)));
            }
        }
    }
    let failed = findings.iter().any(|finding| finding.severity == Severity::Error);
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

/// Returns the workflows and actions below `folder`. Workflows of repositories inside this one
/// count too.
fn known(tree: &FolderTree, folder: &str) -> Result<Vec<String>, CommandError> {
    let files = tree.list(folder).map_err(|error| CommandError::usage(error.to_string()))?;
    Ok(files
        .into_iter()
        .filter(|path| {
            !path.split('/').any(|part| part == "node_modules" || part == "target")
                && (is_action(path)
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

/// Checks one file of `tree`.
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
