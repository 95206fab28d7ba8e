//! What the page and the plain API may ask: the server's side of [`Control`]. Every method takes the caller.

use super::fleet::{Fleet, adopted_service, service_name_for, vllm_template};
use super::task::Mail;
use crate::settings::{ContainerName, Kind, RuntimeChoice, ServiceConfig, Sourced};
use crate::store::Taken;
use app::api::{Answer, ApiError, Caller, Control, Need};
use app::model::{
    Host, Image, ImageVerb, Line, LogSummary, Origin, RuntimeKind, Service, ServiceKind, ServiceMetrics,
    ServiceName, Snapshot, State, Timestamp, Verb, Wish,
};
use std::sync::Arc;

/// The server's side of what the page asks. Shared, because adopting starts tasks.
pub struct FleetControl(pub Arc<Fleet>);

impl Control for FleetControl {
    fn snapshot(&self, _: &Caller, logs: Option<&ServiceName>) -> Snapshot {
        let now = Timestamp::now();
        let fleet = &self.0;
        Snapshot {
            server_version: env!("CARGO_PKG_VERSION").to_owned(),
            now,
            services: fleet.world.services().iter().map(|s| Fleet::dated(s, now)).collect(),
            gpus: fleet.world.gpus().to_vec(),
            images: fleet.world.images().iter().map(|i| Image::clone(i)).collect(),
            metrics: fleet.world.metrics().iter().map(|m| ServiceMetrics::clone(m)).collect(),
            host: Host::clone(&fleet.world.host()),
            logs: logs.and_then(|name| fleet.feed(name).map(|feed| feed.summary(name))),
        }
    }

    fn log_tail(
        &self,
        _: &Caller,
        service: &ServiceName,
        count: usize,
    ) -> Result<(LogSummary, Vec<Line>), ApiError> {
        let feed =
            self.0.feed(service).ok_or_else(|| ApiError::UnknownService { name: service.to_string() })?;
        let tail = feed.tail(count);
        let mut summary = feed.summary(service);
        // Lines may have come in between: the view goes on behind the last line that it shows.
        summary.last = tail.last().map_or(summary.last, |l| l.seq);
        Ok((summary, tail))
    }

    fn command(&self, caller: &Caller, service: &ServiceName, verb: Verb) -> Result<Service, ApiError> {
        caller.does(verb.as_str(), service.as_str(), "");
        caller.check(Need::Operate)?;
        let now = self.0.known(service)?;
        if matches!(now.state, State::Unreachable { .. }) {
            return Err(ApiError::Unreachable);
        }
        self.0.take(service, Taken::now(verb))?;
        let wish = if verb == Verb::Stop { Wish::Stopped } else { Wish::Running };
        Ok(Service { wish, ..Fleet::dated(&now, Timestamp::now()) })
    }

    fn objection<'a>(&'a self, _: &'a Caller, service: &'a ServiceName, verb: Verb) -> Answer<'a> {
        Box::pin(self.0.objection(service, verb))
    }

    fn apply_remedy(
        &self,
        caller: &Caller,
        service: &ServiceName,
        cause: &str,
        remedy: usize,
        value: &str,
    ) -> Result<(), ApiError> {
        caller.does("remedy", service.as_str(), format!("{cause}: {value}"));
        caller.check(Need::Administer)?;
        self.0.apply_remedy(service, cause, remedy, value, &caller.name)?;
        self.command(caller, service, Verb::Start).map(drop)
    }

    fn smoke_test(&self, caller: &Caller, service: &ServiceName) -> Result<(), ApiError> {
        caller.does("smoke-test", service.as_str(), "");
        caller.check(Need::Operate)?;
        let now = self.0.known(service)?;
        if !now.state.serves() || now.kind != ServiceKind::Vllm {
            return Err(ApiError::Stale);
        }
        self.0.send(service, Mail::Smoke)
    }

    fn image<'a>(
        &'a self,
        caller: &'a Caller,
        service: &'a ServiceName,
        verb: ImageVerb,
        confirmed: bool,
    ) -> Answer<'a> {
        Box::pin(async move {
            caller.does("image", service.as_str(), format!("{verb:?}").to_lowercase());
            let need = if verb == ImageVerb::Forget { Need::Administer } else { Need::Operate };
            caller.check(need)?;
            self.0.image(service, verb, confirmed).await
        })
    }

    fn auto_start<'a>(
        &'a self,
        caller: &'a Caller,
        service: &'a ServiceName,
        on: bool,
        take: bool,
    ) -> Answer<'a> {
        Box::pin(async move {
            let policy = if take { ", the container's own policy ended" } else { "" };
            caller.does("auto-start", service.as_str(), format!("{}{policy}", if on { "on" } else { "off" }));
            caller.check(Need::Administer)?;
            self.0.auto_start(service, on, take).await
        })
    }

    fn adopt(&self, caller: &Caller, container: &str) -> Result<ServiceName, ApiError> {
        caller.does("adopt", container.chars().take(80).collect::<String>(), "");
        caller.check(Need::Administer)?;
        let fleet = &self.0;
        let container = ContainerName::parse(container).map_err(|allowed| ApiError::BadName {
            detail: format!(
                "{:?} is not a container's name: {allowed}",
                container.chars().take(80).collect::<String>()
            ),
        })?;
        let unknown = || ApiError::NotACandidate { container: container.to_string() };
        if !fleet.world.host().candidates.iter().any(|c| c.container == container.as_str()) {
            return Err(unknown());
        }
        let adopted = Sourced { value: container.clone(), origin: Origin::Adopted };
        let mut posts = fleet.posts();
        if posts.values().any(|p| p.kind == RuntimeKind::Docker && p.config.container.value == container) {
            return Err(unknown());
        }
        // A service that has nothing yet takes it; otherwise it becomes a service of its own.
        let empty = posts
            .values()
            .find(|p| {
                let idle = fleet
                    .world
                    .service(&p.config.name)
                    .is_some_and(|s| s.container.is_none() && matches!(s.state, State::Stopped { .. }));
                let docker = matches!(p.config.runtime.value, RuntimeChoice::Auto | RuntimeChoice::Docker);
                let vllm = p.config.kind == Kind::Vllm;
                vllm && !p.config.container.is_explicit() && docker && (idle || p.kind == RuntimeKind::Demo)
            })
            .map(|p| p.config.name.clone());
        let config = match empty.as_ref().and_then(|name| posts.get(name)) {
            Some(post) => ServiceConfig { container: adopted, ..post.config.clone() },
            None => {
                let template = vllm_template(posts.values().map(|p| &p.config)).ok_or_else(unknown)?;
                let name = service_name_for(container.as_str())
                    .filter(|n| !posts.contains_key(n))
                    .ok_or_else(unknown)?;
                adopted_service(&template, name, adopted)
            }
        };
        let name = config.name.clone();
        if !fleet.store.set_adopted(&name, container.as_str()) {
            return Err(ApiError::Transport {
                detail: "the adoption could not be written to the state folder".to_owned(),
            });
        }
        let old = posts.remove(&name);
        // It is offered no more: a second click finds nothing to adopt.
        let others = fleet
            .world
            .host()
            .candidates
            .iter()
            .filter(|c| c.container != container.as_str())
            .cloned()
            .collect();
        fleet.world.put_found(Some(others), None);
        drop(posts);
        tokio::spawn(fleet.clone().adopt_into(config, old));
        Ok(name)
    }
}
