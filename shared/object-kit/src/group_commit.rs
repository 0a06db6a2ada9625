//! A FIFO critical section with group commit: the only lock in the project.
//!
//! The first to arrive is decided at once and then waits until its writes are durable. Whoever arrives meanwhile queues;
//! when the wait is over, one of them decides for all of them together. Deciding is one synchronous turn, so nothing is
//! locked while it runs; what the group commit saves is a durable write per request under load.
//!
//! A request may vanish at any await. Its place as leader then passes on, answers it owes are still given, and whoever
//! vanished before its group was decided is not decided at all.

use std::{cell::RefCell, collections::VecDeque, future::Future, rc::Rc};

use futures::channel::oneshot;

/// At most this many requests are decided in one turn, so that one turn stays short.
const GROUP: usize = 64;

/// Groups requests of type `J` and answers each with an `R`. See the module.
pub struct GroupCommit<J, R> {
    line: Rc<RefCell<Line<J, R>>>,
}

struct Line<J, R> {
    /// Somebody holds the lead.
    taken: bool,
    waiting: VecDeque<Waiting<J, R>>,
}

struct Waiting<J, R> {
    job: J,
    call: oneshot::Sender<Call<J, R>>,
}

/// What somebody in the queue hears.
enum Call<J, R> {
    /// Decide your own job, and those of everybody behind you.
    Lead(J, Leader<J, R>),
    /// Somebody else decided.
    Answer(R),
}

enum Place<J, R> {
    First(J, Leader<J, R>),
    Queued(oneshot::Receiver<Call<J, R>>),
}

impl<J, R> Default for GroupCommit<J, R> {
    fn default() -> Self {
        let line = Line { taken: false, waiting: VecDeque::new() };
        Self { line: Rc::new(RefCell::new(line)) }
    }
}

impl<J, R> GroupCommit<J, R> {
    /// Has `job` decided, alone or in a group, and returns its answer once `settle` of that group is over. `decide` gives
    /// one answer per job, in order. `None` when it gave too few.
    pub async fn pass<F: Future<Output = ()>>(
        &self,
        job: J,
        decide: impl Fn(Vec<J>) -> Vec<R>,
        settle: impl FnOnce() -> F,
    ) -> Option<R> {
        let (job, lead) = match self.enter(job) {
            Place::First(job, lead) => (job, lead),
            Place::Queued(call) => match call.await.ok()? {
                Call::Lead(job, lead) => (job, lead),
                Call::Answer(answer) => return Some(answer),
            },
        };
        let (jobs, calls) = lead.group(job);
        let mut answers = decide(jobs).into_iter();
        let own = answers.next();
        let owed = Owed { answers: calls.into_iter().zip(answers).collect(), lead };
        settle().await;
        drop(owed);
        own
    }

    fn enter(&self, job: J) -> Place<J, R> {
        let mut line = self.line.borrow_mut();
        if line.taken {
            let (call, called) = oneshot::channel();
            line.waiting.push_back(Waiting { job, call });
            return Place::Queued(called);
        }
        line.taken = true;
        Place::First(job, Leader(Some(Rc::clone(&self.line))))
    }
}

/// The right to decide. Passes on when dropped.
struct Leader<J, R>(Option<Rc<RefCell<Line<J, R>>>>);

impl<J, R> Leader<J, R> {
    /// The group that `job` leads: its jobs, and the callers behind all but the first.
    fn group(&self, job: J) -> (Vec<J>, Vec<oneshot::Sender<Call<J, R>>>) {
        let (mut jobs, mut calls) = (vec![job], Vec::new());
        let Some(line) = &self.0 else { return (jobs, calls) };
        let mut line = line.borrow_mut();
        while jobs.len() < GROUP
            && let Some(next) = line.waiting.pop_front()
        {
            if !next.call.is_canceled() {
                jobs.push(next.job);
                calls.push(next.call);
            }
        }
        (jobs, calls)
    }
}

impl<J, R> Drop for Leader<J, R> {
    fn drop(&mut self) {
        let Some(line) = self.0.take() else { return };
        loop {
            let next = line.borrow_mut().waiting.pop_front();
            let Some(next) = next else {
                line.borrow_mut().taken = false;
                return;
            };
            let lead = Self(Some(Rc::clone(&line)));
            match next.call.send(Call::Lead(next.job, lead)) {
                Ok(()) => return,
                // It vanished. This loop looks for the next one, so the unheard lead must not.
                Err(Call::Lead(_, mut unheard)) => drop(unheard.0.take()),
                Err(Call::Answer(_)) => {}
            }
        }
    }
}

/// Answers decided and not yet given; given when dropped, before the lead passes on.
struct Owed<J, R> {
    answers: Vec<(oneshot::Sender<Call<J, R>>, R)>,
    #[expect(dead_code, reason = "held for its drop")]
    lead: Leader<J, R>,
}

