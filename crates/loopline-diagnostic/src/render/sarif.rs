//! Findings as SARIF 2.1.0, the format that code hosts show beside the lines.
//!
//! Source: OASIS, "Static Analysis Results Interchange Format (SARIF) Version 2.1.0".

use loopline_source::{SourceFile, Span};
use serde_json::{Value, json as value};

use crate::{Diagnostic, Rule, Severity};

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";
const HOME: &str = "https://github.com/loopline-dev/loopline";

/// Returns `findings` as a SARIF log of one run of Loopline `version`.
pub fn sarif(findings: &[Diagnostic], version: &str) -> Value {
    let mut rules: Vec<&Rule> = findings.iter().map(|finding| finding.rule).collect();
    rules.sort_by_key(|rule| rule.code);
    rules.dedup_by_key(|rule| rule.code);
    let results: Vec<_> = findings.iter().map(|finding| result(finding, &rules)).collect();
    value!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "loopline",
                "version": version,
                "informationUri": HOME,
                "rules": rules.iter().map(|rule| descriptor(rule)).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn descriptor(rule: &Rule) -> Value {
    let title = rule.page.lines().next().unwrap_or(rule.name).trim_start_matches("# ");
    let title = title.strip_prefix(rule.code).unwrap_or(title).trim_start_matches([':', ' ']);
    value!({
        "id": rule.code,
        "name": rule.name,
        "shortDescription": { "text": title },
        "help": { "text": rule.page, "markdown": rule.page },
        "defaultConfiguration": { "level": level(rule.severity) },
    })
}

fn result(finding: &Diagnostic, rules: &[&Rule]) -> Value {
    let mut text = finding.message.clone();
    for hint in &finding.hints {
        text.push('\n');
        text.push_str(hint);
    }
    let index = rules.iter().position(|rule| rule.code == finding.rule.code);
    let primary = &finding.primary;
    let mut document = value!({
        "ruleId": finding.rule.code,
        "ruleIndex": index,
        "level": level(finding.severity),
        "message": { "text": text },
        "locations": [{ "physicalLocation": location(&primary.file, primary.span) }],
    });
    if !finding.secondary.is_empty() {
        let related: Vec<_> = finding
            .secondary
            .iter()
            .map(|label| {
                value!({
                    "physicalLocation": location(&label.file, label.span),
                    "message": { "text": label.text },
                })
            })
            .collect();
        document["relatedLocations"] = related.into();
    }
    if let Some(fix) = &finding.fix {
        document["fixes"] = value!([{
            "description": { "text": format!("replace with `{}`", fix.replacement) },
            "artifactChanges": [{
                "artifactLocation": { "uri": uri(primary.file.name()) },
                "replacements": [{
                    "deletedRegion": region(&primary.file, fix.span),
                    "insertedContent": { "text": fix.replacement },
                }],
            }],
        }]);
    }
    document
}

fn location(file: &SourceFile, span: Span) -> Value {
    value!({
        "artifactLocation": { "uri": uri(file.name()) },
        "region": region(file, span),
    })
}

fn region(file: &SourceFile, span: Span) -> Value {
    let (start, end) = (file.position(span.start), file.position(span.end.max(span.start)));
    value!({
        "startLine": start.line,
        "startColumn": start.column,
        "endLine": end.line,
        "endColumn": end.column,
    })
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}

/// Returns a path as a relative URI: everything but unreserved characters and `/` escaped.
fn uri(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.trim_start_matches("./").bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            out.push(byte as char);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
