//! `/healthz`, `/readyz`.

use crate::machine::{Machine, until};

const ONE: &str = "[[service]]\nname = \"one\"\nkind = \"process\"\ncommand = [\"sleep\", \"600\"]\n";

#[test]
fn it_is_ready_when_all_services_were_looked_at_and_the_store_can_be_written() {
    let machine = Machine::start(ONE, &[]);
    assert_eq!(machine.get("/healthz").status, 200);
    until("ready", || (machine.get("/readyz").status == 200).then_some(()));
    assert_eq!(machine.get("/readyz").body, "ready\n");
}

#[test]
fn a_store_that_cannot_be_written_is_named() {
    let machine = Machine::start(ONE, &[]);
    until("ready", || (machine.get("/readyz").status == 200).then_some(()));
    // Somebody else holds the database: what is written waits for two seconds and fails.
    let other = rusqlite::Connection::open(machine.dir.path().join("state/services.db")).expect("opened");
    other.execute_batch("BEGIN IMMEDIATE").expect("locked");
    let answer = until("not ready", || {
        let answer = machine.get("/readyz");
        (answer.status == 503).then_some(answer)
    });
    assert!(answer.head.contains("application/problem+json"), "{}", answer.head);
    assert!(answer.body.contains("the store in the state folder cannot be written"), "{}", answer.body);
    assert_eq!(machine.get("/healthz").status, 200, "it lives all the same");
    other.execute_batch("ROLLBACK").expect("free");
    until("ready again", || (machine.get("/readyz").status == 200).then_some(()));
    let errors = machine.get("/metrics").body;
    assert!(!errors.contains("services_store_errors_total 0\n"), "{errors}");
}
