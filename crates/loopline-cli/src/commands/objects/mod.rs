//! Commands on objects of a Kubernetes API, small equivalents of kubectl's of the same names: the
//! same words mean the same, and the same lines are printed.

pub(crate) mod apply;
pub(crate) mod delete;
pub(crate) mod diff;
pub(crate) mod get;
pub(crate) mod wait;

mod output;
mod report;
mod select;
