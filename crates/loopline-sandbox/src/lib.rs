//! Starts and ends processes, on the host or in a copy-on-write sandbox.
