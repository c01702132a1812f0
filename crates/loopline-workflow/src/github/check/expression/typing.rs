//! Finds what is wrong in an expression, from the types of the contexts it uses.

use std::ops::Range;

use super::constant::is_true;
use super::contexts::{Availability, Contexts};
use super::functions::{self, NAMES, SPECIAL, Signature};
use super::json;
use super::syntax::{Expression, Kind};
use super::types::{Object, Type};
use crate::github::expression::Comparison;

/// What kind of mistake a [`Problem`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProblemKind {
    /// A context, property or function that is not there.
    Undefined,
    /// A step whose output is read but which is not there (yet).
    UndefinedStep,
    /// A value of the wrong type.
    Type,
    /// The arguments of a call.
    Arguments,
    /// A context or function that is not available at this key.
    Availability,
}

/// One mistake.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) kind: ProblemKind,
    pub(crate) range: Range<usize>,
    pub(crate) message: String,
    /// What could have been meant instead, and the word that was written.
    pub(crate) word: String,
    pub(crate) choices: Vec<String>,
    pub(crate) hint: Option<String>,
}

/// Returns the type of `expression`, and what is wrong with it.
pub(crate) fn check(
    expression: &Expression,
    contexts: &Contexts,
    available: Availability,
) -> (Type, Vec<Problem>) {
    let mut checker = Checker { contexts, available, problems: Vec::new() };
    let result = checker.value(expression);
    (result, checker.problems)
}

struct Checker<'c> {
    contexts: &'c Contexts,
    available: Availability,
    problems: Vec<Problem>,
}

