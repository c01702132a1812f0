//! A Kubernetes-compatible API server: requests in, objects in the store, events out.
