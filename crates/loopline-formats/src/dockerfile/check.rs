//! What is wrong with a Dockerfile before it is built.
//!
//! Three sets of rules look at the same tree: hadolint's (`DL3008`), with the same codes and
//! levels and its settings; those of the builder itself (`StageNameCasing`), with `# check=`; and
//! our own. Where two sets say the same of one place, it is said once, with hadolint's code.
//!
//! Each file below has one kind of rule. The rules are written from their published descriptions
//! and compared with the tools' verdicts.

mod builder;
mod commands;
mod context;
mod facts;
mod files;
mod images;
mod labels;
mod metadata;
mod packages;
mod settings;
mod shell;

use loopline_diagnostic::{Diagnostic, rule_set};
use loopline_source::{FileTree, SourceFile};

use super::{instruction, parse};
use context::Checker;
pub use settings::Level;
use settings::Settings;

/// The most findings kept for one file; what comes after is more of the same.
pub const MAX_FINDINGS: usize = 10_000;

/// What a check found.
#[derive(Clone, Debug)]
pub struct Report {
    /// The findings, in the order of the file.
    pub findings: Vec<Diagnostic>,
    /// Whether they fail the check: errors do, or what `failure-threshold` says.
    pub failed: bool,
}

/// Checks the Dockerfile `file`.
///
/// `tree` is the repository it belongs to: `.hadolint.yaml` and `.dockerignore` are looked up
/// next to the file, then in the folders above.
pub fn dockerfile(file: &SourceFile, tree: &dyn FileTree) -> Report {
    let parsed = parse(file);
    let (build, problems) = instruction::read(&parsed.dockerfile);
    let mut settings = Settings::read(&parsed.dockerfile, tree);
    let mut checker = Checker::new(&parsed.dockerfile, &build, tree, &settings);
    for problem in &parsed.problems {
        checker.add(&rule_set::DOCKERFILE_SYNTAX, problem.span, problem.to_string());
    }
    for problem in &problems {
        // What stands before `FROM` has a code of its own.
        if problem.kind != instruction::ProblemKind::BeforeFrom {
            checker.add(&rule_set::DOCKERFILE_SYNTAX, problem.span, problem.to_string());
        }
    }
    images::check(&mut checker);
    files::check(&mut checker);
    metadata::check(&mut checker);
    labels::check(&mut checker);
    commands::check(&mut checker);
    packages::check(&mut checker);
    builder::check(&mut checker);
    facts::check(&mut checker);
    let mut findings = checker.findings;
    findings.append(&mut settings.problems);
    settings.finish(&parsed.dockerfile, findings)
}
