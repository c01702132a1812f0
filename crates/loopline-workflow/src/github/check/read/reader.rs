//! What every part of the reader needs: mappings, lists and scalars that complain and go on.

use std::collections::HashMap;

use loopline_diagnostic::rule_set as rules;
use loopline_source::yaml::{Data, Node, Style};
use loopline_source::{SourceFile, Span};

use crate::github::check::findings::{Findings, listed};
use crate::github::check::model::{Environment, Named, Raw, RawData, Value};
use crate::github::check::text::{self, Tag, Text};

/// Reads values and gathers what is wrong with them.
pub(crate) struct Reader<'r, 'f> {
    pub(crate) findings: &'r mut Findings<'f>,
}

/// One entry of a mapping, the key in the form it is compared in.
pub(crate) struct Entry<'n> {
    pub(crate) id: String,
    pub(crate) key: Text,
    pub(crate) value: &'n Node,
}

/// How a mapping is read.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) may_be_empty: bool,
    pub(crate) case_sensitive: bool,
}

/// A mapping whose keys are fixed words.
pub(crate) const FIXED: Shape = Shape { may_be_empty: false, case_sensitive: true };
/// A mapping whose keys the author chose; GitHub compares them without case.
pub(crate) const CHOSEN: Shape = Shape { may_be_empty: false, case_sensitive: false };

