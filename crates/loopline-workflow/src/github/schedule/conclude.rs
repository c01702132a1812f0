//! How legs, jobs, workflows and the run end, and what that sets going.

use std::collections::BTreeMap;

use super::action::{Action, ClaimId};
use super::evaluate::{Scenario, condition};
use super::leg::LegState;
use super::run::{InstanceId, LegId, NodeId, Run, Work};
use crate::run::{Conclusion, Place, Skip};

impl Run {
    /// Ends a leg that was never started.
    pub(super) fn conclude(
        &mut self,
        id: LegId,
        conclusion: Conclusion,
        error: String,
        place: Option<Place>,
    ) {
        let leg = &self.legs[id];
        if leg.state == LegState::Ended {
            return;
        }
        let tolerated = leg.tolerated && conclusion == Conclusion::Failure;
        self.actions.push(Action::Conclude {
            key: leg.key.clone(),
            name: leg.name.clone(),
            conclusion,
            tolerated,
            error,
            place,
        });
        self.nodes[self.legs[id].node].fresh = true;
        self.end_leg(id, conclusion, BTreeMap::new());
    }

    /// Ends a leg that is passed over.
    pub(super) fn skip_leg(&mut self, id: LegId, skip: Skip) {
        let leg = &self.legs[id];
        self.actions.push(Action::Skip { key: leg.key.clone(), name: leg.name.clone(), skip });
        self.end_leg(id, Conclusion::Skipped, BTreeMap::new());
    }

    /// Ends a job whose keys could not be evaluated, before it had legs.
    pub(super) fn fail_node(&mut self, id: NodeId, error: String, place: Option<Place>) {
        let (key, name) = (self.node_key(&self.nodes[id]), self.node_name(id));
        self.actions.push(Action::Conclude {
            key,
            name,
            conclusion: Conclusion::Failure,
            tolerated: false,
            error,
            place,
        });
        let node = &mut self.nodes[id];
        node.failed = true;
        node.fresh = true;
        self.end_node(id, Conclusion::Failure);
    }

    /// Ends a job that is not wanted.
    pub(super) fn skip_node(&mut self, id: NodeId, skip: Skip) {
        let (key, name) = (self.node_key(&self.nodes[id]), self.node_name(id));
        self.actions.push(Action::Skip { key, name, skip });
        self.end_node(id, Conclusion::Skipped);
    }

    /// The name of a job that has no legs yet: what it says literally, else its id.
    fn node_name(&self, id: NodeId) -> String {
        let node = &self.nodes[id];
        let instance = &self.instances[node.instance];
        let job = &instance.graph.workflow.jobs[node.job];
        let literal = job.name.as_str().filter(|name| !name.is_empty());
        format!("{}{}", instance.name_prefix, literal.unwrap_or(&job.id.value))
    }

    /// Ends a leg.
    pub(super) fn end_leg(
        &mut self,
        id: LegId,
        conclusion: Conclusion,
        outputs: BTreeMap<String, String>,
    ) {
        let leg = &mut self.legs[id];
        if leg.state == LegState::Ended {
            return;
        }
        let had_place = leg.state != LegState::Queued;
        leg.state = LegState::Ended;
        leg.start = None;
        leg.called = None;
        let tolerated = leg.tolerated && conclusion == Conclusion::Failure;
        let claim = leg.claim.take();
        let node_id = leg.node;
        self.release(claim);

        let node = &mut self.nodes[node_id];
        // What is empty was not set, and takes nothing away from what another leg set.
        node.outputs.extend(outputs.into_iter().filter(|(_, value)| !value.is_empty()));
        node.unfinished -= 1;
        if had_place {
            node.in_flight -= 1;
        }
        match conclusion {
            Conclusion::Failure if tolerated => node.succeeded = true,
            Conclusion::Failure => node.failed = true,
            Conclusion::Cancelled => node.cancelled = true,
            Conclusion::Success => node.succeeded = true,
            Conclusion::Skipped => {}
        }
        let stop =
            conclusion == Conclusion::Failure && !tolerated && node.fail_fast && !node.stopped;
        if node.unfinished == 0 {
            let result = if node.failed {
                Conclusion::Failure
            } else if node.cancelled {
                Conclusion::Cancelled
            } else if node.succeeded {
                Conclusion::Success
            } else {
                Conclusion::Skipped
            };
            self.end_node(node_id, result);
        } else if stop {
            self.stop_siblings(node_id, id);
        } else {
            self.work.push_back(Work::Fill(node_id));
        }
    }

    /// Cancels the other legs of a job that failed fast.
    fn stop_siblings(&mut self, id: NodeId, failed: LegId) {
        let reason = format!("`{}` failed, and `fail-fast` is on", self.legs[failed].key);
        let node = &mut self.nodes[id];
        node.stopped = true;
        node.queue.clear();
        for leg in node.legs.clone() {
            self.cancel_leg(leg, &reason);
        }
    }

