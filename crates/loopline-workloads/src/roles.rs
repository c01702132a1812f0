//! Cluster roles that are put together from others by their labels (`aggregationRule`): their
//! `rules` are written, so that whoever reads a role sees what it allows.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};
use kube::api::{Patch, PatchParams};
use kube::core::{Selector, SelectorExt as _};
use kube::runtime::controller::Action;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::{Controller, watcher};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;

/// How long is waited after a failure.
const RETRY: Duration = Duration::from_millis(500);

/// Who manages the rules that are written.
const MANAGER: &str = "clusterrole-aggregation-controller";

struct Context {
    roles: Api<ClusterRole>,
    known: Store<ClusterRole>,
}

/// Writes the rules of aggregated roles; never ends.
pub(crate) async fn run(client: Client) {
    let roles: Api<ClusterRole> = Api::all(client);
    let controller = Controller::new(roles.clone(), watcher::Config::default());
    let known = controller.store();
    let context = Arc::new(Context { roles: roles.clone(), known: known.clone() });
    controller
        // Any role may be a part of any aggregated one.
        .watches(roles, watcher::Config::default(), move |_| {
            let aggregated = known.state().into_iter().filter(|role| is_aggregated(role));
            aggregated.map(|role| ObjectRef::from_obj(&*role)).collect::<Vec<_>>()
        })
        .run(reconcile, |_, _, _| Action::requeue(RETRY), context)
        // What failed is told by its retry; there is nobody to tell else.
        .for_each(|_| std::future::ready(()))
        .await;
}

async fn reconcile(role: Arc<ClusterRole>, context: Arc<Context>) -> kube::Result<Action> {
    if !is_aggregated(&role) || role.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let rules = collect(&role, context.known.state());
    if rules != role.rules.clone().unwrap_or_default() {
        let wanted = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": role.name_any()},
            "rules": rules,
        });
        let parameters = PatchParams::apply(MANAGER).force();
        context.roles.patch(&role.name_any(), &parameters, &Patch::Apply(wanted)).await?;
    }
    Ok(Action::await_change())
}

fn is_aggregated(role: &ClusterRole) -> bool {
    role.aggregation_rule.is_some()
}

/// Returns the rules of all roles that a role is made of, each rule once: the selectors in their
/// order, and the roles of each by name.
fn collect(role: &ClusterRole, mut all: Vec<Arc<ClusterRole>>) -> Vec<PolicyRule> {
    all.sort_by_key(|one| one.name_any());
    let selectors =
        role.aggregation_rule.as_ref().and_then(|rule| rule.cluster_role_selectors.clone());
    let mut rules: Vec<PolicyRule> = Vec::new();
    for selector in selectors.unwrap_or_default() {
        // A selector that cannot be read selects nothing.
        let Ok(selector) = Selector::try_from(selector) else { continue };
        let matching = all
            .iter()
            .filter(|one| one.name_any() != role.name_any() && selector.matches(one.labels()));
        for rule in matching.flat_map(|one| one.rules.iter().flatten()) {
            if !rules.contains(rule) {
                rules.push(rule.clone());
            }
        }
    }
    rules
}
