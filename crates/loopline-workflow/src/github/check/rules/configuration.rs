//! The repository's own settings for the check: `.github/actionlint.yaml`, in the form that
//! actionlint documents, so that a repository needs no second file.

use loopline_diagnostic::{Diagnostic, rule_set as rules};
use loopline_source::yaml::{self, Limits, Node};
use loopline_source::{FileTree, SourceFile, Span};
use regex::Regex;

use crate::github::check::findings::{Findings, listed};

const PATHS: [&str; 2] = [".github/actionlint.yaml", ".github/actionlint.yml"];
const KEYS: [&str; 3] = ["self-hosted-runner", "config-variables", "paths"];

/// What a repository says about itself.
#[derive(Debug, Default)]
pub(crate) struct Configuration {
    /// Labels of its own runners; may hold `*` and `?`.
    pub(super) labels: Vec<String>,
    /// The variables (`vars`) that exist, in lowercase; `None` where any may.
    pub(super) variables: Option<Vec<String>>,
    /// What not to report in the file that is checked.
    ignored: Vec<Regex>,
}

impl Configuration {
    /// Reads the settings for the file that `findings` is about; what is wrong with them becomes
    /// findings in their own file.
    pub(crate) fn read(tree: &dyn FileTree, findings: &mut Findings<'_>) -> Self {
        let mut this = Self::default();
        let found =
            PATHS.iter().find_map(|path| Some(SourceFile::new(*path, tree.read(path).ok()?)));
        let Some(file) = found else { return this };
        let parsed = yaml::parse(&file, &Limits::default());
        let mut wrong = Wrong { file: &file, findings };
        if let Some(error) = parsed.error {
            wrong.add(error.span, error.kind.to_string());
            return this;
        }
        let Some(document) = parsed.documents.first().filter(|found| !found.root.is_null()) else {
            return this;
        };
        let Some(entries) = document.root.as_mapping() else {
            wrong.add(document.root.span, "the settings must be a mapping".to_owned());
            return this;
        };
        for entry in entries {
            match entry.key.as_str() {
                Some("self-hosted-runner") => this.labels = wrong.labels(&entry.value),
                Some("config-variables") if !entry.value.is_null() => {
                    let names = wrong.texts(&entry.value, "`config-variables`");
                    this.variables =
                        Some(names.into_iter().map(|(name, _)| name.to_lowercase()).collect());
                }
                Some("paths") => this.ignored = wrong.ignored(&entry.value),
                // Other tools read settings of their own from the same file.
                Some(_) | None => {}
            }
        }
        this
    }

    /// Returns whether the repository does not want `finding` reported.
    pub(crate) fn ignores(&self, finding: &Diagnostic) -> bool {
        let rule = finding.rule;
        self.ignored.iter().any(|pattern| {
            [rule.code, rule.name, finding.message.as_str()]
                .iter()
                .any(|text| pattern.is_match(text))
        })
    }
}

/// Gathers what is wrong with the settings.
struct Wrong<'w, 'f> {
    file: &'w SourceFile,
    findings: &'w mut Findings<'f>,
}

impl Wrong<'_, '_> {
    fn add(&mut self, span: Span, message: String) {
        let found = Diagnostic::new(&rules::CHECK_CONFIGURATION, self.file, span, message);
        self.findings.push(found.hint(format!("it may have {}", listed(&KEYS))));
    }

    fn labels(&mut self, node: &Node) -> Vec<String> {
        if node.is_null() {
            return Vec::new();
        }
        if node.as_mapping().is_none() {
            self.add(node.span, "`self-hosted-runner` must be a mapping with `labels`".to_owned());
            return Vec::new();
        }
        let Some(labels) = node.get("labels").filter(|labels| !labels.is_null()) else {
            return Vec::new();
        };
        self.texts(labels, "`labels`").into_iter().map(|(label, _)| label).collect()
    }

