//! Tests of the Kubernetes kinds, one module a subject.

mod cases;
mod columns;
mod defaults;
mod guide;
mod invalid;
mod openapi;
mod pod_security;
mod protobuf;
mod resource;
mod structural;
mod types;
mod yaml;