impl Checker<'_> {
    fn problem(&mut self, kind: ProblemKind, range: &Range<usize>, message: String) {
        self.problems.push(Problem {
            kind,
            range: range.clone(),
            message,
            word: String::new(),
            choices: Vec::new(),
            hint: None,
        });
    }

    fn undefined(
        &mut self,
        range: &Range<usize>,
        message: String,
        word: &str,
        choices: Vec<String>,
    ) {
        self.problem(ProblemKind::Undefined, range, message);
        if let Some(problem) = self.problems.last_mut() {
            problem.word = word.to_owned();
            problem.choices = choices;
        }
    }

    fn value(&mut self, expression: &Expression) -> Type {
        let range = &expression.range;
        match &expression.kind {
            Kind::Null => Type::Null,
            Kind::Boolean(_) => Type::Boolean,
            Kind::Number(_) => Type::Number,
            Kind::String(_) => Type::String,
            Kind::Variable(name) => self.variable(range, name),
            Kind::Property(receiver, name) => self.property(range, receiver, name),
            Kind::Filter(receiver) => self.filter(range, receiver),
            Kind::Index(receiver, index) => self.index(range, receiver, index),
            Kind::Call(name, arguments) => self.call(range, name, arguments),
            Kind::Not(inner) => {
                self.value(inner);
                Type::Boolean
            }
            Kind::Compare(operator, left, right) => self.compare(*operator, left, right),
            Kind::And(operands) => self.and(operands),
            Kind::Or(operands) => self.or(operands),
        }
    }

    fn and(&mut self, operands: &[Expression]) -> Type {
        let Some((first, rest)) = operands.split_first() else { return Type::Any };
        let mut result = self.value(first);
        for (index, operand) in rest.iter().enumerate() {
            let given = self.value(operand);
            result = if index == 0 && is_true(first) && !given.is_structured() {
                given
            } else {
                result.merge(given)
            };
        }
        result
    }

    fn or(&mut self, operands: &[Expression]) -> Type {
        let Some((first, rest)) = operands.split_first() else { return Type::Any };
        let mut result = self.value(first);
        // `a && b` that counts as true is `b`.
        if let Kind::And(parts) = &first.kind
            && let Some(last) = parts.last()
        {
            let known = self.problems.len();
            result = self.value(last);
            self.problems.truncate(known);
        }
        for operand in rest {
            result = result.merge(self.value(operand));
        }
        result
    }

    fn variable(&mut self, range: &Range<usize>, name: &str) -> Type {
        let lower = name.to_lowercase();
        let Some(found) = self.contexts.get(&lower).cloned() else {
            let names: Vec<_> = self.contexts.names().map(str::to_owned).collect();
            self.undefined(range, format!("there is no context `{name}`"), name, names);
            return Type::Any;
        };
        if !self.available.contexts.contains(&&*lower) {
            let message = format!("the context `{name}` is not available here");
            self.problem(ProblemKind::Availability, range, message);
            let hint = if self.available.contexts.is_empty() {
                "no context is available here".to_owned()
            } else {
                format!("available here: {}", self.available.contexts.join(", "))
            };
            if let Some(problem) = self.problems.last_mut() {
                problem.hint = Some(hint);
            }
        }
        found
    }

    fn property(&mut self, range: &Range<usize>, receiver: &Expression, name: &str) -> Type {
        let lower = name.to_lowercase();
        match self.value(receiver) {
            Type::Any => Type::Any,
            Type::Object(object) => self.member(range, receiver, &object, name),
            Type::Array(element, true) => match *element {
                Type::Any => Type::Array(Box::new(Type::Any), true),
                Type::Object(object) => match object.property(&lower) {
                    Some(found) => Type::Array(Box::new(found.clone()), true),
                    None => {
                        let message = format!("no element of `.*` has a property `{name}`");
                        let names = object.properties.keys().cloned().collect();
                        self.undefined(range, message, name, names);
                        Type::Any
                    }
                },
                element => {
                    let what = format!("`.{name}` needs objects, but `.*` gives {element}");
                    self.problem(ProblemKind::Type, range, what);
                    Type::Any
                }
            },
            other => {
                let message = format!("`.{name}` needs an object, but this is a value of {other}");
                self.problem(ProblemKind::Type, range, message);
                Type::Any
            }
        }
    }

    fn member(
        &mut self,
        range: &Range<usize>,
        receiver: &Expression,
        object: &Object,
        name: &str,
    ) -> Type {
        if let Some(found) = object.property(&name.to_lowercase()) {
            return found.clone();
        }
        let names: Vec<String> = object.properties.keys().cloned().collect();
        let what = describe(receiver);
        match what.as_deref() {
            Some("steps") => {
                let message = format!("no step before this one has the id `{name}`");
                self.undefined(range, message, name, names);
                if let Some(problem) = self.problems.last_mut() {
                    problem.kind = ProblemKind::UndefinedStep;
                    problem.hint = Some(format!(
                        "give the step that sets it `id: {name}`; steps of other jobs are read \
                         through `needs` and the job's `outputs`"
                    ));
                }
            }
            Some("needs") => {
                let message = format!("this job does not list `{name}` in `needs`");
                self.undefined(range, message, name, names);
            }
            what => {
                let of = what.map_or_else(String::new, |what| format!(" in `{what}`"));
                let message = format!("there is no property `{name}`{of}");
                self.undefined(range, message, name, names);
            }
        }
        Type::Any
    }

    fn filter(&mut self, range: &Range<usize>, receiver: &Expression) -> Type {
        match self.value(receiver) {
            Type::Any => Type::Array(Box::new(Type::Any), true),
            Type::Array(element, _) => Type::Array(element, true),
            Type::Object(object) => {
                let mut elements = object
                    .properties
                    .values()
                    .filter(|value| matches!(value, Type::Object(_) | Type::Any));
                let others = object.others.as_deref();
                let element = match (elements.next(), others) {
                    (Some(first), None) => {
                        let first = first.clone();
                        // Only what all of them are is known of one.
                        elements.cloned().fold(first, Type::merge)
                    }
                    (_, Some(Type::Any)) => Type::Any,
                    (_, Some(Type::Object(others))) => Type::Object(others.clone()),
                    (None, None) | (_, Some(_)) => {
                        let what = "`.*` needs an object that holds objects".to_owned();
                        self.problem(ProblemKind::Type, range, what);
                        Type::Any
                    }
                };
                Type::Array(Box::new(element), true)
            }
            other => {
                let message = format!("`.*` needs a list or an object, but this is a {other}");
                self.problem(ProblemKind::Type, range, message);
                Type::Any
            }
        }
    }

    fn index(&mut self, range: &Range<usize>, receiver: &Expression, index: &Expression) -> Type {
        let index_type = self.value(index);
        match self.value(receiver) {
            Type::Any => Type::Any,
            Type::Array(element, _) => {
                if !matches!(index_type, Type::Any | Type::Number) {
                    let message = format!("a list is indexed by a number, not by a {index_type}");
                    self.problem(ProblemKind::Type, &index.range, message);
                }
                *element
            }
            Type::Object(object) => {
                if !matches!(index_type, Type::Any | Type::String) {
                    let what = format!("an object is indexed by a string, not by a {index_type}");
                    self.problem(ProblemKind::Type, &index.range, what);
                    return Type::Any;
                }
                match &index.kind {
                    Kind::String(name) => self.member(range, receiver, &object, name),
                    _ => object.others.map_or(Type::Any, |others| *others),
                }
            }
            other => {
                let message = format!("`[ ]` needs a list or an object, but this is a {other}");
                self.problem(ProblemKind::Type, range, message);
                Type::Any
            }
        }
    }

    fn compare(&mut self, operator: Comparison, left: &Expression, right: &Expression) -> Type {
        let (a, b) = (self.value(left), self.value(right));
        let equality = matches!(operator, Comparison::Equal | Comparison::NotEqual);
        let never = |side: &Type| {
            matches!(side, Type::Object(_) | Type::Array(..))
                || (!equality && matches!(side, Type::Null | Type::Boolean))
        };
        let alike = equality
            && matches!(
                (&a, &b),
                (Type::Object(_), Type::Object(_)) | (Type::Array(..), Type::Array(..))
            );
        let unknown = |side: &Type| match side {
            Type::Any => true,
            Type::Null => equality,
            _ => false,
        };
        if (never(&a) || never(&b)) && !alike && !unknown(&a) && !unknown(&b) {
            let by = operator.symbol();
            let message = format!("a {a} cannot be compared with a {b} by `{by}`");
            self.problem(ProblemKind::Type, &left.range, message);
        }
        Type::Boolean
    }

    fn call(&mut self, range: &Range<usize>, name: &str, arguments: &[Expression]) -> Type {
        let types: Vec<Type> = arguments.iter().map(|argument| self.value(argument)).collect();
        let lower = name.to_lowercase();
        let forms = functions::signatures(&lower);
        if forms.is_empty() {
            let names = NAMES.iter().map(|name| (*name).to_owned()).collect();
            self.undefined(range, format!("there is no function `{name}`"), name, names);
            return Type::Any;
        }
        if SPECIAL.contains(&&*lower) && !self.available.functions.contains(&&*lower) {
            let message = format!("the function `{name}` is not available here");
            self.problem(ProblemKind::Availability, range, message);
            let hint = if lower == "hashfiles" {
                "`hashFiles` works in the keys of a step"
            } else {
                "status functions work in the `if` of a job or step"
            };
            if let Some(problem) = self.problems.last_mut() {
                problem.hint = Some(hint.to_owned());
            }
        }
        let mut problems = Vec::new();
        for form in &forms {
            let found = mismatches(range, name, arguments, &types, form);
            if found.is_empty() {
                problems.clear();
                self.special(range, &lower, arguments);
                return match (&*lower, arguments) {
                    ("fromjson", [Expression { kind: Kind::String(text), .. }]) => {
                        serde_json::from_str(text).map_or(Type::Any, |value| json::type_of(&value))
                    }
                    _ => form.result.clone(),
                };
            }
            problems.extend(found);
        }
        for (at, message) in problems {
            self.problem(ProblemKind::Arguments, &at, message);
        }
        forms.into_iter().next().map_or(Type::Any, |form| form.result)
    }

    /// Checks what a type does not say: the text given to `format` and `fromJSON`.
    fn special(&mut self, range: &Range<usize>, name: &str, arguments: &[Expression]) {
        let Some(Expression { kind: Kind::String(text), range: first }) = arguments.first() else {
            return;
        };
        match name {
            "fromjson" => {
                if let Err(error) = serde_json::from_str::<serde_json::Value>(text) {
                    let message = format!("the text given to `fromJSON` is not JSON: {error}");
                    self.problem(ProblemKind::Arguments, first, message);
                }
            }
            "format" => {
                let used = placeholders(text);
                let given = arguments.len() - 1;
                for number in 0..given {
                    if !used.contains(&number) {
                        let message =
                            format!("`{{{number}}}` is not in the text, so its argument is lost");
                        self.problem(ProblemKind::Arguments, range, message);
                    }
                }
                for number in used.into_iter().filter(|number| *number >= given) {
                    let message = format!("`{{{number}}}` has no argument: only {given} are given");
                    self.problem(ProblemKind::Arguments, range, message);
                }
            }
            _ => {}
        }
    }
}

