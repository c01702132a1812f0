//! Requests before they are served: which path, which options, which media types, which body.

pub mod body;
pub mod media;
pub mod path;
pub mod query;

pub use media::{Accept, Representation};
pub use path::{ResourcePath, Target};
pub use query::Query;
