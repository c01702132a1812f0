//! The variable `authorizer` of admission policies: questions of who may do what, asked from
//! within an expression.
//!
//! Expressions are evaluated in one go, and answers may take time. So an expression that asks what
//! is not known yet fails, the question is noted, and with its answer the expression is evaluated
//! again: see [`with_answers`]. The values that an expression handles on the way are maps with
//! keys that no field has.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use kube_cel::cel::extractors::This;
use kube_cel::cel::objects::{Key, Map};
use kube_cel::cel::{Context, ExecutionError, Value};

use crate::auth::{Action, User};

/// The name of the variable.
pub const VARIABLE: &str = "authorizer";

/// What the keys of this module's values begin with.
const MARK: char = '@';

/// A question that an expression asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The service account that it is about; nothing for the user of the request.
    pub account: Option<(String, String)>,
    /// What they would do.
    pub action: Action,
}

impl Question {
    /// Returns whom the question is about, where `user` makes the request.
    pub fn user(&self, user: &User) -> User {
        match &self.account {
            Some((namespace, name)) => User::service_account(namespace, name),
            None => user.clone(),
        }
    }
}

/// What a question was answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// They may.
    pub allowed: bool,
    /// Why.
    pub reason: String,
    /// Why there is no answer.
    pub error: Option<String>,
}

/// The answers that are known, and the questions that are not answered yet.
#[derive(Default)]
struct Known {
    answers: Vec<(Question, Answer)>,
    open: Vec<Question>,
}

thread_local! {
    static KNOWN: RefCell<Known> = RefCell::default();
}

/// Evaluates something with answers; returns its value and the questions that were not among them.
pub fn with_answers<T>(
    answers: Vec<(Question, Answer)>,
    evaluate: impl FnOnce() -> T,
) -> (T, Vec<Question>) {
    KNOWN.with_borrow_mut(|known| *known = Known { answers, open: Vec::new() });
    let value = evaluate();
    let known = KNOWN.take();
    (value, known.open)
}

/// Returns the variable's value for a request about a resource.
pub fn value(request: &serde_json::Value) -> Value {
    let resource = &request["resource"];
    let text = |value: &serde_json::Value| value.as_str().unwrap_or("").to_owned();
    let own = [
        ("@group", text(&resource["group"])),
        ("@resource", text(&resource["resource"])),
        ("@version", text(&resource["version"])),
        ("@subresource", text(&request["subResource"])),
        ("@namespace", text(&request["namespace"])),
        ("@name", text(&request["name"])),
    ];
    let own = own.into_iter().map(|(key, text)| (key.to_owned(), Value::from(text)));
    map([("@asks".to_owned(), Value::Bool(true)), ("requestResource".to_owned(), map(own))])
}

/// Adds the functions of the variable.
pub(super) fn register(context: &mut Context<'_>) {
    for (function, key) in [
        ("group", "@group"),
        ("resource", "@resource"),
        ("subresource", "@subresource"),
        ("namespace", "@namespace"),
        ("name", "@name"),
        ("path", "@path"),
        // Roles do not look at selectors, so neither does the answer.
        ("fieldSelector", "@fields"),
        ("labelSelector", "@labels"),
    ] {
        context.add_function(function, move |This(this): This<Value>, text: Arc<String>| {
            with(function, &this, &[(key, text)])
        });
    }
    context.add_function(
        "serviceAccount",
        |This(this): This<Value>, namespace: Arc<String>, name: Arc<String>| {
            with("serviceAccount", &this, &[("@space", namespace), ("@account", name)])
        },
    );
    context.add_function("check", |This(this): This<Value>, verb: Arc<String>| check(&this, &verb));
    for (function, key) in [
        ("allowed", "@allowed"),
        ("reason", "@reason"),
        ("errored", "@errored"),
        ("error", "@error"),
    ] {
        context.add_function(function, move |This(this): This<Value>| {
            get(&this, key).ok_or_else(|| overload(function))
        });
    }
}

/// Returns a value of this module with more in it.
fn with(
    function: &str,
    this: &Value,
    more: &[(&str, Arc<String>)],
) -> Result<Value, ExecutionError> {
    let Value::Map(fields) = this else { return Err(overload(function)) };
    let marked = |key: &Key| matches!(key, Key::String(key) if key.starts_with(MARK));
    if !fields.map.keys().any(marked) {
        return Err(overload(function));
    }
    let mut fields = HashMap::clone(&fields.map);
    for (key, text) in more {
        fields.insert(Key::from((*key).to_owned()), Value::String(Arc::clone(text)));
    }
    Ok(Value::Map(Map { map: Arc::new(fields) }))
}

fn check(this: &Value, verb: &str) -> Result<Value, ExecutionError> {
    let text = |key: &str| match get(this, key) {
        Some(Value::String(text)) => Some(String::clone(&text)),
        _ => None,
    };
    let (path, resource) = (text("@path"), text("@resource"));
    if path.is_none() && resource.is_none() {
        return Err(overload("check"));
    }
    let part = |key: &str| text(key).unwrap_or_default();
    let mut action = Action { verb: verb.to_owned(), ..Action::default() };
    match path {
        Some(path) => action.path = path,
        None => {
            action.group = part("@group");
            action.version = text("@version").unwrap_or_else(|| "*".to_owned());
            action.resource = resource.unwrap_or_default();
            action.subresource = part("@subresource");
            action.namespace = part("@namespace");
            action.name = part("@name");
        }
    }
    let account = text("@account").map(|name| (part("@space"), name));
    let question = Question { account, action };
    KNOWN.with_borrow_mut(|known| {
        let found = known.answers.iter().find(|(asked, _)| *asked == question);
        if let Some((_, answer)) = found {
            return Ok(decision(answer));
        }
        if !known.open.contains(&question) {
            known.open.push(question);
        }
        Err(ExecutionError::function_error("check", "not answered yet"))
    })
}

fn decision(answer: &Answer) -> Value {
    map([
        ("@allowed".to_owned(), Value::Bool(answer.allowed)),
        ("@reason".to_owned(), Value::from(answer.reason.clone())),
        ("@errored".to_owned(), Value::Bool(answer.error.is_some())),
        ("@error".to_owned(), Value::from(answer.error.clone().unwrap_or_default())),
    ])
}

fn map(fields: impl IntoIterator<Item = (String, Value)>) -> Value {
    let map = fields.into_iter().map(|(key, value)| (Key::from(key), value)).collect();
    Value::Map(Map { map: Arc::new(map) })
}

fn get(value: &Value, key: &str) -> Option<Value> {
    let Value::Map(fields) = value else { return None };
    fields.map.get(&Key::from(key.to_owned())).cloned()
}

fn overload(function: &str) -> ExecutionError {
    ExecutionError::function_error(function, "no such overload")
}
