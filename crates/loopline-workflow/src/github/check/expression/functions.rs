//! The functions of the expression language: what they take and give.

use super::types::Type;

/// One form of a function.
pub(crate) struct Signature {
    pub(crate) parameters: Vec<Type>,
    /// Whether the last parameter may be given more than once.
    pub(crate) repeats: bool,
    pub(crate) result: Type,
}

/// The names as they are written.
pub(crate) const NAMES: &[&str] = &[
    "always",
    "cancelled",
    "case",
    "contains",
    "endsWith",
    "failure",
    "format",
    "fromJSON",
    "hashFiles",
    "join",
    "startsWith",
    "success",
    "toJSON",
];

/// Functions that only some keys allow.
pub(crate) const SPECIAL: &[&str] = &["always", "cancelled", "failure", "hashfiles", "success"];

fn form(parameters: &[Type], repeats: bool, result: Type) -> Signature {
    Signature { parameters: parameters.to_vec(), repeats, result }
}

/// Returns the forms of the function called `name` in lowercase; none, if there is no such one.
pub(crate) fn signatures(name: &str) -> Vec<Signature> {
    use Type::{Any, Boolean, String};
    match name {
        "contains" => vec![
            form(&[String, String], false, Boolean),
            form(&[Type::array(Any), Any], false, Boolean),
        ],
        "startswith" | "endswith" => vec![form(&[String, String], false, Boolean)],
        "format" => vec![form(&[String], false, String), form(&[String, Any], true, String)],
        "join" => vec![
            form(&[Type::array(String), String], false, String),
            form(&[String, String], false, String),
            form(&[Type::array(String)], false, String),
            form(&[String], false, String),
        ],
        "tojson" => vec![form(&[Any], false, String)],
        "fromjson" => vec![form(&[String], false, Any)],
        "hashfiles" => vec![form(&[String], true, String)],
        "always" | "cancelled" => vec![form(&[], false, Boolean)],
        "success" | "failure" => vec![form(&[], false, Boolean)],
        "case" => vec![form(&[Boolean, Any, Any], true, Any)],
        _ => Vec::new(),
    }
}
