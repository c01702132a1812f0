//! The options after the `?` of a path.

use crate::status::{Result, Status};

/// The options of a request, in the order in which they were given.
#[derive(Clone, Debug, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads `a=b&c=d`.
    pub fn parse(text: Option<&str>) -> Self {
        Self(
            text.map(|text| form_urlencoded::parse(text.as_bytes()).into_owned().collect())
                .unwrap_or_default(),
        )
    }

    /// Returns the first value of an option that is not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next().filter(|value| !value.is_empty())
    }

    /// Returns all values of an option.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| &**value)
    }

    /// Returns whether an option is true.
    ///
    /// # Errors
    /// 400 for a value that is no boolean.
    pub fn flag(&self, name: &str) -> Result<bool> {
        match self.all(name).next() {
            None => Ok(false),
            // What Go's `strconv.ParseBool` takes, and the bare name, which the API reads as true.
            Some("" | "1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(true),
            Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(false),
            Some(other) => Err(Status::bad_request(format!(
                "invalid value {other:?} for query parameter {name:?}: must be true or false"
            ))),
        }
    }

    /// Returns an option that is a number.
    ///
    /// # Errors
    /// 400 for a value that is none.
    pub fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>> {
        self.get(name)
            .map(|text| {
                text.parse().map_err(|_| {
                    Status::bad_request(format!(
                        "invalid value {text:?} for query parameter {name:?}: must be a number"
                    ))
                })
            })
            .transpose()
    }
}
