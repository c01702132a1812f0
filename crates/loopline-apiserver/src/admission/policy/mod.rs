//! Admission policies: rules as expressions (`ValidatingAdmissionPolicy`), and changes as
//! expressions (`MutatingAdmissionPolicy`), with the bindings that put them to use.

mod bound;
mod check;
mod evaluation;
mod mutating;
mod validating;

pub(crate) use mutating::Mutating;
pub(crate) use validating::Validating;

/// The group of policies.
const GROUP: &str = "admissionregistration.k8s.io";
