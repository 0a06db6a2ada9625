//! Instructions of the rules' workloads and of sync answers, counted by valgrind, where it is installed: numbers that do not
//! depend on what else the machine does. It fails when an idle or live answer does not take the same work for a small and a
//! large account, with nothing and with much unread. See README.md.

#![expect(clippy::expect_used, reason = "a measurement that cannot be made has to stop, with the reason")]

use std::{env, hint::black_box, process::Command};

use tern_benches::{
    Cluster,
    corpus::{Account, Hall},
    graph::{Forks, InitialState},
};
use tern_room::{authorise, build};
use tern_testkit::TestClock;

const WORKLOADS: [&str; 3] = ["event_auth_20000", "resolve_2_forks_100", "initial_state_500"];

/// An answer, the rooms of the account, and how much of them is unread.
const SYNCS: [(&str, usize, usize); 6] = [
    ("sync_idle_10", 10, 0),
    ("sync_idle_1000", 1_000, 0),
    ("sync_idle_1000_unread_5000", 1_000, 5_000),
    ("sync_live_10", 10, 0),
    ("sync_live_1000", 1_000, 0),
    ("sync_live_1000_unread_5000", 1_000, 5_000),
];

/// By how many percent the dearest answer of a kind may take more than the cheapest.
const PLAY: u64 = 5;

/// In the place of the system's: hash tables are seeded from it, and the same seed makes the same instructions.
#[unsafe(no_mangle)]
extern "C" fn getrandom(buffer: *mut u8, length: usize, _: u32) -> isize {
    // SAFETY: the caller owns `length` bytes at `buffer`, as the system's function demands.
    unsafe { buffer.write_bytes(0x5A, length) };
    isize::try_from(length).unwrap_or(isize::MAX)
}

/// What valgrind looks at, by this name. It begins to look only here: what comes before takes a tenth of the time that way.
#[inline(never)]
fn counted<T>(work: impl FnOnce() -> T) -> T {
    black_box(work())
}

/// Callgrind's request `START_INSTRUMENTATION`; nothing where the program runs by itself.
#[cfg(target_arch = "x86_64")]
fn start_looking() {
    let request: [u64; 6] = [0x4354_0004, 0, 0, 0, 0, 0];
    // SAFETY: the preamble that valgrind knows a request by changes no register but `rdx`, and nothing in memory.
    unsafe {
        std::arch::asm!(
            "rol rdi, 3", "rol rdi, 13", "rol rdi, 61", "rol rdi, 51", "xchg rbx, rbx",
            in("rax") request.as_ptr(), inout("rdx") 0_u64 => _, options(nostack),
        );
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn start_looking() {}

fn main() {
    let arguments: Vec<String> = env::args().collect();
    let sync = SYNCS.iter().find(|(name, ..)| arguments.iter().any(|argument| argument == name));
    match (arguments.iter().find(|argument| WORKLOADS.contains(&argument.as_str())), sync) {
        (Some(workload), _) => run(workload),
        (None, Some((name, rooms, unread))) => run_sync(name.contains("idle"), *rooms, *unread),
        // Anything but `cargo bench` only wants to know that it builds.
        (None, None) if arguments.iter().any(|argument| argument == "--bench") => count_all(),
        (None, None) => {}
    }
}

fn count_all() {
    for workload in WORKLOADS {
        count(workload);
    }
    for kind in ["idle", "live"] {
        let syncs = SYNCS.iter().filter(|(name, ..)| name.contains(kind));
        let counts: Vec<u64> = syncs.filter_map(|(name, ..)| count(name)).collect();
        if let (Some(least), Some(most)) = (counts.iter().min(), counts.iter().max()) {
            assert!(most * 100 <= least * (100 + PLAY), "{kind} answers differ by more than {PLAY} %");
        }
    }
}

/// One answer on a connection that knows everything, or everything but one message.
fn run_sync(idle: bool, rooms: usize, unread: usize) {
    let account = Account::new(rooms);
    let (request, pos) = account.caught_up();
    let before = account.unread();
    for _ in 0..unread {
        account.cluster.pass(1_000);
        account.write();
    }
    account.cluster.quiesce();
    let pos = account.cluster.run(account.owner.sync(&request, Some(&pos), 0)).pos();
    let pos = account.live(&request, &pos);
    if !idle {
        account.write();
        account.cluster.quiesce();
    }
    start_looking();
    let answer = counted(|| account.cluster.run(account.owner.sync(&request, Some(&pos), 0)));
    assert_eq!(answer.events(), usize::from(!idle), "the answer is what it is called");
    assert_eq!(account.unread() - before, unread as u64 + 2 + u64::from(!idle), "the counts are exact");
}

fn run(workload: &str) {
    let cluster = Cluster::default();
    let config = cluster.config();
    match workload {
        "resolve_2_forks_100" => {
            let forks = Forks::new(config, 100);
            start_looking();
            counted(|| forks.resolve());
        }
        "initial_state_500" => {
            let state = InitialState::new(config, 500);
            start_looking();
            counted(|| state.build());
        }
        _ => {
            let hall = Hall::new(config, 20_000);
            let pdu = build(&hall, &hall.message(), TestClock::START, &hall.signer).expect("the draft is good");
            start_looking();
            counted(|| authorise(&hall, &pdu).expect("members may write"));
        }
    }
}

/// Runs this program under valgrind and prints what it counted.
fn count(workload: &str) -> Option<u64> {
    let program = env::current_exe().expect("the program knows where it is");
    let valgrind = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=*counted*"])
        .arg(if cfg!(target_arch = "x86_64") { "--instr-atstart=no" } else { "--instr-atstart=yes" })
        .arg(program)
        .arg(workload)
        .output();
    let Ok(output) = valgrind else {
        println!("{workload:28} valgrind is not installed");
        return None;
    };
    assert!(output.status.success(), "{workload}: {}", String::from_utf8_lossy(&output.stderr));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let collected = told.lines().find_map(|line| line.split_once("Collected : ")).map(|(_, count)| count.trim());
    println!("{workload:28} {:>14} instructions", collected.unwrap_or("no"));
    collected.and_then(|count| count.parse().ok())
}
