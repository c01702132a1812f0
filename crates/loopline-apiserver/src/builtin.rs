//! The steps of admission that every server has, in their order.

use crate::admission::Admission;

/// Returns the built-in steps.
pub(crate) fn admission() -> Vec<Box<dyn Admission>> {
    Vec::new()
}
