//! Tests of the Kubernetes kinds, one module a subject.

mod resource;
mod types;
