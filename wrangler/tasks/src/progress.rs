//! Runs long commands quietly: one line that says what happens and for how long, all output only when it failed.

#![expect(clippy::disallowed_methods, reason = "the runner shows people how long things take")]

use std::fmt;
use std::fs::{self, File};
use std::io::{IsTerminal as _, Write as _, stderr};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

const POLL: Duration = Duration::from_millis(50);
/// How often a line is written where nobody sees it change in place.
const LINE_EVERY: Duration = Duration::from_secs(30);
/// How much of a failed command's output is shown.
const SHOWN_LINES: usize = 200;

/// `42s`, `2m10s`.
pub(crate) struct Spent(pub(crate) Duration);

impl fmt::Display for Spent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_secs() {
            0 => write!(formatter, "{}ms", self.0.as_millis()),
            seconds @ 1..60 => write!(formatter, "{seconds}s"),
            seconds => write!(formatter, "{}m{:02}s", seconds / 60, seconds % 60),
        }
    }
}

/// Time since it was made.
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn spent(&self) -> Spent {
        Spent(self.0.elapsed())
    }
}

/// Writes one line for people.
pub(crate) fn say(line: impl fmt::Display) {
    // Nobody left to read it is no reason to stop.
    let _ = writeln!(stderr(), "{line}");
}

/// Keeps the output of commands in a folder and shows how far they are.
pub(crate) struct Runner {
    logs: PathBuf,
    /// Whether it says how far a command is: of several at once only one does.
    speaks: bool,
}

impl Runner {
    pub(crate) fn new(logs: PathBuf) -> Result<Self> {
        fs::create_dir_all(&logs).with_context(|| format!("cannot create {}", logs.display()))?;
        Ok(Self { logs, speaks: true })
    }

    /// For what runs beside others: it speaks when a command ends.
    pub(crate) fn beside(&self) -> Self {
        Self { logs: self.logs.clone(), speaks: false }
    }

    /// Runs a command to its end and fails with its output when it fails.
    pub(crate) fn run(&self, label: &str, command: &mut Command) -> Result<()> {
        let watch = Stopwatch::start();
        let status = self.wait(label, command, &watch)?;
        if !status.success() {
            let log = self.log_path(label);
            say(format_args!("{label} failed after {}:", watch.spent()));
            say(tail(&log));
            bail!("{label}: {status} (whole output: {})", log.display());
        }
        say(format_args!("{label}: {}", watch.spent()));
        Ok(())
    }

    /// Runs a command for which there is another way if it fails, and tells whether it succeeded.
    pub(crate) fn attempt(&self, label: &str, command: &mut Command) -> Result<bool> {
        let watch = Stopwatch::start();
        let succeeded = self.wait(label, command, &watch)?.success();
        if succeeded {
            say(format_args!("{label}: {}", watch.spent()));
        }
        Ok(succeeded)
    }

    fn log_path(&self, label: &str) -> PathBuf {
        let name: String = label.chars().map(|char| if char.is_ascii_alphanumeric() { char } else { '-' }).collect();
        self.logs.join(format!("{name}.log"))
    }

    fn wait(&self, label: &str, command: &mut Command, watch: &Stopwatch) -> Result<ExitStatus> {
        let path = self.log_path(label);
        let log = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        let mut line = Heartbeat::new(label);
        loop {
            if let Some(status) = child.try_wait()? {
                line.clear();
                return Ok(status);
            }
            if self.speaks {
                line.beat(watch);
            }
            thread::sleep(POLL);
        }
    }
}

/// The line that shows a command is still at work.
struct Heartbeat<'a> {
    label: &'a str,
    in_place: bool,
    next: Duration,
    shown: bool,
}

impl<'a> Heartbeat<'a> {
    fn new(label: &'a str) -> Self {
        let in_place = stderr().is_terminal();
        Self { label, in_place, next: if in_place { Duration::from_secs(1) } else { LINE_EVERY }, shown: false }
    }

    fn beat(&mut self, watch: &Stopwatch) {
        let spent = watch.spent();
        if spent.0 < self.next {
            return;
        }
        self.shown = true;
        if self.in_place {
            self.next += Duration::from_secs(1);
            let _ = write!(stderr(), "\r{} … {spent}", self.label);
        } else {
            self.next += LINE_EVERY;
            say(format_args!("{} … {spent}", self.label));
        }
    }

    fn clear(&self) {
        if self.shown && self.in_place {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}

/// The last lines of a log.
fn tail(path: &Path) -> String {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let skipped = text.lines().count().saturating_sub(SHOWN_LINES);
    text.lines().skip(skipped).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spent_reads_like_people_say_it() {
        let shown = |millis| Spent(Duration::from_millis(millis)).to_string();
        assert_eq!(shown(12), "12ms");
        assert_eq!(shown(59_900), "59s");
        assert_eq!(shown(130_000), "2m10s");
    }
}
