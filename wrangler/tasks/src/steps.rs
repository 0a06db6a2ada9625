//! Named steps, one after the other; a failed one does not hide what the others would have said.

use std::process::ExitCode;

use anyhow::Result;

use crate::progress::{Stopwatch, say};

/// What became of a step.
enum Outcome {
    Passed,
    Failed,
    /// Another step it needs has failed.
    Skipped,
    /// It needs something this machine cannot have.
    Unavailable,
}

/// Runs steps and remembers their outcomes.
#[derive(Default)]
pub(crate) struct Steps {
    done: Vec<(String, Outcome, String)>,
}

impl Steps {
    /// Runs a step and tells whether it passed.
    pub(crate) fn run(&mut self, name: &str, step: impl FnOnce() -> Result<()>) -> bool {
        say(format_args!("── {name}"));
        let watch = Stopwatch::start();
        let result = step();
        let passed = result.is_ok();
        if let Err(error) = result {
            say(format_args!("{error:#}"));
        }
        self.finish(name, if passed { Outcome::Passed } else { Outcome::Failed }, &watch.spent().to_string());
        passed
    }

    /// A step that has no meaning because another one failed.
    pub(crate) fn skip(&mut self, name: &str, because: &str) {
        self.finish(name, Outcome::Skipped, because);
    }

    /// A step this machine cannot do; somebody should read that, but it is no defect of the code.
    pub(crate) fn unavailable(&mut self, name: &str, because: &str) {
        self.finish(name, Outcome::Unavailable, because);
    }

    fn finish(&mut self, name: &str, outcome: Outcome, note: &str) {
        say(line(name, &outcome, note));
        self.done.push((name.to_owned(), outcome, note.to_owned()));
    }

    /// Prints the table of all steps and the count, and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        println!();
        for (name, outcome, note) in &self.done {
            println!("{}", line(name, outcome, note));
        }
        let count = |counts: fn(&Outcome) -> bool| self.done.iter().filter(|(_, outcome, _)| counts(outcome)).count();
        let passed = count(|outcome| matches!(outcome, Outcome::Passed));
        let failed = count(|outcome| matches!(outcome, Outcome::Failed | Outcome::Skipped));
        println!("{passed} passed, {failed} failed");
        if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

fn line(name: &str, outcome: &Outcome, note: &str) -> String {
    let word = match outcome {
        Outcome::Passed => "ok",
        Outcome::Failed => "FAILED",
        Outcome::Skipped => "SKIPPED",
        Outcome::Unavailable => "NOT RUN",
    };
    format!("{name:<14} {word:<8} {note}")
}
