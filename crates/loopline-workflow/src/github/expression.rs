//! The expression language of `${{ }}`: text to tree, tree and contexts to a value.
//!
//! The semantics are those of GitHub's runner; where its two published evaluators differ (the
//! runner and the language service), the runner decides, because it is what runs workflows.
//! What contexts hold, and which of them a key may use, is decided by the callers.

mod error;
mod evaluate;
mod functions;
mod json;
mod number;
mod object;
mod ordinal;
mod parse;
pub(crate) mod tokens;
mod trace;
mod tree;
mod value;

pub use error::{EvalError, ParseError, ParseErrorKind};
pub use evaluate::{
    EvaluateOptions, MAX_MEMORY_BYTES, Scope, evaluate, evaluate_traced, evaluate_with,
};
pub use json::{JsonError, from_json_text, to_json_text};
pub use number::{format_number, parse_number};
pub use object::Object;
pub use ordinal::{compare_ignore_case, contains_ignore_case, equals_ignore_case};
pub use parse::{FunctionInfo, MAX_DEPTH, MAX_LENGTH, ParseOptions, parse};
pub use trace::{Trace, TraceStep};
pub use tree::{
    Comparison, Connective, Expr, NamedValue, Node, NodeId, NodeKind, Visitor,
    calls_status_function, named_values,
};
pub use value::{Array, Kind, Value};
