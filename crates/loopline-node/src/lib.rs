//! What runs on this machine: containers by name, with their images, volumes and files, and the
//! builds of images.
//!
//! [`Builder`] builds images from Dockerfiles. [`options`] makes a container's specification out of
//! an image and what was asked for, [`record`] is what is kept of one, and [`Containers`] keeps and
//! finds them in a folder:
//!
//! ```text
//! containers/ID/container.json   what it was made of
//! containers/ID/state.json       how it goes, written by its supervisor
//! containers/ID/log.ndjson       what it printed
//! containers/ID/upper, work      what it wrote
//! volumes/NAME                   named volumes
//! ```

mod build;
mod containers;
mod names;
mod options;
mod record;
mod volumes;

pub use build::{BuildError, BuildRequest, Builder, Built, Progress};
pub use containers::{Containers, NodeError};
pub use options::{Options, Volume, VolumeSource};
pub use record::{Found, Record};
