//! Source files, spans, the YAML tree, and the FileTree through which engines see files.