impl<'f> Reader<'_, 'f> {
    pub(crate) fn file(&self) -> &'f SourceFile {
        self.findings.file
    }

    /// Returns what a person would point at to mean `node`.
    pub(crate) fn place(&self, node: &Node) -> Span {
        text::place(self.file(), node)
    }

    fn text(&self, node: &Node) -> Option<Text> {
        let scalar = node.as_scalar()?;
        let value = if text::tag(node) == Tag::Null { "".into() } else { scalar.value.clone() };
        Some(Text { value, span: self.place(node), node: node.clone() })
    }

    pub(crate) fn wrong_type(&mut self, node: &Node, what: &str, wanted: &str) {
        let span = self.place(node);
        let found = text::tag_name(node);
        self.findings.add(
            &rules::WORKFLOW_WRONG_TYPE,
            span,
            format!("{what} must be {wanted}, but this is {found}"),
        );
    }

    pub(crate) fn empty(&mut self, span: Span, what: &str) {
        self.findings.add(&rules::WORKFLOW_EMPTY_VALUE, span, format!("{what} must not be empty"));
    }

    pub(crate) fn missing(&mut self, span: Span, key: &str, of: &str) {
        self.findings.add(
            &rules::WORKFLOW_MISSING_KEY,
            span,
            format!("`{key}` is missing in {of}"),
        );
    }

    pub(crate) fn unknown_key(&mut self, key: &Text, of: &str, known: &[&str]) {
        let message = format!("unknown key `{}` in {of}", key.value);
        self.findings.add_unknown(
            &rules::WORKFLOW_UNKNOWN_KEY,
            key.span,
            message,
            &key.value,
            known.iter().copied(),
        );
    }

    /// Returns the scalar as text; a list or mapping is complained about and read as "".
    pub(crate) fn string(&mut self, node: &Node, what: &str) -> Text {
        match self.text(node) {
            Some(text) => text,
            None => {
                self.wrong_type(node, what, "text");
                let node = Node {
                    span: Span::at(node.span.start),
                    data: Data::Scalar(loopline_source::yaml::Scalar {
                        value: "".into(),
                        style: Style::Plain,
                    }),
                    ..node.clone()
                };
                Text { value: "".into(), span: self.place(&node), node }
            }
        }
    }

    /// Returns the scalar as text that should not be empty.
    pub(crate) fn filled(&mut self, node: &Node, what: &str) -> Text {
        let scalar = node.as_scalar().is_some();
        let text = self.string(node, what);
        if scalar && text.is_empty() {
            self.empty(text.span, what);
        }
        text
    }

    /// Returns the entries of a mapping without duplicates and merge keys.
    pub(crate) fn mapping<'n>(
        &mut self,
        node: &'n Node,
        what: &str,
        shape: Shape,
    ) -> Vec<Entry<'n>> {
        let Some(entries) = node.as_mapping() else {
            if node.is_null() {
                if !shape.may_be_empty {
                    self.empty(self.place(node), what);
                }
            } else {
                self.wrong_type(node, what, "a mapping");
            }
            return Vec::new();
        };
        if entries.is_empty() && !shape.may_be_empty {
            self.empty(self.place(node), what);
        }
        let mut seen: HashMap<String, Span> = HashMap::with_capacity(entries.len());
        let mut result = Vec::with_capacity(entries.len());
        for entry in entries {
            let Some(key) = self.text(&entry.key) else {
                self.wrong_type(&entry.key, "a key", "text");
                continue;
            };
            let plain = entry.key.as_scalar().is_some_and(|key| key.style == Style::Plain);
            if plain && &*key.value == "<<" {
                self.findings.add_hint(
                    &rules::YAML_ANCHOR,
                    key.span,
                    "GitHub does not know YAML's merge key `<<`",
                    "write the keys out, or use an alias (`*name`) for the whole value",
                );
                continue;
            }
            if key.is_empty() {
                self.empty(key.span, "a key");
                continue;
            }
            let id = if shape.case_sensitive { key.value.to_string() } else { key.lower() };
            if let Some(first) = seen.get(&id) {
                let note = if shape.case_sensitive { "" } else { " (case does not count here)" };
                let (first, file) = (*first, self.file().clone());
                let message = format!("key `{}` appears twice in {what}{note}", key.value);
                if let Some(found) =
                    self.findings.add(&rules::WORKFLOW_DUPLICATE_KEY, key.span, message)
                {
                    *found = found.clone().also(&file, first, "first here");
                }
                continue;
            }
            seen.insert(id.clone(), key.span);
            result.push(Entry { id, key, value: &entry.value });
        }
        result
    }

    /// Returns the items of a list.
    pub(crate) fn list<'n>(
        &mut self,
        node: &'n Node,
        what: &str,
        may_be_empty: bool,
    ) -> Option<&'n [Node]> {
        let Some(items) = node.as_sequence() else {
            self.wrong_type(node, what, "a list");
            return None;
        };
        if items.is_empty() && !may_be_empty {
            self.empty(self.place(node), what);
        }
        Some(items)
    }

    /// Returns one text or a list of texts, none of which should be empty.
    pub(crate) fn one_or_many(&mut self, node: &Node, what: &str) -> Vec<Text> {
        if node.as_scalar().is_some() {
            return vec![self.filled(node, what)];
        }
        let items = self.list(node, what, false).unwrap_or(&[]);
        items.iter().map(|item| self.filled(item, what)).collect()
    }

    /// Returns the text, if it is one `${{ ... }}` and nothing else.
    pub(crate) fn expression(&mut self, node: &Node) -> Option<Text> {
        self.text(node).filter(Text::is_expression)
    }

    /// Returns the expression in a scalar where only an expression could stand for `wanted`.
    pub(crate) fn only_expression(
        &mut self,
        node: &Node,
        what: &str,
        wanted: &str,
    ) -> Option<Text> {
        let expression = self.expression(node);
        if expression.is_none() {
            self.wrong_type(node, what, &format!("{wanted} or one `${{{{ }}}}` expression"));
        }
        expression
    }

    pub(crate) fn boolean(&mut self, node: &Node, what: &str) -> Option<Value<bool>> {
        if node.as_scalar().is_some() && text::tag(node) == Tag::Bool {
            let value = node.as_str().is_some_and(|text| text.eq_ignore_ascii_case("true"));
            return Some(Value::Literal(value));
        }
        self.only_expression(node, what, "`true` or `false`").map(Value::Expression)
    }

    pub(crate) fn literal_boolean(&mut self, node: &Node, what: &str) -> bool {
        if node.as_scalar().is_some() && text::tag(node) == Tag::Bool {
            return node.as_str().is_some_and(|text| text.eq_ignore_ascii_case("true"));
        }
        self.wrong_type(node, what, "`true` or `false`");
        false
    }

    /// Returns a number above zero; `whole` where fractions are not accepted.
    pub(crate) fn positive(&mut self, node: &Node, what: &str, whole: bool) -> Option<Value<f64>> {
        let wanted = if whole { "a whole number" } else { "a number" };
        let tag = text::tag(node);
        let number = match tag {
            Tag::Integer => true,
            Tag::Float => !whole,
            Tag::Null | Tag::Bool | Tag::String => false,
        };
        if node.as_scalar().is_none() || !number {
            return self.only_expression(node, what, wanted).map(Value::Expression);
        }
        let text = node.as_str().unwrap_or_default().replace('_', "");
        let value = integer(&text).or_else(|| text.parse::<f64>().ok()).unwrap_or(f64::NAN);
        if value.is_nan() || value <= 0.0 {
            let span = self.place(node);
            self.findings.add(
                &rules::WORKFLOW_INVALID_VALUE,
                span,
                format!("{what} must be greater than zero, but is {text}"),
            );
        }
        Some(Value::Literal(value))
    }

    /// Returns one of `choices`, or complains.
    pub(crate) fn choice(&mut self, text: &Text, what: &str, choices: &[&str]) {
        if !choices.contains(&&*text.value) && !text.has_expression() {
            let message =
                format!("{what} must be one of {}, but is `{}`", listed(choices), text.value);
            self.findings.add_unknown(
                &rules::WORKFLOW_INVALID_VALUE,
                text.span,
                message,
                &text.value,
                choices.iter().copied(),
            );
        }
    }

    /// Reads `env:`.
    pub(crate) fn environment(&mut self, node: &Node) -> Option<Environment> {
        if node.as_scalar().is_some() {
            return self.only_expression(node, "`env`", "a mapping").map(Environment::Expression);
        }
        let variables = self.named_texts(node, "`env`");
        Some(Environment::Variables(variables))
    }

    /// Reads a mapping of chosen names to texts, which may be empty.
    pub(crate) fn named_texts(&mut self, node: &Node, what: &str) -> Vec<Named<Text>> {
        self.mapping(node, what, CHOSEN)
            .into_iter()
            .map(|entry| Named {
                value: self.string(entry.value, &format!("`{}`", entry.key.value)),
                name: entry.key,
            })
            .collect()
    }

    /// Reads a value of any shape.
    pub(crate) fn raw(&mut self, node: &Node) -> Raw {
        let span = self.place(node);
        let data = match &node.data {
            Data::Scalar(_) => RawData::Scalar(self.string(node, "a matrix value")),
            Data::Sequence(items) => {
                RawData::List(items.iter().map(|item| self.raw(item)).collect())
            }
            Data::Mapping(_) => {
                let shape = Shape { may_be_empty: true, case_sensitive: false };
                let entries = self.mapping(node, "a matrix value", shape);
                let entries =
                    entries.into_iter().map(|entry| (entry.id, self.raw(entry.value))).collect();
                RawData::Mapping(entries)
            }
        };
        Raw { span, data }
    }
}

fn integer(text: &str) -> Option<f64> {
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    let value = match unsigned.get(..2) {
        Some("0x") => i64::from_str_radix(&unsigned[2..], 16).ok()?,
        Some("0o") => i64::from_str_radix(&unsigned[2..], 8).ok()?,
        Some("0b") => i64::from_str_radix(&unsigned[2..], 2).ok()?,
        _ => return None,
    };
    // Whether it is above zero is all that is asked of it, so rounding does no harm.
    Some(sign * value as f64)
}
