//! Pipeline languages: parse, check and plan. No IO.
