//! The server's clock, ticking in the browser: relative times must not depend on whose clock is right.

use super::World;
use crate::model::Timestamp;
use leptos::prelude::*;
use std::time::Duration;

fn browser_ms() -> i64 {
    js_sys::Date::now() as i64
}

/// Minutes east of UTC at a moment, where the browser is.
pub fn offset_minutes(millis: i64) -> i32 {
    -(js_sys::Date::new(&(millis as f64).into()).get_timezone_offset() as i32)
}

/// Keeps `World::now` at the server's time.
#[derive(Clone, Copy)]
pub struct Clock {
    world: World,
    ahead_ms: StoredValue<i64>,
}

impl Clock {
    /// Starts to tick, once a second.
    pub fn start(world: World) -> Self {
        let now = world.now.get_untracked().millis();
        let clock = Self { world, ahead_ms: StoredValue::new(now - browser_ms()) };
        world.offset_minutes.set(offset_minutes(now));
        if let Ok(handle) = set_interval_with_handle(move || clock.tick(), Duration::from_secs(1)) {
            on_cleanup(move || handle.clear());
        }
        clock
    }

    /// The server's time at a time of the browser.
    pub fn server_time(self, browser: f64) -> Timestamp {
        Timestamp::from_millis(browser as i64 + self.ahead_ms.try_get_value().unwrap_or(0))
    }

    /// The server has said what time it is.
    pub fn heard(self, now: Timestamp) {
        self.ahead_ms.try_set_value(now.millis() - browser_ms());
        self.tick();
    }

    fn tick(self) {
        if let Some(ahead) = self.ahead_ms.try_get_value() {
            self.world.now.try_set(Timestamp::from_millis(browser_ms() + ahead));
        }
    }
}
