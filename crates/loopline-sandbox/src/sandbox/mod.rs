//! The sandbox executor: fresh namespaces over a copy-on-write view of the host.

mod remote;

pub(crate) use remote::Remote;
