//! Instructions of the rules' workloads, counted by valgrind, where it is installed: numbers that do not depend on what else
//! the machine does. See README.md.

#![expect(clippy::expect_used, reason = "a measurement that cannot be made has to stop, with the reason")]

use std::{env, hint::black_box, process::Command};

use tern_benches::{
    Cluster,
    corpus::Hall,
    graph::{Forks, InitialState},
};
use tern_room::{authorise, build};
use tern_testkit::TestClock;

const WORKLOADS: [&str; 3] = ["event_auth_20000", "resolve_2_forks_100", "initial_state_500"];

/// In the place of the system's: hash tables are seeded from it, and the same seed makes the same instructions.
#[unsafe(no_mangle)]
extern "C" fn getrandom(buffer: *mut u8, length: usize, _: u32) -> isize {
    // SAFETY: the caller owns `length` bytes at `buffer`, as the system's function demands.
    unsafe { buffer.write_bytes(0x5A, length) };
    isize::try_from(length).unwrap_or(isize::MAX)
}

/// What valgrind looks at, by this name.
#[inline(never)]
fn counted<T>(work: impl FnOnce() -> T) {
    black_box(work());
}

fn main() {
    let arguments: Vec<String> = env::args().collect();
    match arguments.iter().find(|argument| WORKLOADS.contains(&argument.as_str())) {
        Some(workload) => run(workload),
        // Anything but `cargo bench` only wants to know that it builds.
        None if arguments.iter().any(|argument| argument == "--bench") => WORKLOADS.into_iter().for_each(count),
        None => {}
    }
}

fn run(workload: &str) {
    let cluster = Cluster::default();
    let config = cluster.config();
    match workload {
        "resolve_2_forks_100" => {
            let forks = Forks::new(config, 100);
            counted(|| forks.resolve());
        }
        "initial_state_500" => {
            let state = InitialState::new(config, 500);
            counted(|| state.build());
        }
        _ => {
            let hall = Hall::new(config, 20_000);
            let pdu = build(&hall, &hall.message(), TestClock::START, &hall.signer).expect("the draft is good");
            counted(|| authorise(&hall, &pdu).expect("members may write"));
        }
    }
}

/// Runs this program under valgrind and prints what it counted.
fn count(workload: &str) {
    let program = env::current_exe().expect("the program knows where it is");
    let valgrind = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=*counted*"])
        .arg(program)
        .arg(workload)
        .output();
    let Ok(output) = valgrind else {
        println!("{workload:24} valgrind is not installed");
        return;
    };
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let collected = told.lines().find_map(|line| line.split_once("Collected : ")).map(|(_, count)| count.trim());
    println!("{workload:24} {:>14} instructions", collected.unwrap_or("no"));
}
