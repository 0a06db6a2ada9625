//! A single-threaded executor that is the same every time.

use std::{
    cell::{Cell, RefCell},
    future::Future,
    pin::Pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use futures::future::LocalBoxFuture;

use crate::SeededEntropy;

/// Names a task; zero is none.
pub type TaskId = u64;

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Task {
    id: TaskId,
    ready: Arc<Flag>,
    work: LocalBoxFuture<'static, ()>,
}

#[derive(Default)]
struct Inner {
    tasks: RefCell<Vec<Task>>,
    last_id: Cell<TaskId>,
    running: Cell<TaskId>,
    killed: Cell<bool>,
    shuffle: RefCell<Option<SeededEntropy>>,
    before: RefCell<Option<Rc<dyn Fn()>>>,
}

/// Runs tasks one step at a time: the ready task that was spawned first, or one drawn from a seed. Clones share the
/// tasks.
#[derive(Clone, Default)]
pub struct Executor(Rc<Inner>);

impl Executor {
    /// Takes ready tasks in the order in which they were spawned.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes ready tasks in an order drawn from `entropy`.
    pub fn shuffled(entropy: SeededEntropy) -> Self {
        let executor = Self::default();
        executor.0.shuffle.replace(Some(entropy));
        executor
    }

    /// Adds a task.
    pub fn spawn(&self, work: LocalBoxFuture<'static, ()>) -> TaskId {
        let id = self.0.last_id.get() + 1;
        self.0.last_id.set(id);
        let ready = Arc::new(Flag(AtomicBool::new(true)));
        self.0.tasks.borrow_mut().push(Task { id, ready, work });
        id
    }

    /// Drops a task where it stands, as a reset of its object does. A task may end itself this way at its next step.
    pub fn kill(&self, id: TaskId) {
        if self.0.running.get() == id {
            self.0.killed.set(true);
        }
        // The dropped future may touch the list in its destructors, hence outside the borrow.
        let position = self.0.tasks.borrow().iter().position(|task| task.id == id);
        let task = position.map(|position| self.0.tasks.borrow_mut().remove(position));
        drop(task);
    }

    /// Calls `hook` before each step; it may kill tasks.
    pub fn before_each_step(&self, hook: impl Fn() + 'static) {
        self.0.before.replace(Some(Rc::new(hook)));
    }

    /// The task has not ended.
    pub fn has(&self, id: TaskId) -> bool {
        self.0.running.get() == id || self.0.tasks.borrow().iter().any(|task| task.id == id)
    }

    /// How many tasks have not ended.
    pub fn pending(&self) -> usize {
        self.0.tasks.borrow().len()
    }

    /// Runs one step of one ready task; false when none is ready.
    pub fn step(&self) -> bool {
        let hook = self.0.before.borrow().clone();
        if let Some(hook) = hook {
            hook();
        }
        let Some(mut task) = self.take_ready() else { return false };
        task.ready.0.store(false, Ordering::Relaxed);
        let waker = Waker::from(Arc::clone(&task.ready));
        let outer = self.0.running.replace(task.id);
        let polled = task.work.as_mut().poll(&mut Context::from_waker(&waker));
        self.0.running.set(outer);
        let killed = self.0.killed.replace(false);
        if polled.is_pending() && !killed {
            self.0.tasks.borrow_mut().push(task);
        }
        true
    }

    /// Runs until no task is ready.
    pub fn settle(&self) {
        while self.step() {}
    }

    /// Runs `work` and whatever else is ready until `work` is done.
    ///
    /// # Panics
    /// When `work` waits for something that no task will bring.
    pub fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.run_with(work, || false)
    }

    /// As [`Executor::run`]; when nothing is ready, `idle` may make something ready (move time on) and answer true.
    ///
    /// # Panics
    /// When nothing is ready and `idle` answers false.
    pub fn run_with<T>(&self, work: impl Future<Output = T>, mut idle: impl FnMut() -> bool) -> T {
        let mut work: Pin<Box<dyn Future<Output = T>>> = Box::pin(work);
        let ready = Arc::new(Flag(AtomicBool::new(true)));
        let waker = Waker::from(Arc::clone(&ready));
        loop {
            if ready.0.swap(false, Ordering::Relaxed)
                && let Poll::Ready(value) = work.as_mut().poll(&mut Context::from_waker(&waker))
            {
                return value;
            }
            let progress = self.step() || ready.0.load(Ordering::Relaxed) || idle();
            assert!(progress, "the future waits for something that no task will bring");
        }
    }

    fn take_ready(&self) -> Option<Task> {
        let mut tasks = self.0.tasks.borrow_mut();
        let ready = |task: &Task| task.ready.0.load(Ordering::Relaxed);
        let count = tasks.iter().filter(|task| ready(task)).count();
        let nth = self.0.shuffle.borrow().as_ref().map_or(0, |entropy| entropy.below(count));
        let mut candidates = tasks.iter().enumerate().filter(|(_, task)| ready(task)).map(|(index, _)| index);
        let index = candidates.nth(nth)?;
        drop(candidates);
        Some(tasks.remove(index))
    }
}

/// Resolves at the second poll: one turn of the loop later.
pub fn yield_once() -> impl Future<Output = ()> {
    let mut yielded = false;
    std::future::poll_fn(move |context| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
}
