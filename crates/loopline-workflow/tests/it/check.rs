//! The check of workflows, on the test inputs that actionlint publishes and on the guide.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use loopline_source::{MemoryTree, SourceFile};
use loopline_workflow::github::check::{self, Options};

/// The share of `err` files that must agree, in percent.
const FLOOR_PERCENT: usize = 90;

fn folder(variable: &str) -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "tests are told where their data is")]
    let found = std::env::var_os(variable).map(PathBuf::from);
    if found.is_none() {
        println!("skipped: {variable} is not set");
    }
    found
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs_err::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("the folder can be listed").path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort();
    files
}

fn check(path: &Path) -> (SourceFile, Vec<loopline_diagnostic::Diagnostic>) {
    let text = fs_err::read_to_string(path).expect("the file is UTF-8");
    let file = SourceFile::new("test.yaml", text);
    let found = check::workflow(&file, &MemoryTree::new(), &Options::default());
    (file, found)
}

/// Reads the places from lines such as `test.yaml:3:4: ...` or `/test\.yaml:3:4: .../`.
///
/// What shellcheck and pyflakes find in scripts is left out: those files
/// (`shellcheck_*`, `pyflakes_*`) must then be free of other findings.
fn expected(text: &str) -> BTreeSet<(u32, u32)> {
    text.lines()
        .filter(|line| !line.contains("[shellcheck") && !line.contains("[pyflakes"))
        .filter_map(|line| {
            let mut parts = line.split(':');
            let _name = parts.next()?;
            Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
        })
        .collect()
}

#[test]
fn valid_workflows_are_clean() {
    let Some(data) = folder("LOOPLINE_CONFORMANCE") else { return };
    let paths = files(&data.join("actionlint/ok"), "yaml");
    let mut wrong = Vec::new();
    for path in &paths {
        let (file, found) = check(path);
        for finding in found {
            let at = file.position(finding.primary.span.start);
            wrong.push(format!(
                "{}:{at}: {} {}",
                path.display(),
                finding.rule.code,
                finding.message
            ));
        }
    }
    println!("actionlint ok: {} files, {} findings too many", paths.len(), wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn mistakes_are_found_where_they_are() {
    let Some(data) = folder("LOOPLINE_CONFORMANCE") else { return };
    let (mut agreed, mut total, mut lines_found, mut lines_total) = (0, 0, 0, 0);
    for path in files(&data.join("actionlint/err"), "yaml") {
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a name").to_owned();
        let Ok(wanted) = fs_err::read_to_string(path.with_extension("out")) else { continue };
        let wanted = expected(&wanted);
        let (file, found) = check(&path);
        let places: BTreeSet<_> = found
            .iter()
            .map(|finding| file.position(finding.primary.span.start))
            .map(|at| (at.line, at.column))
            .collect();
        total += 1;
        lines_total += wanted.len();
        lines_found += wanted.intersection(&places).count();
        if wanted == places {
            agreed += 1;
            continue;
        }
        println!("{name}: differs");
        for (line, column) in wanted.difference(&places) {
            println!("  not found: {line}:{column}");
        }
        for finding in &found {
            let at = file.position(finding.primary.span.start);
            if !wanted.contains(&(at.line, at.column)) {
                println!("  too many: {at}: {} {}", finding.rule.code, finding.message);
            }
        }
    }
    println!("actionlint err: {agreed} of {total} files, {lines_found} of {lines_total} places");
    assert!(agreed * 100 >= total * FLOOR_PERCENT, "{agreed} of {total} files agree");
}
