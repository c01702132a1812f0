//! The entry points: a file and the tree around it in, findings out.

use loopline_diagnostic::{Diagnostic, Fix, rule_set};
use loopline_source::yaml::{self, Limits, Node};
use loopline_source::{FileTree, SourceFile, Span};

use super::findings::Findings;
use super::rules::configuration::Configuration;
use super::{read, rules};

/// What a check may be told beside the files.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Labels of self-hosted runners, beside those in `.github/actionlint.yaml`; may hold `*`.
    pub runner_labels: Vec<String>,
}

/// Returns what is wrong with the workflow `file`, in the order of the file.
///
/// `tree` is the repository the workflow belongs to: local actions, called workflows and
/// `.github/actionlint.yaml` are looked up in it.
pub fn workflow(file: &SourceFile, tree: &dyn FileTree, options: &Options) -> Vec<Diagnostic> {
    let mut findings = Findings::new(file);
    let Some(root) = parse(file, &mut findings) else { return findings.finish() };
    let configuration = Configuration::read(tree, &mut findings);
    let workflow = read::workflow(&root, &mut findings);
    rules::anchors::check(&root, &mut findings);
    rules::workflow(&workflow, tree, &configuration, options, &mut findings);
    let mut findings = findings.finish();
    findings.retain(|finding| !configuration.ignores(finding));
    findings
}

/// Returns what is wrong with the action's metadata `file` (`action.yml`).
pub fn action(file: &SourceFile, tree: &dyn FileTree, options: &Options) -> Vec<Diagnostic> {
    let mut findings = Findings::new(file);
    let Some(root) = parse(file, &mut findings) else { return findings.finish() };
    rules::anchors::check(&root, &mut findings);
    rules::metadata::check(&root, tree, options, &mut findings);
    findings.finish()
}

/// Returns the root of the only document, unless the text is not YAML.
fn parse(file: &SourceFile, findings: &mut Findings<'_>) -> Option<Node> {
    let parsed = yaml::parse(file, &Limits::default());
    if let Some(error) = parsed.error {
        let rule = match error.kind {
            yaml::ErrorKind::RecursiveAlias(_) => &rule_set::YAML_ANCHOR,
            yaml::ErrorKind::Syntax(_)
            | yaml::ErrorKind::UnknownAnchor(_)
            | yaml::ErrorKind::TooDeep(_)
            | yaml::ErrorKind::TooManyNodes(_) => &rule_set::YAML_SYNTAX,
        };
        let unquoted = unquoted_schedule(file, error.span);
        if let Some(found) = findings.add(rule, error.span, error.kind.to_string())
            && let Some(fix) = unquoted
        {
            found.hints.push("put the schedule into quotes: `*` starts an alias".to_owned());
            found.fix = Some(fix);
        }
        return None;
    }
    match parsed.documents.into_iter().next() {
        Some(document) => Some(document.root),
        None => {
            let what = "the file is empty";
            let start = Span::at(0);
            findings.add(&rule_set::WORKFLOW_MISSING_KEY, start, what);
            None
        }
    }
}

/// Returns the change that quotes the `cron: * ...` on the line of `span`, if that is what is there.
fn unquoted_schedule(file: &SourceFile, span: Span) -> Option<Fix> {
    let line = file.position(span.start).line;
    let start =
        file.text().lines().take(line as usize - 1).map(|line| line.len() + 1).sum::<usize>();
    let text = file.line_text(line);
    let at = text.find("cron:")? + "cron:".len();
    let value = text[at..].trim();
    if !value.starts_with('*') || value.contains(['#', '\'']) || file.text().contains('\r') {
        return None;
    }
    let from = u32::try_from(start + at + text[at..].find('*')?).ok()?;
    let to = from + u32::try_from(value.len()).ok()?;
    Some(Fix { span: Span::new(from, to), replacement: format!("'{value}'") })
}
