//! Resources that are answered and never stored: access reviews.

use serde_json::Value;

use crate::call::Call;
use crate::status::{Result, Status};

/// Answers the creation of such an object.
pub(crate) async fn answer(_call: &mut Call, _body: Value) -> Result<Value> {
    Err(Status::no_such_path())
}
