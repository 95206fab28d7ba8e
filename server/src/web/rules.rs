//! Which address needs what: every route is written down here when it is made, so that none is without its rule. What is not
//! written down is refused.

use super::Site;
use app::api::Need;
use axum::Router;
use axum::handler::Handler;
use axum::http::Method;
use axum::routing::{MethodRouter, on};
use std::collections::HashMap;
use std::sync::Arc;

/// What an address asks of those who come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// Nothing: whoever comes.
    Open,
    /// A role that may.
    Role(Need),
}

/// A rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What is needed.
    pub demand: Demand,
    /// What it changes, as the audit calls it; empty where it changes nothing.
    pub action: &'static str,
}

/// The server functions of the page, which share one address. What they do exactly is checked once more where it is done.
pub const FUNCTIONS: [(&str, Need, &str); 6] = [
    ("command", Need::Operate, "command"),
    ("smoke", Need::Operate, "smoke-test"),
    ("image", Need::Operate, "image"),
    ("remedy", Need::Administer, "remedy"),
    ("auto-start", Need::Administer, "auto-start"),
    ("adopt", Need::Administer, "adopt"),
];

/// Where they are.
pub const FUNCTIONS_AT: &str = "/api/fn/{function}";

/// All rules.
#[derive(Clone, Debug, Default)]
pub struct Rules(Arc<HashMap<(Method, &'static str), Rule>>);

impl Rules {
    /// The rule of a request: `route` is the pattern that its path matched. `None` is no leave.
    pub fn of(&self, method: &Method, route: &str, path: &str) -> Option<Rule> {
        if route == FUNCTIONS_AT && method == Method::POST {
            let name = path.rsplit('/').next().unwrap_or_default();
            let (_, need, action) = FUNCTIONS.into_iter().find(|(function, ..)| *function == name)?;
            return Some(Rule { demand: Demand::Role(need), action });
        }
        // Who may GET may HEAD.
        let method = if method == Method::HEAD { &Method::GET } else { method };
        self.0.iter().find(|((m, r), _)| m == method && *r == route).map(|(_, rule)| *rule)
    }

    /// All of them: method, pattern, rule.
    pub fn all(&self) -> impl Iterator<Item = (&Method, &'static str, Rule)> {
        self.0.iter().map(|((method, route), rule)| (method, *route, *rule))
    }
}

/// Routes in the making, each with its rule.
#[derive(Default)]
pub struct Routes {
    router: Router<Site>,
    rules: HashMap<(Method, &'static str), Rule>,
}

impl Routes {
    /// A page or an answer that changes nothing.
    pub fn get<H: Handler<T, Site>, T: 'static>(
        self,
        path: &'static str,
        demand: Demand,
        handler: H,
    ) -> Self {
        self.route(path, Method::GET, Rule { demand, action: "" }, axum::routing::get(handler))
    }

    /// A form or a command; `action` is what the audit calls it, empty where nothing is changed.
    pub fn post<H: Handler<T, Site>, T: 'static>(
        self,
        path: &'static str,
        demand: Demand,
        action: &'static str,
        handler: H,
    ) -> Self {
        let route = on(axum::routing::MethodFilter::POST, handler);
        self.route(path, Method::POST, Rule { demand, action }, route)
    }

    fn route(mut self, path: &'static str, method: Method, rule: Rule, route: MethodRouter<Site>) -> Self {
        self.rules.insert((method, path), rule);
        self.router = self.router.route(path, route);
        self
    }

    /// Other routes, too.
    pub fn and(mut self, other: Self) -> Self {
        self.rules.extend(other.rules);
        self.router = self.router.merge(other.router);
        self
    }

    /// Something around all routes so far.
    pub fn within(mut self, change: impl FnOnce(Router<Site>) -> Router<Site>) -> Self {
        self.router = change(self.router);
        self
    }

    /// The router and its rules.
    pub fn done(self) -> (Router<Site>, Rules) {
        (self.router, Rules(Arc::new(self.rules)))
    }
}
