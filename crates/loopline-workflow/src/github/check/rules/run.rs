//! Runs all rules over one workflow.

use loopline_source::FileTree;

use super::configuration::Configuration;
use super::{
    actions, commands, concurrency, conditions, credentials, environment_names, events,
    expressions, globs, jobs, labels, matrices, parallel, permissions, reusable, schedules, shells,
};
use crate::github::check::checker::Options;
use crate::github::check::findings::Findings;
use crate::github::check::model::Workflow;

/// Checks everything in `workflow`.
pub(crate) fn workflow(
    workflow: &Workflow,
    tree: &dyn FileTree,
    configuration: &Configuration,
    options: &Options,
    findings: &mut Findings<'_>,
) {
    events::check(workflow, findings);
    globs::check(workflow, findings);
    schedules::check(workflow, findings);
    jobs::check(workflow, findings);
    matrices::check(workflow, findings);
    labels::check(workflow, configuration, options, findings);
    shells::check(workflow, findings);
    permissions::check(workflow, findings);
    environment_names::check(workflow, findings);
    credentials::check(workflow, findings);
    commands::check(workflow, findings);
    conditions::check(workflow, findings);
    concurrency::check(workflow, tree, findings);
    parallel::check(workflow, findings);
    actions::check(workflow, tree, findings);
    reusable::check(workflow, tree, findings);
    expressions::check(workflow, tree, configuration, findings);
}
