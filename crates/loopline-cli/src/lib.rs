//! The commands and the printer.
