//! How a value came about, for people.

use std::fmt;
use std::ops::Range;

use super::json::Writer;
use super::tree::{Expr, NodeId, NodeKind};
use super::value::Value;

/// How much of a value is shown, in characters.
const MAX_SHOWN: usize = 100;
/// How much JSON is written to be shown, in bytes as the evaluator counts them.
const MAX_WRITTEN_BYTES: usize = 4096;

/// The parts of an expression with their values, the whole first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// The parts, each before the parts it is made of.
    pub steps: Vec<TraceStep>,
}

/// One part of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceStep {
    /// Its text.
    pub expression: String,
    /// Where it stands, in bytes.
    pub span: Range<usize>,
    /// How many parts it is inside of.
    pub depth: usize,
    /// Its value as shown; `None` where the outcome did not depend on it or evaluation failed.
    pub value: Option<String>,
    /// What was read from contexts for it: text and value.
    pub facts: Vec<(String, String)>,
}

impl Trace {
    pub(super) fn new(expression: &Expr, seen: &[Option<Value>]) -> Self {
        let mut trace = Self::default();
        trace.add(expression, seen, expression.root(), 0);
        trace
    }

    /// Adds a part and what it is made of; the tree's depth bounds the recursion.
    fn add(&mut self, expression: &Expr, seen: &[Option<Value>], id: NodeId, depth: usize) {
        let id = expression.ungroup(id);
        let mut facts = Vec::new();
        let mut parts = Vec::new();
        for child in expression.children(id) {
            collect(expression, seen, child, &mut facts, &mut parts);
        }
        self.steps.push(TraceStep {
            expression: expression.text(id).to_owned(),
            span: expression.node(id).span.clone(),
            depth,
            value: seen[id.0 as usize].as_ref().map(show),
            facts,
        });
        for part in parts {
            self.add(expression, seen, part, depth + 1);
        }
    }
}

/// Sorts what stands below a part into facts and parts of their own.
fn collect(
    expression: &Expr,
    seen: &[Option<Value>],
    id: NodeId,
    facts: &mut Vec<(String, String)>,
    parts: &mut Vec<NodeId>,
) {
    let id = expression.ungroup(id);
    match &expression.node(id).kind {
        NodeKind::Literal(_) => {}
        NodeKind::Context(_)
        | NodeKind::Property { .. }
        | NodeKind::Index { .. }
        | NodeKind::Wildcard { .. } => {
            if let Some(value) = &seen[id.0 as usize] {
                facts.push((expression.text(id).to_owned(), show(value)));
            }
        }
        _ => parts.push(id),
    }
}

impl fmt::Display for TraceStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value.as_deref().unwrap_or("not evaluated");
        write!(f, "{} -> {value}", self.expression)?;
        for (index, (text, value)) in self.facts.iter().enumerate() {
            f.write_str(if index == 0 { "  (" } else { ", " })?;
            write!(f, "{text} = {value}")?;
        }
        if self.facts.is_empty() { Ok(()) } else { f.write_str(")") }
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.steps.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{:width$}{step}", "", width = step.depth * 2)?;
        }
        Ok(())
    }
}

/// Returns a value as people read it, cut where it is long.
fn show(value: &Value) -> String {
    let text = match value {
        Value::Null => "null".to_owned(),
        Value::String(text) => format!("'{}'", cut(text).replace('\'', "''")),
        Value::Array(_) | Value::Object(_) => {
            let mut writer = Writer::new(MAX_WRITTEN_BYTES);
            let complete = writer.value(value, 0);
            let mut text = String::new();
            for line in writer.text.lines() {
                let line = line.trim_start();
                text.push_str(line);
                if line.ends_with(',') {
                    text.push(' ');
                }
            }
            if !complete {
                text.push('…');
            }
            text
        }
        Value::Bool(_) | Value::Number(_) => value.to_text().into_owned(),
    };
    if matches!(value, Value::String(_)) { text } else { cut(&text).into_owned() }
}

fn cut(text: &str) -> std::borrow::Cow<'_, str> {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}
