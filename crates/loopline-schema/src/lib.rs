//! Kubernetes kinds and custom resources: types, defaults, validation, merge keys, table columns
//! and OpenAPI documents. Values in, values out.

pub mod builtin;
pub mod check;
pub mod convert;
pub mod error;
pub mod resource;
mod text;
pub mod types;

pub use builtin::{builtin, definition};
pub use check::{TypeError, check_types, unknown_field_message, unknown_fields};
pub use error::{Cause, FieldError};
pub use resource::{Resource, resources};
pub use types::{Scalar, Schema, TypeRef};
