//! Images: a store of layers, archives, a registry client and a registry.
//!
//! - [`store`] keeps blobs, unpacked layers and names; what is used is leased, the rest collected.
//! - [`layer`] makes a folder of a layer and a layer of a folder, on [`tar`].
//! - [`archive`] takes in and writes what `docker save`, OCI tools and `tar` write.
//! - [`registry`] talks to registries and is one.
//!
//! A container or a build needs little of it:
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use loopline_image::store::Store;
//!
//! let store = Store::open("/data/images", loopline_clock::Clock::real())?;
//! let snapshot = store.snapshot(&"busybox:1.36".parse()?, None)?;
//! // Mount an overlay over them; `userxattr` where `snapshot.form` is `Form::User`.
//! let lower: Vec<_> = snapshot.lower_directories().collect();
//! snapshot.pin("container-0815")?; // until `store.unpin("container-0815")`
//! # drop(lower);
//! # Ok(())
//! # }
//! ```

pub mod archive;
pub mod digest;
pub mod document;
pub mod layer;
pub mod platform;
pub mod reference;
pub mod registry;
pub mod store;
pub mod tar;

pub use oci_spec::image::Descriptor;
