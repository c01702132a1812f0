//! What a webhook answered.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::status::Status;

/// The most bytes of a warning.
const MAX_WARNING_BYTES: usize = 256;

/// The most bytes of all warnings of one webhook.
const MAX_WARNINGS_BYTES: usize = 4096;

/// An answer that was read.
#[derive(Debug)]
pub(super) struct Response {
    /// The refusal, where there is one.
    pub(super) denied: Option<Status>,
    /// The JSON patch.
    pub(super) patch: Option<Value>,
    /// What the client is told.
    pub(super) warnings: Vec<String>,
}

impl Response {
    /// Reads the answer of the webhook `name` to the review `uid`.
    pub(super) fn read(
        name: &str,
        version: &str,
        uid: &str,
        mutating: bool,
        answer: &Value,
    ) -> Result<Self, String> {
        let wanted = format!("admission.k8s.io/{version}");
        if answer["apiVersion"] != *wanted || answer["kind"] != "AdmissionReview" {
            return Err(format!(
                "expected webhook response of admission.k8s.io/{version}, Kind=AdmissionReview, \
                 got {}, Kind={}",
                answer["apiVersion"].as_str().unwrap_or(""),
                answer["kind"].as_str().unwrap_or("")
            ));
        }
        let response = &answer["response"];
        if response.is_null() {
            return Err("webhook response was absent".to_owned());
        }
        let found = response["uid"].as_str().unwrap_or("");
        if found != uid {
            return Err(format!("expected response.uid={uid:?}, got {found:?}"));
        }
        let warnings = warnings(&response["warnings"]);
        if response["allowed"].as_bool() != Some(true) {
            let denied = Some(denied(name, &response["status"]));
            return Ok(Self { denied, patch: None, warnings });
        }
        let patch = response["patch"].as_str().unwrap_or("");
        let kind = response["patchType"].as_str().unwrap_or("");
        let patch = match (mutating, patch.is_empty(), kind) {
            (_, true, "") => None,
            (false, _, _) => {
                return Err("webhook response patch is not allowed here".to_owned());
            }
            (true, true, _) => {
                return Err("webhook returned response.patchType but not response.patch".to_owned());
            }
            (true, false, "JSONPatch") => Some(decode(patch)?),
            (true, false, "") => {
                return Err("webhook returned response.patch but not response.patchType".to_owned());
            }
            (true, false, other) => {
                return Err(format!("webhook returned invalid response.patchType of {other:?}"));
            }
        };
        Ok(Self { denied: None, patch, warnings })
    }
}

fn decode(patch: &str) -> Result<Value, String> {
    let bytes = STANDARD.decode(patch).map_err(|error| format!("response.patch: {error}"))?;
    serde_json::from_slice(&bytes).map_err(|error| format!("response.patch: {error}"))
}

/// Returns the refusal, in the webhook's words.
fn denied(name: &str, status: &Value) -> Status {
    let by = format!("admission webhook {name:?} denied the request");
    let text = |field: &str| status[field].as_str().unwrap_or("");
    let message = match (text("message"), text("reason")) {
        ("", "") => format!("{by} without explanation"),
        ("", reason) => format!("{by}: {reason}"),
        (message, _) => format!("{by}: {message}"),
    };
    let code = status["code"].as_u64().and_then(|code| u16::try_from(code).ok()).unwrap_or(0);
    let code = if (400..600).contains(&code) { code } else { 400 };
    let mut refusal = Status::new(code, "", message);
    refusal.reason = Cow::Owned(text("reason").to_owned());
    refusal
}

/// Returns the warnings, cut to what a header may carry.
fn warnings(list: &Value) -> Vec<String> {
    let mut left = MAX_WARNINGS_BYTES;
    let mut cut = Vec::new();
    for warning in list.as_array().into_iter().flatten().filter_map(Value::as_str) {
        let mut end = warning.len().min(MAX_WARNING_BYTES).min(left);
        while !warning.is_char_boundary(end) {
            end -= 1;
        }
        left -= end;
        if end > 0 {
            cut.push(warning[..end].to_owned());
        }
    }
    cut
}
