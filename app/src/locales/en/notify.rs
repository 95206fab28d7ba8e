//! Notifications in English.

use crate::locales::gib_tenths;
use crate::locales::notify::NotifyWords;

fn plural(n: u64, one: &str, more: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { more })
}

/// The words.
pub const NOTIFY: NotifyWords = NotifyWords {
    failed: |title| format!("{title} failed"),
    crash_loop: |title| format!("{title} keeps failing"),
    unresponsive: |title| format!("{title} does not answer"),
    unresponsive_text: "It runs, but its health check gets no answer.",
    recovered: |title| format!("{title} answers again"),
    recovered_text: "It is running.",
    memory_held: |title| format!("{title} was stopped, its GPU memory is not back"),
    disk_low: "The disk is nearly full",
    disk_low_text: |free, size, folder| {
        format!("{} of {} GiB are free at {folder}.", gib_tenths(free, '.'), gib_tenths(size, '.'))
    },
    logs_not_written: "Logs cannot be written",
    store_not_written: "What Services remembers cannot be written",
    test: "A test from Services",
    test_text: "If you can read this, notifications arrive here.",
    again_in: |seconds| format!("It is started again in {seconds} s."),
    gives_up: |failures, minutes| {
        let times = plural(failures.into(), "time", "times");
        format!("It failed {times} within {minutes} min and is not started again.")
    },
    while_away: "It failed while Services did not run.",
    more: |count, minutes| {
        format!("This happened {} more within {minutes} min.", plural(count, "time", "times"))
    },
    now: |state| format!("Now: {state}."),
    dropped: |count| format!("{} before this one could not be sent.", plural(count, "message", "messages")),
    title: "Notifications",
    no_targets: "No targets. Add [[notify]] to services.toml, or set SERVICES_NOTIFY_URL.",
    target: "Target",
    floor: |level| format!("from {level}"),
    last: "Last message",
    never: "none yet",
    sent: "sent",
    not_sent: |why| format!("not sent: {why}"),
    waiting: |count| format!("{} waiting", plural(count, "message", "messages")),
    signed: "signed",
    send_test: "Test",
    test_sent: |name| format!("{name}: the test was sent."),
    test_not_sent: |name, why| format!("{name}: the test was not sent: {why}."),
    browser: "In this browser",
    browser_on: "Notify me in this browser",
    browser_off: "Stop notifying me in this browser",
    browser_denied: "This browser was told not to show notifications of this page; its settings can change that.",
    browser_insecure: "This browser shows notifications only of pages over HTTPS or on this very machine (localhost).",
    browser_no_script: "Notifications of the browser need JavaScript.",
};
