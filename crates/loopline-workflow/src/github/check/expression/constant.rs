//! Whether an expression has the same value in every run.

use super::syntax::{Expression, Kind};

/// Returns whether nothing in `expression` depends on the run.
pub(crate) fn is_constant(expression: &Expression) -> bool {
    match &expression.kind {
        Kind::Null | Kind::Boolean(_) | Kind::Number(_) | Kind::String(_) => true,
        Kind::Variable(_) | Kind::Property(..) | Kind::Filter(_) | Kind::Index(..) => false,
        Kind::Call(name, arguments) => {
            let pure = ["case", "contains", "startswith", "endswith", "format", "join", "tojson"];
            pure.contains(&&*name.to_lowercase()) && arguments.iter().all(is_constant)
        }
        Kind::Not(inner) => is_constant(inner),
        Kind::Compare(_, left, right) => is_constant(left) && is_constant(right),
        Kind::And(operands) | Kind::Or(operands) => operands.iter().all(is_constant),
    }
}

/// Returns whether `expression` is written out and counts as true.
pub(crate) fn is_true(expression: &Expression) -> bool {
    match &expression.kind {
        Kind::Boolean(value) => *value,
        Kind::Number(value) => *value != 0.0 && !value.is_nan(),
        Kind::String(value) => !value.is_empty(),
        Kind::Or(operands) => operands.first().is_some_and(is_true),
        _ => false,
    }
}
