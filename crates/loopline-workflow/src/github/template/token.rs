//! The token tree: what a workflow's YAML means before its expressions are evaluated.

use std::sync::Arc;

use loopline_source::Span;

/// One value of a template, with its place; cheap to clone.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    /// Where the value stands in the file it was read from, its tag and anchor included.
    pub span: Span,
    /// What it holds.
    pub kind: Kind,
}

/// What a [`Token`] holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Null.
    Null,
    /// A boolean.
    Boolean(bool),
    /// A number; GitHub has only this one kind.
    Number(f64),
    /// A string.
    String(Arc<str>),
    /// An expression, evaluated later.
    Expression(Arc<Expression>),
    /// `${{ insert }}` as a mapping's key: the value's pairs take its place.
    Insert,
    /// A sequence.
    Sequence(Arc<[Token]>),
    /// A mapping in the order of the file; keys are strings, expressions or `insert`.
    Mapping(Arc<[Pair]>),
}

/// One key of a mapping and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// The key.
    pub key: Token,
    /// The value.
    pub value: Token,
}

/// An expression as it will be evaluated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expression {
    /// The text without `${{ }}`; text around several expressions has become a `format` call.
    pub text: Arc<str>,
}

impl Token {
    /// Returns a string token.
    pub fn string(span: Span, text: impl Into<Arc<str>>) -> Self {
        Self { span, kind: Kind::String(text.into()) }
    }

    /// Returns an expression token.
    pub fn expression(span: Span, text: impl Into<Arc<str>>) -> Self {
        Self { span, kind: Kind::Expression(Arc::new(Expression { text: text.into() })) }
    }

    /// Returns the text, if this is a literal string.
    pub fn as_str(&self) -> Option<&str> {
        match &self.kind {
            Kind::String(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the truth value, if this is a literal boolean.
    pub fn as_bool(&self) -> Option<bool> {
        match self.kind {
            Kind::Boolean(value) => Some(value),
            _ => None,
        }
    }

    /// Returns the number, if this is a literal number.
    pub fn as_number(&self) -> Option<f64> {
        match self.kind {
            Kind::Number(value) => Some(value),
            _ => None,
        }
    }

    /// Returns the items, if this is a sequence.
    pub fn as_sequence(&self) -> Option<&[Token]> {
        match &self.kind {
            Kind::Sequence(items) => Some(items),
            _ => None,
        }
    }

    /// Returns the pairs, if this is a mapping.
    pub fn as_mapping(&self) -> Option<&[Pair]> {
        match &self.kind {
            Kind::Mapping(pairs) => Some(pairs),
            _ => None,
        }
    }

    /// Returns the value of the literal key `key`, if this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Token> {
        self.as_mapping()?
            .iter()
            .find(|pair| pair.key.as_str() == Some(key))
            .map(|pair| &pair.value)
    }

    /// Returns whether this is null.
    pub fn is_null(&self) -> bool {
        self.kind == Kind::Null
    }

    /// Returns whether this is itself an expression (or `insert`).
    pub fn is_expression(&self) -> bool {
        matches!(self.kind, Kind::Expression(_) | Kind::Insert)
    }

    /// Returns whether this is an expression or holds one anywhere.
    pub fn has_expressions(&self) -> bool {
        match &self.kind {
            Kind::Expression(_) | Kind::Insert => true,
            Kind::Sequence(items) => items.iter().any(Self::has_expressions),
            Kind::Mapping(pairs) => {
                pairs.iter().any(|pair| pair.key.is_expression() || pair.value.has_expressions())
            }
            Kind::Null | Kind::Boolean(_) | Kind::Number(_) | Kind::String(_) => false,
        }
    }
}
