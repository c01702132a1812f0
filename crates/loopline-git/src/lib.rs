//! Reads repositories, fetches remotes, checks out trees.
