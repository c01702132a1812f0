//! Images beside the tools that made them: tar, umoci, skopeo, overlayfs itself.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
#![expect(clippy::disallowed_methods, reason = "other programs are what these tests compare with")]

mod archives;
mod fuzz;
mod layers;
mod registry;
mod store;
mod support;
mod tar;
