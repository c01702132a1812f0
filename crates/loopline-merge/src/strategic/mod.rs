//! Strategic merge patch: merge patch that knows which lists are merged, and by which key.
//!
//! The algorithms are those of apimachinery's `strategicpatch`. The rules of a field come from
//! [`crate::Type::patch_strategy`].

mod apply;
mod diff;
mod directive;
mod order;

pub use apply::apply;
pub use diff::{three_way, two_way};
pub use directive::Error;
