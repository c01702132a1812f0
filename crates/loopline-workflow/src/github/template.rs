//! Template tokens: YAML read by a schema, with expressions kept for later.

mod token;

pub use token::{Expression, Kind, Pair, Token};
