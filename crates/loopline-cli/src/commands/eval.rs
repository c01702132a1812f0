//! `loopline eval`: an expression as a workflow would evaluate it.

use std::collections::BTreeMap;
use std::sync::Arc;

use loopline_clock::Clock;
use loopline_runner::hash_files::hash_files;
use loopline_store::FolderTree;
use loopline_workflow::github::expression::{
    EvalError, ParseOptions, Scope, Value, evaluate_traced, from_json_text, parse, to_json_text,
};
use serde_json::json;

use super::{Context, Outcome};
use crate::arguments::EvalArguments;
use crate::error::{CommandError, Status};

/// Contexts from a file.
struct Given {
    contexts: BTreeMap<String, Value>,
    root: std::path::PathBuf,
}

impl Scope for Given {
    fn context(&self, name: &str) -> Option<Value> {
        let found = self.contexts.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.clone())
    }

    fn function(&self, name: &str, arguments: &[Value]) -> Option<Result<Value, EvalError>> {
        match name.to_ascii_lowercase().as_str() {
            "always" | "success" => Some(Ok(Value::Bool(true))),
            "failure" | "cancelled" => Some(Ok(Value::Bool(false))),
            "hashfiles" => {
                let patterns: Vec<_> = arguments.iter().map(Value::to_text).collect();
                let hashed = hash_files(&patterns, &self.root, &self.root, &Clock::real());
                Some(hashed.map(Value::from).map_err(|error| EvalError::Function(Arc::new(error))))
            }
            _ => None,
        }
    }
}

pub(crate) fn run(context: &Context<'_>, arguments: &EvalArguments) -> Outcome {
    let printer = context.printer;
    let text = arguments.expression.trim();
    let text =
        text.strip_prefix("${{").and_then(|rest| rest.strip_suffix("}}")).map_or(text, str::trim);
    let root = FolderTree::new(&std::env::current_dir()?)?.root().to_path_buf();
    let contexts = match &arguments.contexts {
        Some(path) => match from_json_text(&fs_err::read_to_string(path)?) {
            Ok(Value::Object(object)) => {
                object.iter().map(|(name, value)| (name.to_string(), value.clone())).collect()
            }
            Ok(_) => {
                let message = format!("{} does not hold a JSON object", path.display());
                return Err(CommandError::usage(message)
                    .hint(r#"write contexts by name: {"github": {"ref": "refs/heads/main"}}"#));
            }
            Err(error) => {
                return Err(CommandError::usage(format!("{}: {error}", path.display())));
            }
        },
        None => super::run::contexts_here(&root)?,
    };
    let expression = parse(text, &ParseOptions::syntax_only())
        .map_err(|error| CommandError::usage(error.to_string()))?;
    let (result, trace) = evaluate_traced(&expression, &Given { contexts, root });
    if arguments.trace && !printer.json {
        for step in &trace.steps {
            printer.err(&format!("{}{step}", "  ".repeat(step.depth)));
        }
    }
    let value = result
        .map_err(|error| CommandError::new(crate::error::Class::Failed, error.to_string()))?;
    if printer.json {
        printer.json(&json!({
            "schema": "loopline.eval/v1",
            "kind": value.kind().name(),
            "value": value.to_json(),
            "text": value.to_text(),
            "trace": trace.steps.iter().map(ToString::to_string).collect::<Vec<_>>(),
        }));
        return Ok(Status::Ok);
    }
    match &value {
        Value::Array(_) | Value::Object(_) => printer.out(&to_json_text(&value)),
        value => printer.out(&value.to_text()),
    }
    Ok(Status::Ok)
}