    fn texts(&mut self, node: &Node, what: &str) -> Vec<(String, Span)> {
        let Some(items) = node.as_sequence() else {
            self.add(node.span, format!("{what} must be a list"));
            return Vec::new();
        };
        let mut texts = Vec::with_capacity(items.len());
        for item in items {
            match item.as_str() {
                Some(text) => texts.push((text.to_owned(), item.span)),
                None => self.add(item.span, format!("{what} must be a list of texts")),
            }
        }
        texts
    }

    /// Returns what is ignored in the checked file.
    fn ignored(&mut self, node: &Node) -> Vec<Regex> {
        let mut ignored = Vec::new();
        if node.is_null() {
            return ignored;
        }
        let Some(entries) = node.as_mapping() else {
            self.add(node.span, "`paths` must be a mapping of patterns".to_owned());
            return ignored;
        };
        for entry in entries {
            let Some(pattern) = entry.key.as_str() else {
                self.add(entry.key.span, "a pattern of paths must be a text".to_owned());
                continue;
            };
            let applies = match Regex::new(&path_expression(pattern)) {
                Ok(expression) => expression.is_match(self.checked()),
                Err(error) => {
                    self.add(
                        entry.key.span,
                        format!("`{pattern}` is no pattern of paths: {error}"),
                    );
                    continue;
                }
            };
            let Some(list) = entry.value.get("ignore").filter(|list| !list.is_null()) else {
                continue;
            };
            for (text, span) in self.texts(list, "`ignore`") {
                match Regex::new(&text) {
                    Ok(expression) if applies => ignored.push(expression),
                    Ok(_) => {}
                    Err(error) => {
                        let cause = error.to_string();
                        let cause = cause.lines().last().unwrap_or_default().trim().to_owned();
                        self.add(span, format!("`{text}` is no regular expression: {cause}"));
                    }
                }
            }
        }
        ignored
    }

    /// Returns the checked file's path in its own repository.
    fn checked(&self) -> &str {
        let name = self.findings.file.name();
        name.find(".github/").map_or(name, |at| &name[at..])
    }
}

/// Returns the regular expression of a pattern in which `**` crosses folders.
fn path_expression(pattern: &str) -> String {
    let mut out = String::from("^");
    let mut rest = pattern.trim_start_matches("./");
    let mut braces = 0usize;
    while let Some(first) = rest.chars().next() {
        let (piece, length) = match first {
            _ if rest.starts_with("**/") => ("(?:.*/)?".to_owned(), 3),
            _ if rest.starts_with("**") => (".*".to_owned(), 2),
            '*' => ("[^/]*".to_owned(), 1),
            '?' => ("[^/]".to_owned(), 1),
            '{' => {
                braces += 1;
                ("(?:".to_owned(), 1)
            }
            '}' if braces > 0 => {
                braces -= 1;
                (")".to_owned(), 1)
            }
            ',' if braces > 0 => ("|".to_owned(), 1),
            '[' | ']' => (first.to_string(), 1),
            _ => (regex::escape(&rest[..first.len_utf8()]), first.len_utf8()),
        };
        out.push_str(&piece);
        rest = &rest[length..];
    }
    out.push('$');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_paths_cross_folders_only_with_two_stars() {
        for (pattern, path, fits) in [
            (".github/workflows/*.yml", ".github/workflows/a.yml", true),
            (".github/*.yml", ".github/workflows/a.yml", false),
            ("**/*.{yml,yaml}", ".github/workflows/a.yaml", true),
            ("**/a.yml", "a.yml", true),
            (".github/workflows/[ab].yml", ".github/workflows/b.yml", true),
            (".github/workflows/?.yml", ".github/workflows/ab.yml", false),
        ] {
            let expression = Regex::new(&path_expression(pattern)).expect("it is valid");
            assert_eq!(expression.is_match(path), fits, "{pattern} {path}");
        }
    }
}
