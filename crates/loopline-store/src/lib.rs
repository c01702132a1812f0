//! Run journals, blobs, caches and their retention, on disk.
