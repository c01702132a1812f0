//! Durations, sizes, cron expressions, globs and versions, as the file formats write them.
