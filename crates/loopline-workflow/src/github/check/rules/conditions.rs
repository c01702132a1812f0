//! Conditions that are the same in every run.

use loopline_diagnostic::{Fix, rule_set as rules};
use loopline_source::yaml::Style;

use crate::github::check::expression::{is_constant, parse};
use crate::github::check::findings::Findings;
use crate::github::check::model::{Action, Step, Workflow};
use crate::github::check::text::Text;

pub(super) fn check(workflow: &Workflow, findings: &mut Findings<'_>) {
    for job in &workflow.jobs {
        condition(job.condition.as_ref(), findings);
        let snapshot = job.snapshot.as_ref().and_then(|snapshot| snapshot.condition.as_ref());
        condition(snapshot, findings);
        steps(&job.steps, findings);
    }
}

pub(super) fn steps(steps: &[Step], findings: &mut Findings<'_>) {
    for step in steps {
        condition(step.condition.as_ref(), findings);
        if let Action::Parallel { steps: inner, .. } = &step.action {
            self::steps(inner, findings);
        }
    }
}

fn condition(text: Option<&Text>, findings: &mut Findings<'_>) {
    let Some(text) = text else { return };
    let value = &*text.value;
    if text.has_expression() {
        let whole =
            value.starts_with("${{") && value.ends_with("}}") && value.matches("${{").count() == 1;
        if !whole {
            let message =
                "this condition is always true: text around `${{ }}` makes all of it a text";
            let file = findings.file;
            if let Some(found) = findings.add(&rules::CONSTANT_CONDITION, text.span, message) {
                found.hints.push("write the whole condition without `${{ }}`".to_owned());
                found.fix = joined(text)
                    .filter(|_| file.slice(text.node.span) == value)
                    .map(|replacement| Fix { span: text.node.span, replacement });
            }
            return;
        }
    }
    let inner = value.strip_prefix("${{").unwrap_or(value);
    let bare = inner.len() == value.len();
    if let Ok((expression, _)) = parse(inner, bare)
        && is_constant(&expression)
    {
        findings.add_hint(
            &rules::CONSTANT_CONDITION,
            text.span,
            "this condition is the same in every run",
            "remove the `if`, or the part it decides about",
        );
    }
}

/// Returns the condition as one expression, if what stands around its parts is one too.
fn joined(text: &Text) -> Option<String> {
    if text.node.as_scalar()?.style != Style::Plain {
        return None;
    }
    let (mut out, mut rest) = (String::new(), &*text.value);
    while let Some(open) = rest.find("${{") {
        let (before, inner) = rest.split_at(open);
        let close = inner.find("}}")?;
        let part = inner[3..close].trim();
        let composed = part.contains("||") || part.contains("&&");
        out.push_str(before);
        out.push_str(&if composed { format!("({part})") } else { part.to_owned() });
        rest = &inner[close + 2..];
    }
    out.push_str(rest);
    let out = out.trim();
    parse(out, true).ok()?;
    Some(format!("${{{{ {out} }}}}"))
}

#[cfg(test)]
mod tests {
    use loopline_source::{SourceFile, yaml};

    use super::*;
    use crate::github::check::text::place;

    #[test]
    fn conditions_in_pieces_become_one_expression() {
        for (source, expected) in [
            ("${{ a.b }} && c.d", Some("${{ a.b && c.d }}")),
            ("${{ a.b || x.y }} == true && ${{ c.d }}", Some("${{ (a.b || x.y) == true && c.d }}")),
            ("not an ${{ expression }} at all", None),
            ("'${{ a.b }} '", None),
        ] {
            let file = SourceFile::new("t.yml", source);
            let node = yaml::parse(&file, &Default::default()).documents[0].root.clone();
            let value = node.as_str().expect("a scalar").into();
            let text = Text { value, span: place(&file, &node), node };
            assert_eq!(joined(&text).as_deref(), expected, "{source}");
        }
    }
}
