//! What the events of the stream do to the world.

use super::{Watched, World, watch};
use crate::model::{Image, Service, ServiceMetrics, ServiceName, Snapshot};
use leptos::prelude::*;

impl World {
    /// Replaces everything.
    pub fn snapshot(&self, snapshot: Snapshot) {
        let known = self.services.get_untracked();
        let same = known.len() == snapshot.services.len()
            && known.iter().zip(&snapshot.services).all(|(a, b)| a.name == b.name);
        if same {
            for service in snapshot.services {
                self.service(service);
            }
        } else {
            let services = snapshot.services.into_iter().map(|service| {
                let old = known.iter().find(|w| w.name == service.name).cloned();
                if let Some(old) = old {
                    self.replace(&old, service);
                    old
                } else {
                    watch(service)
                }
            });
            self.services.set(services.collect());
        }
        set_if_new(self.gpus, snapshot.gpus);
        set_if_new(self.images, snapshot.images);
        set_if_new(self.host, snapshot.host);
        set_if_new(self.metrics, snapshot.metrics);
    }

    /// A service counted.
    pub fn counted(&self, new: ServiceMetrics) {
        self.metrics.update(|all| match all.iter_mut().find(|m| m.service == new.service) {
            Some(old) => old.go_on(new),
            None => {
                let mut first = ServiceMetrics { service: new.service.clone(), latest: None, history: None };
                first.go_on(new);
                all.push(first);
            }
        });
    }

    /// An image changed, or came.
    pub fn image(&self, image: Image) {
        self.images.update(|all| match all.iter_mut().find(|i| i.reference == image.reference) {
            Some(old) => *old = image,
            None => all.push(image),
        });
    }

    /// A service changed, or came.
    pub fn service(&self, service: Service) {
        let known = self.services.with_untracked(|all| all.iter().find(|w| w.name == service.name).cloned());
        match known {
            Some(known) => self.replace(&known, service),
            None => self.services.update(|all| all.push(watch(service))),
        }
    }

    /// A service is gone.
    pub fn removed(&self, name: &ServiceName) {
        self.services.update(|all| all.retain(|w| w.name != *name));
    }

    fn replace(&self, known: &Watched, service: Service) {
        let (same, same_word) = known.service.with_untracked(|old| {
            (*old == service, std::mem::discriminant(&old.state) == std::mem::discriminant(&service.state))
        });
        if !same_word {
            #[cfg(feature = "hydrate")]
            super::alert::changed(self, &service);
            self.announced.set((self.words.changed)(&service.title, (self.words.state)(&service.state)));
        }
        if !same {
            known.service.set(service);
        }
    }
}

/// Sets a signal unless it holds this already.
pub fn set_if_new<T: PartialEq + Send + Sync + 'static>(signal: RwSignal<T>, value: T) {
    if signal.with_untracked(|old| *old != value) {
        signal.set(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{State, Timestamp};
    use crate::tests::{boot, service};

    #[test]
    fn a_change_of_state_is_announced_and_the_rest_is_not() {
        Owner::new().with(|| {
            let world = World::new(&boot(vec![service("vllm")]));
            let mut changed = service("vllm");
            changed.model = Some("lydia".to_owned());
            world.service(changed.clone());
            assert_eq!(world.announced.get_untracked(), "");
            changed.state = State::Running { since: Timestamp::from_millis(0) };
            world.service(changed.clone());
            assert_eq!(world.announced.get_untracked(), "vLLM: Running");
            let held = world.services.get_untracked();
            assert_eq!(held[0].service.get_untracked(), changed);
        });
    }

    #[test]
    fn what_is_counted_goes_on_from_what_is_held() {
        Owner::new().with(|| {
            let world = World::new(&boot(vec![service("vllm")]));
            let name = service("vllm").name;
            let empty = ServiceMetrics { service: name, latest: None, history: None };
            world.counted(empty.clone());
            world.counted(empty.clone());
            assert_eq!(world.metrics.get_untracked(), [empty]);
        });
    }

    #[test]
    fn an_image_takes_the_place_of_its_older_self() {
        Owner::new().with(|| {
            let world = World::new(&boot(vec![service("vllm")]));
            let image = Image { reference: "a/b:c".to_owned(), local: None, pull: None, newer: None };
            world.image(image.clone());
            let checked = Image { newer: Some(crate::model::Newer::Checking), ..image };
            world.image(checked.clone());
            assert_eq!(world.images.get_untracked(), [checked]);
        });
    }

    #[test]
    fn a_snapshot_keeps_the_signal_of_a_service_that_stays() {
        Owner::new().with(|| {
            let world = World::new(&boot(vec![service("vllm"), service("other")]));
            let held = world.services.get_untracked()[0].service.clone();
            let mut snapshot = boot(vec![service("new"), service("vllm")]).snapshot;
            snapshot.services[1].model = Some("lydia".to_owned());
            world.snapshot(snapshot);
            let names: Vec<_> = world.services.get_untracked().iter().map(|w| w.name.to_string()).collect();
            assert_eq!(names, ["new", "vllm"]);
            assert_eq!(held.get_untracked().model.as_deref(), Some("lydia"));
            world.removed(&held.get_untracked().name);
            assert_eq!(world.services.get_untracked().len(), 1);
        });
    }
}