    /// Cancels one leg: at once where it waits, on request where it runs.
    fn cancel_leg(&mut self, id: LegId, reason: &str) {
        match self.legs[id].state {
            LegState::Ended | LegState::Cancelling => {}
            LegState::Running => match self.legs[id].instance {
                Some(instance) => self.cancel_instance(instance, reason),
                None => {
                    self.legs[id].state = LegState::Cancelling;
                    let key = self.legs[id].key.clone();
                    self.actions.push(Action::Cancel { key, reason: reason.to_owned() });
                }
            },
            LegState::Queued
            | LegState::Preparing
            | LegState::AwaitsGroup
            | LegState::AwaitsApproval
            | LegState::AwaitsPlace => {
                self.conclude(id, Conclusion::Cancelled, reason.to_owned(), None);
            }
        }
    }

    /// Cancels a workflow that runs and all it calls. Jobs that have not been decided on are
    /// decided on with `cancelled()` true, in their turn.
    pub(super) fn cancel_instance(&mut self, id: InstanceId, reason: &str) {
        let instance = &mut self.instances[id];
        if instance.ended || instance.cancelled && instance.begun {
            return;
        }
        instance.cancelled = true;
        if !instance.begun {
            return self.end_unbegun(id, reason.to_owned());
        }
        let graph = std::sync::Arc::clone(&instance.graph);
        for node_id in instance.nodes.clone().into_iter().flatten() {
            let node = &self.nodes[node_id];
            if node.result.is_some() || node.legs.is_empty() {
                continue;
            }
            let mut contexts = self.instances[id].contexts.clone();
            contexts.needs = node.needs.clone();
            let scenario =
                Scenario { success: false, failure: node.ancestors.any_failed, cancelled: true };
            let job = &graph.workflow.jobs[node.job];
            // A condition that fails now held before; it does not keep the job alive.
            if condition(&job.condition, &contexts, scenario).is_ok_and(|verdict| verdict.holds) {
                continue;
            }
            self.nodes[node_id].stopped = true;
            self.nodes[node_id].queue.clear();
            for leg in self.nodes[node_id].legs.clone() {
                self.cancel_leg(leg, reason);
            }
        }
    }

    /// Ends a job: tells those that need it, and its workflow.
    fn end_node(&mut self, id: NodeId, result: Conclusion) {
        let node = &mut self.nodes[id];
        node.result = Some(result);
        let (instance_id, job) = (node.instance, node.job);
        let graph = std::sync::Arc::clone(&self.instances[instance_id].graph);
        for &dependant in &graph.dependants[job] {
            let Some(other) = self.instances[instance_id].nodes[dependant] else { continue };
            self.nodes[other].waiting -= 1;
            if self.nodes[other].waiting == 0 {
                self.work.push_back(Work::Decide(other));
            }
        }
        let instance = &mut self.instances[instance_id];
        instance.remaining -= 1;
        if instance.remaining == 0 {
            self.end_instance(instance_id);
        }
    }

    /// Ends a workflow whose jobs have all ended.
    pub(super) fn end_instance(&mut self, id: InstanceId) {
        let instance = &self.instances[id];
        let nodes = instance.nodes.iter().flatten().map(|node| &self.nodes[*node]);
        let (mut failed, mut stopped, mut succeeded, mut fresh) = (false, false, false, false);
        for node in nodes {
            failed |= node.result == Some(Conclusion::Failure);
            stopped |= node.result == Some(Conclusion::Cancelled);
            succeeded |= node.result == Some(Conclusion::Success);
            fresh |= node.fresh;
        }
        let conclusion = if failed {
            Conclusion::Failure
        } else if stopped || instance.cancelled {
            Conclusion::Cancelled
        } else if succeeded {
            Conclusion::Success
        } else {
            Conclusion::Skipped
        };
        if let Some(parent) = instance.parent {
            let node = self.legs[parent].node;
            self.nodes[node].fresh |= fresh;
        }
        match self.call_outputs(id) {
            Ok(outputs) => self.close_instance(id, conclusion, outputs, None),
            Err(error) => {
                self.end_failed(id, format!("evaluate the outputs of the called workflow: {error}"))
            }
        }
    }

    /// Ends a workflow whose own keys could not be evaluated.
    pub(super) fn end_failed(&mut self, id: InstanceId, error: String) {
        self.close_instance(id, Conclusion::Failure, BTreeMap::new(), Some(error));
    }

    /// Ends a workflow that was cancelled before it began.
    pub(super) fn end_unbegun(&mut self, id: InstanceId, reason: String) {
        self.close_instance(id, Conclusion::Cancelled, BTreeMap::new(), Some(reason));
    }

    fn close_instance(
        &mut self,
        id: InstanceId,
        conclusion: Conclusion,
        outputs: BTreeMap<String, String>,
        error: Option<String>,
    ) {
        let instance = &mut self.instances[id];
        if instance.ended {
            return;
        }
        instance.ended = true;
        let (claim, parent) = (instance.claim.take(), instance.parent);
        self.release(claim);
        match (parent, error) {
            (None, error) => {
                self.finished = true;
                self.actions.push(Action::Finished { conclusion, error });
            }
            (Some(leg), Some(error)) => self.conclude(leg, conclusion, error, None),
            (Some(leg), None) => {
                self.tell_called(leg, conclusion, &outputs);
                self.end_leg(leg, conclusion, outputs);
            }
        }
    }

    fn release(&mut self, claim: Option<ClaimId>) {
        if let Some(claim) = claim {
            self.claims[claim.0 as usize].open = false;
            self.actions.push(Action::Release { claim });
        }
    }
}
