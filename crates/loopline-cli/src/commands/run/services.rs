//! The artifact and cache servers of one run's jobs.

use std::sync::Arc;

use loopline_clock::Clock;
use loopline_runner::host::{Folders, HostError, JobServices, Services};
use loopline_runner::services::disk::Disk;
use loopline_runner::services::storage::CacheScope;
use loopline_runner::services::{Server, Session};
use loopline_sandbox::Machine;
use loopline_workflow::run::{Event, JobKey, Recorder};

/// Starts a server for each job that asks for one.
pub(crate) struct JobServers {
    pub(crate) run: String,
    pub(crate) scope: CacheScope,
    pub(crate) disk: Arc<Disk>,
    pub(crate) clock: Clock,
    pub(crate) recorder: Arc<dyn Recorder>,
}

impl Services for JobServers {
    fn start(
        &self,
        job: &JobKey,
        machine: &Arc<dyn Machine>,
        _folders: &Folders,
    ) -> Result<JobServices, HostError> {
        let (recorder, key) = (Arc::clone(&self.recorder), job.clone());
        let server = Server::start(
            machine.listen()?,
            Session {
                run: self.run.clone(),
                job: job.as_str().to_owned(),
                scope: self.scope.clone(),
                artifacts: Arc::clone(&self.disk) as _,
                caches: Arc::clone(&self.disk) as _,
                clock: self.clock.clone(),
                on_stored: Arc::new(move |artifact| {
                    recorder.event(&Event::ArtifactStored {
                        job: key.clone(),
                        name: artifact.name.clone(),
                        size_bytes: artifact.size_bytes,
                        digest: artifact.digest.clone(),
                    });
                }),
            },
        )?;
        Ok(JobServices {
            variables: server.variables(),
            secrets: vec![server.token().to_owned()],
            guard: Some(Box::new(server)),
        })
    }
}
