//! What the file and the repository say about the check: `.hadolint.yaml`, `# hadolint`
//! comments, `# check=`.

use std::collections::{BTreeMap, BTreeSet};

use loopline_diagnostic::{Diagnostic, Rule, Severity, rule_set};
use loopline_source::yaml::{self, Limits, Node};
use loopline_source::{FileTree, SourceFile, Span};

use super::Report;
use crate::dockerfile::tree::{DirectiveKind, Dockerfile, PieceKind};

/// The most comments that silence findings; what is beyond them silences nothing.
const MAX_PRAGMAS: usize = 1_000;

/// The names of hadolint's settings, in the order they are looked for.
const CONFIGURATION: [&str; 2] = [".hadolint.yaml", ".hadolint.yml"];

/// hadolint's levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "they are the words of the format")]
pub enum Level {
    Ignore,
    Style,
    Info,
    Warning,
    Error,
}

impl Level {
    fn find(name: &str) -> Option<Self> {
        Some(match name {
            "ignore" => Self::Ignore,
            "style" => Self::Style,
            "info" => Self::Info,
            "warning" => Self::Warning,
            "error" => Self::Error,
            _ => return None,
        })
    }

    /// Returns the level a rule has without settings.
    pub fn of(rule: &Rule) -> Self {
        match (rule.code, rule.severity) {
            ("DL1001" | "DL3057" | "InvalidDefinitionDescription", _) => Self::Ignore,
            ("DL3048", _) => Self::Style,
            (_, Severity::Error) => Self::Error,
            (_, Severity::Warning) => Self::Warning,
            (_, Severity::Note) => Self::Info,
        }
    }

    const fn severity(self) -> Severity {
        match self {
            Self::Error => Severity::Error,
            Self::Warning => Severity::Warning,
            Self::Info | Self::Style | Self::Ignore => Severity::Note,
        }
    }
}

/// What kind of text a label holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LabelKind {
    Text,
    Url,
    Rfc3339,
    Spdx,
    Hash,
    Semver,
    Email,
}

/// Everything that is set.
#[derive(Default)]
pub(super) struct Settings {
    ignored: Vec<String>,
    overridden: BTreeMap<String, Level>,
    pub(super) trusted_registries: Vec<String>,
    pub(super) label_schema: Vec<(String, LabelKind)>,
    pub(super) strict_labels: bool,
    threshold: Option<Threshold>,
    no_pragma: bool,
    /// `# check=skip=`.
    skipped: Vec<String>,
    /// `# check=experimental=`.
    experimental: Vec<String>,
    /// `# check=error=true`.
    errors: bool,
    /// What is wrong with the settings.
    pub(super) problems: Vec<Diagnostic>,
    /// The comments that silence findings, and which.
    pub(super) pragmas: Vec<Pragma>,
}

/// When findings fail the check.
#[derive(Clone, Copy)]
enum Threshold {
    Never,
    At(Level),
}

/// A `# hadolint ignore=` or `# check=skip=` comment.
pub(super) struct Pragma {
    /// Where it stands.
    pub(super) span: Span,
    /// The codes.
    codes: Vec<String>,
    /// Whether it counts for the whole file.
    global: bool,
}

/// Two rules of two sets that say the same; the first is kept.
const TWINS: [(&str, &str); 11] = [
    ("DL3000", "WorkdirRelativePath"),
    ("DL4000", "MaintainerDeprecated"),
    ("DL3024", "DuplicateStageName"),
    ("DL3025", "JSONArgsRecommended"),
    ("DL4003", "MultipleInstructionsDisallowed"),
    ("DL4004", "MultipleInstructionsDisallowed"),
    ("DL3012", "MultipleInstructionsDisallowed"),
    ("DL3063", "ReservedStageName"),
    ("DL3064", "SecretsUsedInArgOrEnv"),
    ("DL3065", "RedundantTargetPlatform"),
    ("DL3029", "FromPlatformFlagConstDisallowed"),
];

impl Settings {
    pub(super) fn read(dockerfile: &Dockerfile, tree: &dyn FileTree) -> Self {
        let mut settings = Self::default();
        settings.configuration(&dockerfile.file, tree);
        for directive in &dockerfile.directives {
            if directive.kind == DirectiveKind::Check {
                let span = directive.value.span;
                settings.check_options(&directive.value.text, &dockerfile.file, span);
            }
        }
        for piece in &dockerfile.pieces {
            if piece.kind == PieceKind::Comment {
                settings.comment(dockerfile.file.slice(piece.span), piece.span);
            }
        }
        settings
    }

    fn comment(&mut self, text: &str, span: Span) {
        let body = text.trim().trim_start_matches('#').trim_start();
        let (global, codes) = if let Some(codes) = body.strip_prefix("check=skip=") {
            (false, codes)
        } else {
            let Some(rest) = body.strip_prefix("hadolint").filter(|_| !self.no_pragma) else {
                return;
            };
            let rest = rest.trim_start();
            let (global, rest) = match rest.strip_prefix("global") {
                Some(rest) => (true, rest.trim_start()),
                None => (false, rest),
            };
            let Some(rest) = rest.strip_prefix("ignore") else { return };
            let Some(codes) = rest.trim_start().strip_prefix('=') else { return };
            (global, codes)
        };
        // What follows a code after a space is a remark.
        let codes = codes
            .split(',')
            .filter_map(|code| code.split_whitespace().next())
            .map(str::to_owned)
            .collect();
        if self.pragmas.len() >= MAX_PRAGMAS {
            return;
        }
        self.pragmas.push(Pragma { span, codes, global });
    }

