//! Kubernetes kinds and custom resources: types, defaults, validation, merge keys, table columns
//! and OpenAPI documents. Values in, values out.

pub mod error;

pub use error::{Cause, FieldError};
