//! The environment of a step's process: which variable wins, and which are always set.
//!
//! From weakest to strongest: the machine's own, the workflow's and the job's `env` together
//! with what steps wrote to `GITHUB_ENV` (later beats earlier), the step's `env`, then the
//! variables that belong to the runner and cannot be changed. `CI` is the only default a file
//! may override. Names, order and blocked ones are those of GitHub's runner.

use indexmap::IndexMap;

/// Variables by name, in the order in which they were first set.
pub(crate) type Variables = IndexMap<String, String>;

/// The search path of a machine that has none.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Returns whether steps may not set `name` through `GITHUB_ENV`.
pub(crate) fn is_blocked(name: &str) -> bool {
    name.eq_ignore_ascii_case("NODE_OPTIONS")
}

/// The variables of a job as they stand between two steps.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layers {
    /// What the machine gives every process.
    pub(crate) machine: std::sync::Arc<Variables>,
    /// The `env` context without the step's own: workflow, job, `GITHUB_ENV`.
    pub(crate) shared: Variables,
    /// Folders put before `PATH`, the newest last.
    pub(crate) path: Vec<String>,
}

impl Layers {
    /// Adds a folder to the search path; one that is there already moves to the front.
    pub(crate) fn prepend_path(&mut self, folder: &str) {
        self.path.retain(|known| known != folder);
        self.path.push(folder.to_owned());
    }

    /// Returns the search path for a process whose `env` context is `context`.
    pub(crate) fn search_path(&self, context: &Variables) -> String {
        let base = context
            .get("PATH")
            .or_else(|| self.machine.get("PATH"))
            .map_or(DEFAULT_PATH, String::as_str);
        let mut path = String::with_capacity(base.len() + self.path.len() * 32);
        for folder in self.path.iter().rev() {
            path.push_str(folder);
            path.push(':');
        }
        path.push_str(base);
        path
    }

    /// Returns everything a process gets: `context` is the whole `env` context of the step,
    /// `own` is what belongs to the runner.
    pub(crate) fn process<'a>(
        &self,
        context: &Variables,
        own: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Variables {
        let mut all =
            Variables::with_capacity(self.machine.len() + context.len() + 48 + self.path.len());
        all.extend(self.machine.iter().map(|(name, value)| (name.clone(), value.clone())));
        all.insert("CI".to_owned(), "true".to_owned());
        all.extend(context.iter().map(|(name, value)| (name.clone(), value.clone())));
        all.insert("PATH".to_owned(), self.search_path(context));
        all.insert("GITHUB_ACTIONS".to_owned(), "true".to_owned());
        all.extend(own.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
        all
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> Variables {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn later_layers_win_and_the_runner_has_the_last_word() {
        let mut layers = Layers {
            machine: Arc::new(variables(&[("HOME", "/h"), ("PATH", "/bin"), ("A", "machine")])),
            ..Layers::default()
        };
        layers.prepend_path("/one");
        layers.prepend_path("/two");
        layers.prepend_path("/one");
        let context = variables(&[("A", "step"), ("CI", "no"), ("GITHUB_SHA", "forged")]);
        let all = layers.process(&context, [("GITHUB_SHA", "abc")]);
        for (name, value) in [
            ("HOME", "/h"),
            ("PATH", "/one:/two:/bin"),
            ("A", "step"),
            ("CI", "no"),
            ("GITHUB_SHA", "abc"),
            ("GITHUB_ACTIONS", "true"),
        ] {
            assert_eq!(all.get(name).map(String::as_str), Some(value), "{name}");
        }
        assert_eq!(layers.search_path(&variables(&[("PATH", "/own")])), "/one:/two:/own");
        assert_eq!(Layers::default().search_path(&Variables::new()), DEFAULT_PATH);
        assert!(is_blocked("node_options"));
    }
}