    fn check_options(&mut self, text: &str, file: &SourceFile, span: Span) {
        let mut bad = |message: String| {
            let rule = &rule_set::DOCKERFILE_CONFIGURATION;
            self.problems.push(Diagnostic::new(rule, file, span, message));
        };
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            let list = |value: &str| value.split(',').map(|name| name.trim().to_owned()).collect();
            match part.split_once('=') {
                Some(("skip", value)) => self.skipped = list(value),
                Some(("experimental", value)) => self.experimental = list(value),
                Some(("error", "true" | "1" | "t")) => self.errors = true,
                Some(("error", "false" | "0" | "f")) => self.errors = false,
                Some(("error", value)) => {
                    bad(format!("failed to parse check option \"error\": {value}"));
                }
                Some((key, _)) => bad(format!("unexpected check option {key:?}")),
                None => bad(format!("invalid check option {part:?}")),
            }
        }
    }

    fn configuration(&mut self, file: &SourceFile, tree: &dyn FileTree) {
        let mut folder = file.name().rsplit_once('/').map_or("", |(folder, _)| folder);
        loop {
            for name in CONFIGURATION {
                let path =
                    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
                if let Ok(text) = tree.read(&path) {
                    self.configuration_file(&SourceFile::new(path, text));
                    return;
                }
            }
            if folder.is_empty() {
                return;
            }
            folder = folder.rsplit_once('/').map_or("", |(folder, _)| folder);
        }
    }

    fn configuration_file(&mut self, file: &SourceFile) {
        let parsed = yaml::parse(file, &Limits::default());
        if let Some(error) = parsed.error {
            let rule = &rule_set::YAML_SYNTAX;
            self.problems.push(Diagnostic::new(rule, file, error.span, error.kind.to_string()));
            return;
        }
        let Some(document) = parsed.documents.first() else { return };
        if document.root.is_null() {
            return;
        }
        let Some(entries) = document.root.as_mapping() else {
            self.bad(file, &document.root, "the settings are no mapping".to_owned());
            return;
        };
        for entry in entries {
            self.entry(file, &entry.key, &entry.value);
        }
    }

    fn entry(&mut self, file: &SourceFile, key: &Node, value: &Node) {
        let name = key.as_str().unwrap_or("");
        match name {
            "ignored" => self.ignored = self.strings(file, value),
            "trustedRegistries" | "trusted-registries" => {
                self.trusted_registries = self.strings(file, value);
            }
            "override" => {
                for entry in value.as_mapping().unwrap_or_default() {
                    let level = entry.key.as_str().and_then(Level::find);
                    match level.filter(|level| *level != Level::Ignore) {
                        Some(level) => {
                            for code in self.strings(file, &entry.value) {
                                self.overridden.insert(code, level);
                            }
                        }
                        None => self.bad(
                            file,
                            &entry.key,
                            "no level that rules can be given: expected `error`, `warning`, \
                             `info` or `style`"
                                .to_owned(),
                        ),
                    }
                }
            }
            "label-schema" => {
                for entry in value.as_mapping().unwrap_or_default() {
                    let kind = match entry.value.as_str().unwrap_or("") {
                        "text" | "" => LabelKind::Text,
                        "url" => LabelKind::Url,
                        "rfc3339" => LabelKind::Rfc3339,
                        "spdx" => LabelKind::Spdx,
                        "hash" => LabelKind::Hash,
                        "semver" => LabelKind::Semver,
                        "email" => LabelKind::Email,
                        other => {
                            let message = format!("no kind of label: `{other}`");
                            self.bad(file, &entry.value, message);
                            continue;
                        }
                    };
                    self.label_schema.push((entry.key.as_str().unwrap_or("").to_owned(), kind));
                }
            }
            "strict-labels" => self.strict_labels = self.boolean(file, value),
            "disable-ignore-pragma" => self.no_pragma = self.boolean(file, value),
            "no-fail" => {
                if self.boolean(file, value) {
                    self.threshold = Some(Threshold::Never);
                }
            }
            "failure-threshold" => match value.as_str().unwrap_or("") {
                "none" => self.threshold = Some(Threshold::Never),
                other => match Level::find(other) {
                    Some(level) => self.threshold = Some(Threshold::At(level)),
                    None => self.bad(file, value, format!("no threshold: `{other}`")),
                },
            },
            // How hadolint prints; Loopline has options of its own for that.
            "format" | "no-color" | "output" | "verbose" => {}
            _ => {
                let known = [
                    "ignored",
                    "override",
                    "trustedRegistries",
                    "label-schema",
                    "strict-labels",
                    "failure-threshold",
                    "disable-ignore-pragma",
                    "no-fail",
                    "format",
                    "no-color",
                ];
                let near = loopline_diagnostic::nearest(name, &known);
                let message = format!("no setting of hadolint: `{name}`");
                self.bad(file, key, message);
                if let (Some(near), Some(last)) = (near, self.problems.last_mut()) {
                    last.hints.push(format!("did you mean `{near}`?"));
                }
            }
        }
    }

    fn bad(&mut self, file: &SourceFile, node: &Node, message: String) {
        let rule = &rule_set::DOCKERFILE_CONFIGURATION;
        self.problems.push(Diagnostic::new(rule, file, node.site(), message));
    }

    fn strings(&mut self, file: &SourceFile, value: &Node) -> Vec<String> {
        let mut strings = Vec::new();
        match value.as_sequence() {
            Some(items) => {
                for item in items {
                    match item.as_str() {
                        Some(text) => strings.push(text.to_owned()),
                        None => self.bad(file, item, "expected a text".to_owned()),
                    }
                }
            }
            None if value.is_null() => {}
            None => self.bad(file, value, "expected a list".to_owned()),
        }
        strings
    }

    fn boolean(&mut self, file: &SourceFile, value: &Node) -> bool {
        match value.as_str() {
            Some("true" | "True" | "yes" | "on") => true,
            Some("false" | "False" | "no" | "off") => false,
            _ => {
                self.bad(file, value, "expected `true` or `false`".to_owned());
                false
            }
        }
    }

    /// Returns the level of a rule here.
    fn level(&self, rule: &Rule) -> Level {
        if let Some(level) = self.overridden.get(rule.code) {
            return *level;
        }
        let experimental = |name: &String| name == "all" || name == rule.code;
        if rule.code == "InvalidDefinitionDescription" && self.experimental.iter().any(experimental)
        {
            return Level::Warning;
        }
        let level = Level::of(rule);
        let of_builder = rule.code.starts_with(|c: char| c.is_ascii_uppercase())
            && !rule.code.starts_with("DL")
            && !rule.code.starts_with("LL");
        if of_builder && self.errors && level == Level::Warning { Level::Error } else { level }
    }

    /// Returns the findings that remain, in order, and whether they fail the check.
    pub(super) fn finish(self, dockerfile: &Dockerfile, findings: Vec<Diagnostic>) -> Report {
        let instruction_at = |span: Span| {
            let after = dockerfile
                .instructions
                .partition_point(|instruction| instruction.span.start <= span.start);
            let found = &dockerfile.instructions[after.checked_sub(1)?];
            (span.start <= found.span.end).then_some(found)
        };
        let own = |finding: &Diagnostic| finding.primary.file.name() == dockerfile.file.name();
        let silenced = |finding: &Diagnostic| {
            let code = finding.rule.code;
            if self.ignored.iter().any(|ignored| ignored == code)
                || self.skipped.iter().any(|skipped| skipped == code || skipped == "all")
                    && !code.starts_with("DL")
                    && !code.starts_with("LL")
            {
                return true;
            }
            let instruction = instruction_at(finding.primary.span);
            own(finding)
                && self.pragmas.iter().any(|pragma| {
                    let here = pragma.global
                        || instruction.is_some_and(|instruction| {
                            let above = instruction.comments.iter().any(|comment| {
                                pragma.span.start <= comment.span.start
                                    && comment.span.start < pragma.span.end
                            });
                            above
                                || instruction.span.start <= pragma.span.start
                                    && pragma.span.end <= instruction.span.end
                        });
                    here && pragma.codes.iter().any(|found| found == code)
                })
        };
        // A twin is dropped where the other was found, silenced or not.
        let line = |finding: &Diagnostic| {
            instruction_at(finding.primary.span).map(|instruction| instruction.first_line)
        };
        let places: BTreeSet<_> =
            findings.iter().map(|finding| (finding.rule.code, line(finding))).collect();
        let twin = |finding: &Diagnostic| {
            let here = line(finding);
            TWINS.iter().any(|(first, second)| {
                *second == finding.rule.code && places.contains(&(*first, here))
            })
        };
        let mut kept = Vec::new();
        let mut failed = false;
        for mut finding in findings.iter().cloned() {
            let level = self.level(finding.rule);
            if level == Level::Ignore || own(&finding) && (silenced(&finding) || twin(&finding)) {
                continue;
            }
            // A setting that cannot be read keeps its severity.
            finding.severity = level.severity();
            failed |= match self.threshold {
                None => finding.severity == Severity::Error,
                Some(Threshold::Never) => false,
                Some(Threshold::At(threshold)) => level >= threshold,
            };
            kept.push(finding);
        }
        kept.sort_by(|a, b| {
            let place = |finding: &Diagnostic| (!own(finding), finding.primary.span.start);
            (place(a), a.rule.code, &a.message).cmp(&(place(b), b.rule.code, &b.message))
        });
        kept.dedup_by(|a, b| {
            a.rule.code == b.rule.code && a.primary.span == b.primary.span && a.message == b.message
        });
        Report { findings: kept, failed }
    }
}
