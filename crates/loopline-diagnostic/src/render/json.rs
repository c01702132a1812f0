//! Findings as one JSON document.

use loopline_source::{SourceFile, Span};
use serde_json::{Value, json as value};

use crate::{Diagnostic, Label, Severity};

/// The name and version of the document's form.
pub const JSON_SCHEMA: &str = "loopline.diagnostics/v1";

/// Returns `findings` as a document of the form [`JSON_SCHEMA`].
///
/// Lines and columns start at 1, columns count characters, offsets count bytes from 0.
pub fn json(findings: &[Diagnostic]) -> Value {
    let count = |severity| findings.iter().filter(|found| found.severity == severity).count();
    value!({
        "schema": JSON_SCHEMA,
        "diagnostics": findings.iter().map(one).collect::<Vec<_>>(),
        "summary": {
            "errors": count(Severity::Error),
            "warnings": count(Severity::Warning),
            "notes": count(Severity::Note),
        },
    })
}

fn one(finding: &Diagnostic) -> Value {
    let mut document = value!({
        "code": finding.rule.code,
        "name": finding.rule.name,
        "severity": severity(finding.severity),
        "message": finding.message,
        "file": finding.primary.file.name(),
        "range": range(&finding.primary.file, finding.primary.span),
        "label": finding.primary.text,
        "related": finding.secondary.iter().map(label).collect::<Vec<_>>(),
        "hints": finding.hints,
    });
    if let Some(fix) = &finding.fix {
        document["fix"] = value!({
            "range": range(&finding.primary.file, fix.span),
            "replacement": fix.replacement,
        });
    }
    document
}

fn label(label: &Label) -> Value {
    value!({
        "file": label.file.name(),
        "range": range(&label.file, label.span),
        "label": label.text,
    })
}

fn range(file: &SourceFile, span: Span) -> Value {
    let place = |offset| {
        let at = file.position(offset);
        value!({ "line": at.line, "column": at.column, "offset": offset })
    };
    value!({ "start": place(span.start), "end": place(span.end.max(span.start)) })
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}
