//! Certificates, and the one way connections are encrypted: rustls with ring.
//!
//! An [`Authority`] lives in a folder and issues certificates; [`server_config`] makes of one what
//! a listener needs, [`client_config`] what a client does; [`Subject`] says whom a client's certificate names. Files that hold keys are
//! written by [`write_private`] and checked by [`read_private`].

mod authority;
mod client;
mod private;
mod request;
mod server;
mod subject;

pub use authority::{Authority, AuthorityError, Identity};
pub use client::{ClientError, Trust, client_config};
pub use private::{PrivateError, read_private, write_private};
pub use request::{Names, Request};
pub use rustls;
pub use server::{server_config, server_config_of_files};
pub use subject::Subject;
