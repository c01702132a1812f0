//! Real workflows must load: the guide's files, and those actionlint calls clean.

use std::path::{Path, PathBuf};

use loopline_source::SourceFile;
use loopline_workflow::github::parse::{self, Options};

use super::folder;

#[test]
fn guide_workflows_load() {
    let Some(folder) = folder("LOOPLINE_GUIDE") else { return };
    let mut found = Vec::new();
    files(&folder, &mut found);
    found.retain(|path| path.parent().is_some_and(|parent| parent.ends_with(".github/workflows")));
    assert!(!found.is_empty(), "the guide has workflows");
    for path in found {
        let name = path.strip_prefix(&folder).unwrap_or(&path).display().to_string();
        let (jobs, errors) = load(&path);
        println!("{name}: {jobs} jobs, {errors:?}");
        assert!(jobs > 0, "{name} has no jobs");
        // The one real mistake of this kind in the guide: a file without `on`.
        let expected = usize::from(errors.iter().any(|error| error.ends_with("missing: on")));
        assert_eq!(errors.len(), expected, "{name}: {errors:?}");
    }
}

#[test]
fn clean_workflows_load() {
    let Some(folder) = folder("LOOPLINE_CONFORMANCE") else { return };
    let mut found = Vec::new();
    files(&folder.join("actionlint/ok"), &mut found);
    found.retain(|path| path.extension().is_some_and(|it| it == "yaml" || it == "yml"));
    let mut refused = Vec::new();
    for path in &found {
        let (_, errors) = load(path);
        if !errors.is_empty() {
            refused.push(format!("{errors:?}"));
        }
    }
    println!("clean workflows: {} of {} load", found.len() - refused.len(), found.len());
    assert!(refused.is_empty(), "{refused:#?}");
}

fn load(path: &Path) -> (usize, Vec<String>) {
    let text = fs_err::read_to_string(path).expect("the file is readable");
    let file = SourceFile::new(path.display().to_string(), text);
    let options = Options { called_workflows: false, ..Options::default() };
    let (workflow, errors) = parse::workflow(&file, &options, &mut |_: &str, _: &SourceFile| None);
    (workflow.jobs.len(), errors.iter().map(ToString::to_string).collect())
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs_err::read_dir(folder).expect("the folder is readable") {
        let path = entry.expect("an entry is readable").path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
    found.sort();
}
