//! Template tokens: YAML read by a schema, with expressions kept for later.

mod allowed;
mod error;
mod evaluate;
mod read;
mod scalar;
pub(crate) mod text;
mod token;

pub use allowed::{Allowed, Checked};
pub use error::{Error, ErrorKind, Errors, MAX_ERRORS, MAX_MESSAGE_LENGTH};
pub use evaluate::{EvaluateError, EvaluateErrorKind, condition, evaluate};
pub use read::{Limits, Usage, read};
pub use token::{Expression, Kind, Pair, Token};
