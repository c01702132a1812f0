//! Tokens and their surroundings to a value.

use loopline_source::Span;

use super::token::{Expression, Kind, Pair, Token};
use crate::github::expression::{
    self, EvalError, Expr, Object, ParseError, ParseOptions, Scope, Trace, Value,
};

/// Why a token has no value.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{kind}")]
pub struct EvaluateError {
    /// Where.
    pub span: Span,
    /// Why.
    pub kind: EvaluateErrorKind,
}

/// Why a token has no value.
#[derive(Clone, Debug, thiserror::Error)]
pub enum EvaluateErrorKind {
    /// The expression cannot be read.
    #[error("{0}")]
    Parse(ParseError),
    /// The expression has no value.
    #[error("{error}")]
    Evaluate {
        /// The expression.
        text: Box<str>,
        /// Why.
        error: EvalError,
    },
    /// A key that is a sequence or a mapping.
    #[error("Expected a scalar value")]
    KeyNotScalar,
    /// `insert` of something that is no mapping.
    #[error("Expected a mapping")]
    InsertNotMapping,
    /// `insert` where no key may stand.
    #[error("The expression directive 'insert' is not supported in this context")]
    InsertNotKey,
    /// A key given twice, perhaps by an expression or `insert`.
    #[error("'{0}' is already defined")]
    AlreadyDefined(String),
}

impl Expression {
    /// Evaluates the expression.
    ///
    /// # Errors
    /// Returns why it has no value.
    pub fn evaluate(&self, scope: &dyn Scope) -> Result<Value, EvaluateErrorKind> {
        expression::evaluate(&parse(&self.text)?, scope).map_err(|error| failed(&self.text, error))
    }
}

/// Evaluates a condition without `${{ }}`; returns whether it holds and what its parts came to.
///
/// # Errors
/// Returns why it has no value.
pub fn condition(text: &str, scope: &dyn Scope) -> Result<(bool, Trace), EvaluateErrorKind> {
    let (result, trace) = expression::evaluate_traced(&parse(text)?, scope);
    Ok((result.map_err(|error| failed(text, error))?.truthy(), trace))
}

/// Which contexts may stand where was checked when the file was read.
fn parse(text: &str) -> Result<Expr, EvaluateErrorKind> {
    expression::parse(text, &ParseOptions::default()).map_err(EvaluateErrorKind::Parse)
}

fn failed(text: &str, error: EvalError) -> EvaluateErrorKind {
    EvaluateErrorKind::Evaluate { text: text.into(), error }
}

/// Evaluates a token and all expressions in it: keys, values, items, and `insert`.
///
/// # Errors
/// Returns the first thing in it that has no value.
pub fn evaluate(token: &Token, scope: &dyn Scope) -> Result<Value, EvaluateError> {
    let failed = |kind| EvaluateError { span: token.span, kind };
    match &token.kind {
        Kind::Null => Ok(Value::Null),
        Kind::Boolean(value) => Ok(Value::Bool(*value)),
        Kind::Number(value) => Ok(Value::Number(*value)),
        Kind::String(text) => Ok(Value::String(text.clone())),
        Kind::Expression(expression) => expression.evaluate(scope).map_err(failed),
        Kind::Insert => Err(failed(EvaluateErrorKind::InsertNotKey)),
        // The depth of tokens is bounded by the reader.
        Kind::Sequence(items) => {
            let items: Result<Vec<_>, _> = items.iter().map(|item| evaluate(item, scope)).collect();
            Ok(Value::array(items?))
        }
        Kind::Mapping(pairs) => mapping(pairs, scope),
    }
}

fn mapping(pairs: &[Pair], scope: &dyn Scope) -> Result<Value, EvaluateError> {
    let mut object = Object::new();
    for pair in pairs {
        let failed = |kind| EvaluateError { span: pair.key.span, kind };
        let value = evaluate(&pair.value, scope)?;
        let mut put = |name: &str, value: Value| {
            if object.contains_key(name) {
                return Err(failed(EvaluateErrorKind::AlreadyDefined(name.to_owned())));
            }
            object.insert(name, value);
            Ok(())
        };
        if pair.key.kind == Kind::Insert {
            let Value::Object(inserted) = &value else {
                return Err(failed(EvaluateErrorKind::InsertNotMapping));
            };
            for (name, value) in inserted.iter() {
                put(name, value.clone())?;
            }
            continue;
        }
        let key = evaluate(&pair.key, scope)?;
        if !key.kind().is_primitive() {
            return Err(failed(EvaluateErrorKind::KeyNotScalar));
        }
        put(&key.to_text(), value)?;
    }
    Ok(Value::Object(object.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Surroundings;

    impl Scope for Surroundings {
        fn context(&self, name: &str) -> Option<Value> {
            let more = Value::object([("b", Value::Number(2.0)), ("c", Value::Bool(true))]);
            (name == "inputs")
                .then(|| Value::object([("more", more), ("name", Value::string("x"))]))
        }

        fn function(&self, _: &str, _: &[Value]) -> Option<Result<Value, EvalError>> {
            None
        }
    }

    fn pair(key: Token, value: Token) -> Pair {
        Pair { key, value }
    }

    #[test]
    fn expressions_stand_anywhere() {
        let at = Span::at(0);
        let text = |text: &str| Token::string(at, text);
        let expression = |text: &str| Token::expression(at, text);
        let insert = Token { span: at, kind: Kind::Insert };
        let items = Kind::Sequence([text("1"), expression("inputs.name")].into());
        let pairs = [
            pair(text("a"), Token { span: at, kind: items }),
            pair(insert.clone(), expression("inputs.more")),
            pair(expression("format('{0}y', inputs.name)"), text("z")),
        ];
        let token = Token { span: at, kind: Kind::Mapping(pairs.into()) };
        let value = evaluate(&token, &Surroundings).expect("it has a value");
        let expected = serde_json::json!({"a": ["1", "x"], "b": 2, "c": true, "xy": "z"});
        assert_eq!(value.to_json(), expected);

        let wrong = [pair(insert, text("a"))];
        let token = Token { span: at, kind: Kind::Mapping(wrong.into()) };
        let error = evaluate(&token, &Surroundings).expect_err("a string is no mapping");
        assert_eq!(error.to_string(), "Expected a mapping");
        let twice = [pair(text("a"), text("1")), pair(expression("'A'"), text("2"))];
        let token = Token { span: at, kind: Kind::Mapping(twice.into()) };
        let error = evaluate(&token, &Surroundings).expect_err("the key is there twice");
        assert_eq!(error.to_string(), "'A' is already defined");
    }
}
