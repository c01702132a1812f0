//! Texts with `${{ }}` in them: finds the expressions, checks them, and says where.

use std::ops::Range;

use loopline_diagnostic::{Fix, Rule, rule_set as rules};
use loopline_source::SourceFile;
use loopline_source::yaml::Style;

use crate::github::check::expression::{
    self, Availability, Contexts, Problem, ProblemKind, Type, untrusted,
};
use crate::github::check::findings::Findings;
use crate::github::check::model::{Environment, Value};
use crate::github::check::text::{Tag, Text, tag};

/// Checks texts against the contexts of the moment.
pub(super) struct Templates<'t, 'f> {
    pub(super) findings: &'t mut Findings<'f>,
    pub(super) contexts: Contexts,
    /// What the `shell` of a step may use: an action's may use its inputs.
    pub(super) shell: Availability,
}

/// One expression in a text, its places in bytes of the text.
struct Found {
    kind: Type,
    /// From `${{` to past `}}`.
    whole: Range<usize>,
}

impl Templates<'_, '_> {
    /// Checks a text that is put together from expressions.
    pub(super) fn text(&mut self, text: Option<&Text>, place: Availability) {
        let Some(text) = text else { return };
        if text.value.contains("${{") {
            let found = self.expressions(text, place, false);
            self.pasted(text, &found);
        }
    }

    /// Checks a script, into which outsiders must not write.
    pub(super) fn script(&mut self, text: &Text, place: Availability) {
        if text.value.contains("${{") {
            let found = self.expressions(text, place, true);
            self.pasted(text, &found);
        }
    }

    /// Checks a text and returns the type of its one expression.
    pub(super) fn template(
        &mut self,
        text: &Text,
        place: Availability,
        scripted: bool,
    ) -> Option<Type> {
        let mut found = self.expressions(text, place, scripted);
        if text.is_expression() {
            return found.pop().map(|found| found.kind);
        }
        self.pasted(text, &found);
        text.value.contains("${{").then_some(Type::String)
    }

    /// Checks a text that is one expression, whatever its type.
    pub(super) fn whole(&mut self, text: &Text, place: Availability) -> Option<Type> {
        self.expressions(text, place, false).pop().map(|found| found.kind)
    }

    /// Returns the type of a text that is one expression, without a word on what is wrong in it.
    pub(super) fn silent_type(&self, text: &Text) -> Type {
        let Some(start) = text.value.find("${{") else { return Type::String };
        match expression::parse(&text.value[start + 3..], false) {
            Ok((parsed, _)) => expression::check(&parsed, &self.contexts, Availability::STEP).0,
            Err(_) => Type::Any,
        }
    }

    /// Checks a scalar and returns its type.
    pub(super) fn scalar(&mut self, text: &Text, place: Availability) -> Type {
        if text.value.contains("${{") {
            return self.template(text, place, false).unwrap_or(Type::Any);
        }
        match tag(&text.node) {
            Tag::Null => Type::Null,
            Tag::Bool => Type::Boolean,
            Tag::Integer | Tag::Float => Type::Number,
            Tag::String => Type::String,
        }
    }

    pub(super) fn environment(&mut self, environment: Option<&Environment>, place: Availability) {
        match environment {
            None => {}
            Some(Environment::Expression(text)) => self.object(text, place),
            Some(Environment::Variables(variables)) => {
                for variable in variables {
                    self.text(Some(&variable.name), place);
                    self.text(Some(&variable.value), place);
                }
            }
        }
    }

    /// Checks an expression that stands for a mapping.
    pub(super) fn object(&mut self, text: &Text, place: Availability) {
        if let Some(given) = self.template(text, place, false)
            && !matches!(given, Type::Any | Type::Object(_))
        {
            self.wrong_type(text, "an object", &given);
        }
    }

    pub(super) fn boolean(&mut self, value: Option<&Value<bool>>, place: Availability) {
        if let Some(Value::Expression(text)) = value
            && let Some(given) = self.template(text, place, false)
            && !matches!(given, Type::Any | Type::Boolean)
        {
            self.wrong_type(text, "a boolean", &given);
        }
    }

    pub(super) fn number(&mut self, value: Option<&Value<f64>>, place: Availability) {
        if let Some(Value::Expression(text)) = value
            && let Some(given) = self.template(text, place, false)
            && !matches!(given, Type::Any | Type::Number)
        {
            self.wrong_type(text, "a number", &given);
        }
    }

