//! Tasks run in an order that repeats.

use std::{cell::RefCell, rc::Rc};

use tern_testkit::{
    SeededEntropy,
    executor::{Executor, yield_once},
};

fn order(executor: &Executor) -> Vec<u8> {
    let seen = Rc::new(RefCell::new(Vec::new()));
    for name in 0..6_u8 {
        let seen = Rc::clone(&seen);
        executor.spawn(Box::pin(async move {
            yield_once().await;
            seen.borrow_mut().push(name);
        }));
    }
    executor.settle();
    assert_eq!(executor.pending(), 0);
    seen.take()
}

#[test]
fn plain_order_is_first_in_first_out_and_a_seed_repeats_its_own() {
    assert_eq!(order(&Executor::new()), [0, 1, 2, 3, 4, 5]);
    let seeded = |seed| order(&Executor::shuffled(SeededEntropy::new(seed)));
    assert_eq!(seeded(7), seeded(7));
    assert!((0..20).any(|seed| seeded(seed) != [0, 1, 2, 3, 4, 5]));
}

#[test]
#[should_panic(expected = "no task will bring")]
fn a_stuck_future_fails_instead_of_hanging() {
    Executor::new().run(std::future::pending::<()>());
}

#[test]
fn a_killed_task_never_runs_again() {
    let executor = Executor::new();
    let ran = Rc::new(RefCell::new(0));
    let counter = Rc::clone(&ran);
    let id = executor.spawn(Box::pin(async move {
        yield_once().await;
        *counter.borrow_mut() += 1;
    }));
    executor.step();
    executor.kill(id);
    executor.settle();
    assert_eq!((*ran.borrow(), executor.pending()), (0, 0));
}
