//! Which contexts and functions an expression may use, and the check that it does not use others.

use super::error::ErrorKind;
use crate::github::expression::{self, FunctionInfo, ParseOptions};

/// The contexts and functions allowed in one place.
#[derive(Clone, Debug)]
pub struct Allowed {
    /// Context names.
    pub contexts: Vec<String>,
    /// Functions beside those allowed everywhere.
    pub functions: Vec<FunctionInfo>,
    /// The same for the parser.
    options: ParseOptions,
}

/// Nothing but the functions allowed everywhere.
impl Default for Allowed {
    fn default() -> Self {
        let options = ParseOptions::only::<&str>([], []);
        Self { contexts: Vec::new(), functions: Vec::new(), options }
    }
}

impl Allowed {
    /// Returns this with the schema's `items` added, each a context or `name(min,max)`.
    #[must_use]
    pub fn with(&self, items: &[String]) -> Self {
        let mut result = self.clone();
        for item in items {
            match function(item) {
                Some(function) => {
                    let known =
                        |other: &FunctionInfo| other.name.eq_ignore_ascii_case(&function.name);
                    if !result.functions.iter().any(known) {
                        result.functions.push(function);
                    }
                }
                None => {
                    if !result.contexts.iter().any(|other| other.eq_ignore_ascii_case(item)) {
                        result.contexts.push(item.clone());
                    }
                }
            }
        }
        result.options = ParseOptions::only(
            result.contexts.iter().map(String::as_str),
            result.functions.iter().cloned(),
        );
        result
    }

    /// Returns whether nothing is allowed: the place takes no expressions.
    pub fn is_empty(&self) -> bool {
        self.contexts.is_empty() && self.functions.is_empty()
    }
}

fn function(item: &str) -> Option<FunctionInfo> {
    let (name, arguments) = item.strip_suffix(')')?.split_once('(')?;
    let (minimum, maximum) = arguments.split_once(',')?;
    let maximum = if maximum == "MAX" { usize::MAX } else { maximum.parse().ok()? };
    Some(FunctionInfo { name: name.into(), minimum: minimum.parse().ok()?, maximum })
}

/// What a check found out on the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Whether `success`, `failure`, `cancelled` or `always` is called.
    pub calls_status_function: bool,
}

impl Allowed {
    /// Checks that `text` is an expression that uses nothing else.
    ///
    /// # Errors
    /// Returns what is wrong with it.
    pub fn check(&self, text: &str) -> Result<Checked, ErrorKind> {
        let expression = expression::parse(text, &self.options).map_err(ErrorKind::Expression)?;
        Ok(Checked { calls_status_function: expression::calls_status_function(&expression) })
    }
}
