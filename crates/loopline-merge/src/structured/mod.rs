//! Structured merge: who owns which field of an object, and what applying a configuration does.
//!
//! The algorithms are those of the project `structured-merge-diff`, which real API servers run.
//! Values are plain; what they mean comes from [`crate::Type`].

mod compare;
mod fields;
mod merge;
mod reconcile;
mod remove;
mod update;
mod validate;
mod walk;

pub use compare::{Comparison, compare};
pub use fields::{FieldSetError, field_set};
pub use merge::merge;
pub use reconcile::reconcile;
pub use remove::{extract, remove};
pub use update::{
    Applied, ApplyError, Conflict, ConversionError, Managers, OneVersion, Owned, SameSchema,
    UpdateError, Versions, apply, update,
};
pub use validate::{Duplicates, Problem, Problems, validate};
pub use walk::ItemError;
pub(crate) use walk::item_element;
