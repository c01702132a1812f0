//! What `steps.NAME.outputs` holds, by the action that the step runs.

use loopline_source::FileTree;

use super::{action_table, actions};
use crate::github::check::expression::Type;
use crate::github::check::model::{Action, Step};

/// Returns the type of the outputs of `step`.
pub(super) fn outputs(step: &Step, tree: &dyn FileTree) -> Type {
    let Action::Uses { uses, .. } = &step.action else { return Type::map(Type::String) };
    let value = &*uses.value;
    let known = if value.starts_with("./") {
        actions::local(value, tree).and_then(|interface| interface.outputs)
    } else {
        action_table::interface(value).and_then(|interface| interface.outputs.clone())
    };
    match known {
        Some(names) => Type::strict(names.iter().map(|name| (name.to_lowercase(), Type::String))),
        None => Type::loose(),
    }
}
