//! Registries: what one keeps.

pub(crate) mod repository;