    /// Checks an `if`, which is an expression with or without `${{ }}`.
    pub(super) fn condition(&mut self, text: Option<&Text>, place: Availability) {
        let Some(text) = text else { return };
        if text.has_expression() {
            self.expressions(text, place, false);
            return;
        }
        if text.is_empty() {
            // That it is empty was said already.
            return;
        }
        match expression::parse(&text.value, true) {
            Ok((parsed, _)) => {
                let (_, problems) = expression::check(&parsed, &self.contexts, place);
                self.report(text, 0, problems);
            }
            Err(error) => self.syntax(text, 0, error),
        }
    }

    pub(super) fn wrong_type(&mut self, text: &Text, wanted: &str, given: &Type) {
        let message = format!("this must be {wanted}, but the expression gives {given}");
        self.findings.add(&rules::EXPRESSION_TYPE, text.span, message);
    }

    /// Checks the expressions of `text` up to the first that is wrong.
    fn expressions(&mut self, text: &Text, place: Availability, scripted: bool) -> Vec<Found> {
        let mut found = Vec::new();
        let mut at = 0;
        while let Some(open) = text.value[at..].find("${{") {
            let start = at + open;
            let inner = start + 3;
            let (parsed, length) = match expression::parse(&text.value[inner..], false) {
                Ok(parsed) => parsed,
                Err(error) => {
                    self.syntax(text, inner, error);
                    break;
                }
            };
            let (kind, problems) = expression::check(&parsed, &self.contexts, place);
            let outsiders = if scripted { untrusted(&parsed) } else { Vec::new() };
            let wrong = !problems.is_empty() || !outsiders.is_empty();
            self.report(text, inner, problems);
            for (range, paths) in outsiders {
                let span = text.place(self.findings.file, inner + range.start, inner + range.end);
                let message = format!("anybody can set {}", paths.join(", "));
                self.findings.add_hint(
                    &rules::UNTRUSTED_INPUT,
                    span,
                    message,
                    "put it into a variable with `env`, and use the variable in the script",
                );
            }
            if wrong {
                break;
            }
            at = inner + length;
            found.push(Found { kind, whole: start..at });
        }
        found
    }

    /// Complains about the first value that is useless as text.
    fn pasted(&mut self, text: &Text, found: &[Found]) {
        if let Some(found) = found.iter().find(|found| found.kind.is_structured()) {
            let span = text.place(self.findings.file, found.whole.start, found.whole.end);
            let message = format!("a value of {} cannot be written as text", found.kind);
            let hint = "use one of its properties, or `toJSON(...)` for all of it";
            self.findings.add_hint(&rules::EXPRESSION_TYPE, span, message, hint);
        }
    }

    fn syntax(&mut self, text: &Text, base: usize, error: expression::Error) {
        let at = (base + error.at).min(text.value.len());
        let span = text.place(self.findings.file, at, at);
        let fix = single_quotes(text, self.findings.file, at);
        if let Some(found) = self.findings.add(&rules::EXPRESSION_SYNTAX, span, error.to_string()) {
            found.hints.extend(error.hint.map(str::to_owned));
            found.fix = fix;
        }
    }

    fn report(&mut self, text: &Text, base: usize, problems: Vec<Problem>) {
        for problem in problems {
            let range = problem.range;
            let span = text.place(self.findings.file, base + range.start, base + range.end);
            let rule: &'static Rule = match problem.kind {
                ProblemKind::Undefined => &rules::EXPRESSION_UNDEFINED,
                ProblemKind::UndefinedStep => &rules::STEP_OUTPUT_UNDEFINED,
                ProblemKind::Type => &rules::EXPRESSION_TYPE,
                ProblemKind::Arguments => &rules::EXPRESSION_ARGUMENTS,
                ProblemKind::Availability => &rules::CONTEXT_AVAILABILITY,
            };
            let choices = problem.choices.iter().map(String::as_str);
            let hint = problem.hint;
            self.findings.add_unknown(rule, span, problem.message, &problem.word, choices);
            if let Some(hint) = hint {
                self.findings.hint_last(rule, span, hint);
            }
        }
    }
}

/// Returns the change of a text in double quotes, which expressions do not know, to single ones.
fn single_quotes(text: &Text, file: &SourceFile, at: usize) -> Option<Fix> {
    let plain = matches!(text.node.as_scalar()?.style, Style::Plain | Style::Literal);
    let inner = text.value.get(at..)?.strip_prefix('"')?;
    let inner = &inner[..inner.find('"')?];
    if !plain || inner.contains(['\'', '\n']) {
        return None;
    }
    let span = text.place(file, at, at + inner.len() + 2);
    Some(Fix { span, replacement: format!("'{inner}'") })
}
