//! Source files, spans, the YAML tree, and the [`FileTree`] through which engines see files.
//!
//! Nothing here knows what a document means: that is the business of the engines one floor up.

mod file;
mod tree;
pub mod yaml;

pub use file::{Position, SourceFile, Span};
pub use tree::{FileTree, MemoryTree, TreeError};
