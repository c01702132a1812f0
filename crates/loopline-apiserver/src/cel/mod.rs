//! Expressions in CEL, with the functions that Kubernetes adds: for the rules of custom resources
//! and for admission policies.
//!
//! A [`Program`] is compiled once, with the variables it may name, and evaluated with their
//! values. What an evaluation may cost is bounded before it starts: loops count with the sizes of
//! the values that they may go over.

pub mod authorizer;
mod cost;
mod value;

use std::sync::LazyLock;

use kube_cel::KubeCelExt as _;
use kube_cel::cel;

pub use kube_cel::cel::Value;
pub use value::{field_name, from_json, from_schema, none, optional, to_json};

/// The longest expression.
pub const MAX_EXPRESSION_BYTES: usize = 16 * 1024;

/// How deep an expression nests.
const MAX_DEPTH: u16 = 48;

/// The most that one evaluation may cost: steps of the expression times rounds of its loops.
pub const MAX_COST: u64 = 10_000_000;

/// The standard functions and Kubernetes' own, made once.
static FUNCTIONS: LazyLock<cel::Context<'static>> = LazyLock::new(|| {
    let mut context = cel::Context::default().with_all();
    authorizer::register(&mut context);
    context
});

/// Why there is no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text is no expression.
    #[error("compilation failed: {0}")]
    Syntax(String),
    /// It names what there is not.
    #[error("compilation failed: undeclared reference to '{0}' (in container '')")]
    Undeclared(String),
    /// It is too long.
    #[error("compilation failed: the expression is longer than {MAX_EXPRESSION_BYTES} bytes")]
    TooLong,
    /// It could run for too long.
    #[error("operation cancelled: actual cost limit exceeded")]
    TooExpensive,
    /// It failed with these values.
    #[error("{0}")]
    Failed(String),
}

/// A compiled expression.
#[derive(Debug)]
pub struct Program {
    text: String,
    expression: cel::parser::Expression,
    loops: cost::Loops,
}

impl Program {
    /// Compiles an expression that may name `variables`.
    ///
    /// # Errors
    /// For texts that are no expressions, too long, or name anything else.
    pub fn compile(text: &str, variables: &[&str]) -> Result<Self, Error> {
        if text.len() > MAX_EXPRESSION_BYTES {
            return Err(Error::TooLong);
        }
        let expression = cel::parser::Parser::default()
            .max_recursion_depth(MAX_DEPTH)
            .enable_optional_syntax(true)
            .parse(text)
            .map_err(|errors| Error::Syntax(errors.to_string()))?;
        if let Some(unknown) = cost::undeclared(&expression, variables) {
            return Err(Error::Undeclared(unknown));
        }
        let loops = cost::Loops::of(&expression);
        Ok(Self { text: text.to_owned(), expression, loops })
    }

    /// Returns the expression as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns whether the expression names a variable.
    pub fn names(&self, variable: &str) -> bool {
        self.expression.references().has_variable(variable)
    }

    /// Evaluates the expression with values of its variables.
    ///
    /// # Errors
    /// Where it fails, or might cost too much.
    pub fn evaluate(&self, bindings: &[(&str, Value)]) -> Result<Value, Error> {
        let longest = bindings.iter().map(|(_, value)| cost::longest(value)).max().unwrap_or(0);
        if self.loops.cost(longest) > MAX_COST {
            return Err(Error::TooExpensive);
        }
        let mut context = FUNCTIONS.new_inner_scope();
        for (name, value) in bindings {
            context.add_variable_from_value(*name, value.clone());
        }
        context.resolve(&self.expression).map_err(|error| Error::Failed(told(&error)))
    }
}

/// Evaluates an expression over one text.
fn evaluate_constant(expression: &str, text: &str) -> Option<Value> {
    let program = Program::compile(expression, &["text"]).ok()?;
    program.evaluate(&[("text", text.into())]).ok()
}

/// Returns an error in the words of Kubernetes, where it has some for it.
fn told(error: &cel::ExecutionError) -> String {
    match error {
        cel::ExecutionError::NoSuchKey(key) => format!("no such key: {key}"),
        cel::ExecutionError::NoSuchOverload => "no such overload".to_owned(),
        cel::ExecutionError::DivisionByZero(_) => "division by zero".to_owned(),
        cel::ExecutionError::RemainderByZero(_) => "modulus by zero".to_owned(),
        cel::ExecutionError::Overflow(..) => "integer overflow".to_owned(),
        other => other.to_string(),
    }
}
