//! Tests of the pipeline languages, one module a subject.

mod check;
