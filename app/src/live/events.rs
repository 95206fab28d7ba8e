//! What the events of the stream do to the world.

use super::{Watched, World, watch};
use crate::model::{Gpu, Service, ServiceName, Snapshot};
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
        set_if_new(self.host, snapshot.host);
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

    /// One GPU changed.
    pub fn gpu(&self, gpu: Gpu) {
        self.gpus.update(|all| match all.iter_mut().find(|known| known.uuid == gpu.uuid) {
            Some(known) => *known = gpu,
            None => all.push(gpu),
        });
    }

    fn replace(&self, known: &Watched, service: Service) {
        let (same, same_word) = known.service.with_untracked(|old| {
            (*old == service, std::mem::discriminant(&old.state) == std::mem::discriminant(&service.state))
        });
        if !same_word {
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
