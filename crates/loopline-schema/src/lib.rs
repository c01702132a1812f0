//! Kubernetes kinds and custom resources: types, defaults, validation, merge keys, table columns
//! and OpenAPI documents. Values in, values out.

pub mod builtin;
pub mod check;
pub mod columns;
pub mod convert;
pub mod defaults;
pub mod error;
pub mod foreign;
pub mod label_selector;
pub mod manifest;
pub mod normal;
pub mod openapi;
pub mod pod_security;
pub mod protobuf;
pub mod resource;
pub mod structural;
mod text;
mod tree;
pub mod types;
pub mod validation;

pub use builtin::{builtin, definition};
pub use check::{TypeError, check_types, prune_unknown, unknown_field_message, unknown_fields};
pub use convert::convert;
pub use error::{Cause, FieldError};
pub use resource::{Resource, Subresource, resources};
pub use types::{Scalar, Schema, TypeRef};
