//! The steps of admission that every server has, in their order.

use crate::admission::Admission;
use crate::admission::namespace::NamespaceLifecycle;
use crate::auth::Escalation;

/// Returns the built-in steps.
pub(crate) fn admission() -> Vec<Box<dyn Admission>> {
    vec![Box::new(NamespaceLifecycle), Box::new(Escalation)]
}
