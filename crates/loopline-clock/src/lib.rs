//! Time, identifiers and randomness: real, or scripted by a test.
