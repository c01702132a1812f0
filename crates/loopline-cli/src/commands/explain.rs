//! `loopline explain`: the page of a code.

use loopline_diagnostic::{RULES, find_rule};
use serde_json::json;

use super::{Context, Outcome};
use crate::arguments::ExplainArguments;
use crate::error::{CommandError, Status};

pub(crate) fn run(context: &Context<'_>, arguments: &ExplainArguments) -> Outcome {
    let printer = context.printer;
    let Some(code) = &arguments.code else {
        for rule in RULES {
            if printer.json {
                printer.json(&json!({
                    "schema": "loopline.rule/v1", "code": rule.code, "name": rule.name,
                }));
            } else {
                printer.out(&format!("{}  {}", rule.code, rule.name));
            }
        }
        return Ok(Status::Ok);
    };
    let rule = find_rule(code)
        .or_else(|| RULES.iter().copied().find(|rule| rule.name == code))
        .ok_or_else(|| {
            CommandError::usage(format!("there is no code `{code}`"))
                .hint("`loopline explain` lists all codes")
        })?;
    if printer.json {
        printer.json(&json!({
            "schema": "loopline.rule/v1",
            "code": rule.code,
            "name": rule.name,
            "page": rule.page,
        }));
    } else {
        printer.out(rule.page.trim_end());
    }
    Ok(Status::Ok)
}