impl<J, R> Drop for Owed<J, R> {
    fn drop(&mut self) {
        for (call, answer) in self.answers.drain(..) {
            // Whoever is gone does not miss the answer: it is durable, a repeated request finds it.
            drop(call.send(Call::Answer(answer)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        cell::{Cell, RefCell},
        future::{Future, poll_fn},
        rc::Rc,
        task::{Poll, Waker},
    };

    use tern_testkit::{Executor, executor::TaskId};

    use super::{GROUP, GroupCommit};

    /// A disk that syncs when told to, and remembers the groups decided before.
    #[derive(Default)]
    struct Disk {
        groups: RefCell<Vec<Vec<u32>>>,
        syncs: Cell<usize>,
        allowed: Cell<usize>,
        wakers: RefCell<Vec<Waker>>,
    }

    impl Disk {
        fn decide(&self, jobs: Vec<u32>) -> Vec<u32> {
            self.groups.borrow_mut().push(jobs.clone());
            jobs.into_iter().map(|job| job * 10).collect()
        }

        fn synced(self: &Rc<Self>) -> impl Future<Output = ()> + 'static {
            let disk = Rc::clone(self);
            let ticket = disk.syncs.get() + 1;
            disk.syncs.set(ticket);
            poll_fn(move |context| {
                if ticket <= disk.allowed.get() {
                    return Poll::Ready(());
                }
                disk.wakers.borrow_mut().push(context.waker().clone());
                Poll::Pending
            })
        }
    }

    #[derive(Default)]
    struct Scene {
        executor: Executor,
        group_commit: Rc<GroupCommit<u32, u32>>,
        disk: Rc<Disk>,
        answers: Rc<RefCell<Vec<u32>>>,
    }

    impl Scene {
        fn arrive(&self, job: u32) -> TaskId {
            let (group_commit, disk) = (Rc::clone(&self.group_commit), Rc::clone(&self.disk));
            let answers = Rc::clone(&self.answers);
            let id = self.executor.spawn(Box::pin(async move {
                let answer = group_commit.pass(job, |jobs| disk.decide(jobs), || disk.synced()).await;
                answers.borrow_mut().extend(answer);
            }));
            self.executor.settle();
            id
        }

        fn sync(&self, times: usize) {
            self.disk.allowed.set(self.disk.allowed.get() + times);
            self.disk.wakers.take().into_iter().for_each(Waker::wake);
            self.executor.settle();
        }

        fn groups(&self) -> Vec<Vec<u32>> {
            self.disk.groups.borrow().clone()
        }

        fn answers(&self) -> Vec<u32> {
            let mut answers = self.answers.borrow().clone();
            answers.sort_unstable();
            answers
        }
    }

    #[test]
    fn those_who_arrive_during_a_commit_are_one_group_in_order() {
        let scene = Scene::default();
        for job in 1..=5 {
            scene.arrive(job);
        }
        assert_eq!(scene.groups(), [vec![1]]);
        assert!(scene.answers().is_empty(), "nothing is answered before it is durable");
        scene.sync(1);
        assert_eq!(scene.groups(), [vec![1], vec![2, 3, 4, 5]]);
        assert_eq!(scene.answers(), [10]);
        scene.sync(1);
        assert_eq!(scene.answers(), [10, 20, 30, 40, 50]);
        scene.arrive(6);
        assert_eq!(scene.groups().last(), Some(&vec![6]), "an empty group_commit decides at once");
    }

    #[test]
    fn a_group_is_bounded() {
        let scene = Scene::default();
        for job in 0..=u32::try_from(GROUP).unwrap() + 3 {
            scene.arrive(job);
        }
        scene.sync(3);
        let sizes: Vec<_> = scene.groups().iter().map(Vec::len).collect();
        assert_eq!(sizes, [1, GROUP, 3]);
        assert_eq!(scene.answers().len(), GROUP + 4);
    }

    #[test]
    fn a_vanished_leader_passes_the_lead_and_the_vanished_are_not_decided() {
        let scene = Scene::default();
        let tasks: Vec<_> = (1..=4).map(|job| scene.arrive(job)).collect();
        scene.executor.kill(tasks[1]);
        scene.executor.kill(tasks[0]);
        // 3 has been called to lead, and vanishes before it hears of it.
        scene.executor.kill(tasks[2]);
        scene.executor.settle();
        assert_eq!(scene.groups(), [vec![1], vec![4]]);
        scene.sync(2);
        assert_eq!(scene.answers(), [40]);
    }

    #[test]
    fn a_leader_that_vanishes_while_syncing_still_gives_the_answers_it_owes() {
        let scene = Scene::default();
        let tasks: Vec<_> = (1..=3).map(|job| scene.arrive(job)).collect();
        scene.sync(1);
        assert_eq!(scene.groups(), [vec![1], vec![2, 3]]);
        scene.executor.kill(tasks[1]);
        scene.executor.settle();
        assert_eq!(scene.answers(), [10, 30]);
        scene.arrive(5);
        assert_eq!(scene.groups().last(), Some(&vec![5]), "the group commit is free again");
    }
}