fn mismatches(
    range: &Range<usize>,
    name: &str,
    arguments: &[Expression],
    types: &[Type],
    form: &Signature,
) -> Vec<(Range<usize>, String)> {
    let wanted = form.parameters.len();
    let fits = if form.repeats { types.len() >= wanted } else { types.len() == wanted };
    if !fits {
        let least = if form.repeats { "at least " } else { "" };
        let given = types.len();
        let message = format!("`{name}` takes {least}{wanted} arguments, but {given} are given");
        return vec![(range.clone(), message)];
    }
    let mut found = Vec::new();
    for (index, given) in types.iter().enumerate() {
        let Some(parameter) = form.parameters.get(index).or(form.parameters.last()) else {
            continue;
        };
        if !given.fits(parameter) {
            let message = format!("`{name}` takes a {parameter} here, but this is a {given}");
            found.push((arguments[index].range.clone(), message));
        }
    }
    found
}

/// Returns the numbers in braces of a format, each once.
fn placeholders(text: &str) -> Vec<usize> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        rest = &rest[open + 1..];
        if let Some(after) = rest.strip_prefix('{') {
            rest = after;
            continue;
        }
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if rest[digits..].starts_with('}')
            && let Ok(number) = rest[..digits].parse()
            && !found.contains(&number)
        {
            found.push(number);
        }
    }
    found
}

/// Returns the expression as it is written, if it is a plain path.
fn describe(expression: &Expression) -> Option<String> {
    match &expression.kind {
        Kind::Variable(name) => Some(name.to_lowercase()),
        Kind::Property(receiver, name) => Some(format!("{}.{name}", describe(receiver)?)),
        _ => None,
    }
}
