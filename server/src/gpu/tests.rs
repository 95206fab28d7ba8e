//! The watch loop, with a driver and an audience of the tests' own.

use super::*;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;
use tokio::sync::Notify;

const QUICK: Pace = Pace {
    interval: Duration::from_millis(5),
    retry: Duration::from_secs(3600),
    limit: Duration::from_millis(60),
    keep: Duration::from_millis(40),
};

#[derive(Default)]
struct Hall {
    people: AtomicUsize,
    came: Notify,
    shown: Mutex<Vec<Reading>>,
}

impl Hall {
    fn enter(&self) {
        self.people.fetch_add(1, Ordering::SeqCst);
        self.came.notify_waiters();
    }

    fn leave(&self) {
        self.people.fetch_sub(1, Ordering::SeqCst);
    }

    fn last(&self) -> Option<Reading> {
        self.shown.lock().expect("whole").last().cloned()
    }
}

impl Audience for Arc<Hall> {
    fn looks(&self) -> bool {
        self.people.load(Ordering::SeqCst) > 0
    }

    async fn wait(&self) {
        loop {
            let came = self.came.notified();
            if self.looks() {
                return;
            }
            came.await;
        }
    }

    fn owners(&self) -> Vec<Owner> {
        Vec::new()
    }

    fn show(&self, reading: Reading) {
        self.shown.lock().expect("whole").push(reading);
    }
}

/// What the driver does and has been asked.
#[derive(Default)]
struct Driver {
    reads: AtomicUsize,
    closes: AtomicUsize,
    threads: AtomicUsize,
    most_threads: AtomicUsize,
    hangs: AtomicBool,
    dies: AtomicBool,
    missing: AtomicBool,
}

struct Asked(Arc<Driver>);

impl Source for Asked {
    fn read(&mut self, _: &[Owner]) -> Reading {
        let now = self.0.threads.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.most_threads.fetch_max(now, Ordering::SeqCst);
        self.0.reads.fetch_add(1, Ordering::SeqCst);
        while self.0.hangs.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.0.threads.fetch_sub(1, Ordering::SeqCst);
        assert!(!self.0.dies.load(Ordering::SeqCst), "as the test wants");
        let status = if self.0.missing.load(Ordering::SeqCst) { GpuStatus::NoDriver } else { GpuStatus::Ok };
        Reading { gpus: Vec::new(), status }
    }

    fn close(&mut self) {
        self.0.closes.fetch_add(1, Ordering::SeqCst);
    }
}

struct Stage {
    hall: Arc<Hall>,
    driver: Arc<Driver>,
    task: tokio::task::JoinHandle<()>,
}

impl Stage {
    fn open(driver: Driver) -> Self {
        let (hall, driver) = (Arc::new(Hall::default()), Arc::new(driver));
        let (for_hall, for_driver) = (hall.clone(), driver.clone());
        let task = tokio::spawn(async move {
            keep_reading(&for_hall, || Asked(for_driver.clone()), QUICK).await;
        });
        Self { hall, driver, task }
    }

    fn reads(&self) -> usize {
        self.driver.reads.load(Ordering::SeqCst)
    }

    fn closes(&self) -> usize {
        self.driver.closes.load(Ordering::SeqCst)
    }

    async fn until(&self, what: &str, done: impl Fn(&Self) -> bool) {
        let end = Instant::now() + Duration::from_secs(20);
        while !done(self) {
            assert!(Instant::now() < end, "not in time: {what}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.driver.hangs.store(false, Ordering::SeqCst);
        self.task.abort();
    }
}

async fn a_while() {
    tokio::time::sleep(Duration::from_millis(150)).await;
}

#[tokio::test]
async fn with_nobody_looking_it_is_read_once_and_then_closed() {
    let stage = Stage::open(Driver::default());
    stage.until("closed", |s| s.closes() == 1).await;
    a_while().await;
    assert_eq!((stage.reads(), stage.closes()), (1, 1));
    assert_eq!(stage.hall.last().map(|r| r.status), Some(GpuStatus::Ok));
}

#[tokio::test]
async fn it_is_read_while_somebody_looks_and_not_afterwards() {
    let stage = Stage::open(Driver::default());
    stage.hall.enter();
    stage.until("read again and again", |s| s.reads() > 5).await;
    assert_eq!(stage.closes(), 0);
    stage.hall.leave();
    stage.until("closed", |s| s.closes() == 1).await;
    let reads = stage.reads();
    a_while().await;
    assert_eq!((stage.reads(), stage.closes()), (reads, 1));
    stage.hall.enter();
    stage.until("read again", |s| s.reads() > reads + 2).await;
}

#[tokio::test]
async fn a_hung_driver_is_said_once_and_holds_one_thread_until_it_answers() {
    let stage = Stage::open(Driver { hangs: AtomicBool::new(true), ..Driver::default() });
    stage.hall.enter();
    let hung = |s: &Stage| matches!(s.hall.last(), Some(Reading { status: GpuStatus::Error { .. }, .. }));
    stage.until("said", hung).await;
    a_while().await;
    assert_eq!(stage.reads(), 1);
    assert_eq!(stage.hall.shown.lock().expect("whole").len(), 1);
    stage.driver.hangs.store(false, Ordering::SeqCst);
    stage.until("well again", |s| s.reads() > 3).await;
    assert_eq!(stage.hall.last().map(|r| r.status), Some(GpuStatus::Ok));
    assert_eq!(stage.driver.most_threads.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_thread_that_dies_is_said_and_not_repeated_at_once() {
    let stage = Stage::open(Driver { dies: AtomicBool::new(true), ..Driver::default() });
    stage.hall.enter();
    stage.until("said", |s| s.hall.last().is_some()).await;
    a_while().await;
    assert!(matches!(stage.hall.last(), Some(Reading { status: GpuStatus::Error { .. }, .. })));
    assert_eq!(stage.reads(), 1);
}

#[tokio::test]
async fn where_there_is_nothing_it_is_asked_again_only_after_the_long_wait() {
    let stage = Stage::open(Driver { missing: AtomicBool::new(true), ..Driver::default() });
    stage.hall.enter();
    stage.until("said", |s| s.hall.last().is_some()).await;
    a_while().await;
    assert_eq!(stage.reads(), 1);
    assert_eq!(stage.hall.last().map(|r| r.status), Some(GpuStatus::NoDriver));
}

#[test]
fn a_watch_that_is_stopped_leaves_a_hung_driver_behind() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let driver = Arc::new(Driver { hangs: AtomicBool::new(true), ..Driver::default() });
    let begun = Instant::now();
    runtime.block_on(async {
        let (hall, driver) = (Arc::new(Hall::default()), driver.clone());
        let work = keep_reading(&hall, || Asked(driver.clone()), QUICK);
        let _ = tokio::time::timeout(Duration::from_millis(100), work).await;
    });
    drop(runtime);
    assert!(begun.elapsed() < Duration::from_secs(10));
    driver.hangs.store(false, Ordering::SeqCst);
}
