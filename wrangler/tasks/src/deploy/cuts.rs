//! Each command against a stand-in of wrangler (`stand-in.sh`), cut at every call, before and after its effect, and run again.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use serde_json::Value;

use super::cloudflare::Wrangler;
use super::config::Names;
use super::folder::{Folder, Settings, Wanted};
use super::install::{Install, destroy};
use super::revision::{Record, Revision};
use crate::checkout::Checkout;

static NEXT: AtomicUsize = AtomicUsize::new(0);

/// An account at Cloudflare and the folder of one deployment, both empty at first.
struct World {
    home: PathBuf,
    checkout: Checkout,
    folder: Folder,
}

/// Which call is the last one before the power fails.
#[derive(Clone, Copy)]
struct Cut(usize, &'static str);

const UNCUT: Cut = Cut(0, "never");

impl World {
    fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let home = std::env::temp_dir().join(format!("tern-deploy-{}-{number}", std::process::id()));
        for part in ["d1", "kv", "r2", "workers", "migrated"] {
            fs::create_dir_all(home.join("account").join(part)).expect("a folder");
        }
        let folder = Folder::new(&home.join("deploy"), "blue").expect("a name");
        Self { home, checkout: Checkout::find().expect("a checkout"), folder }
    }

    fn settle(&self) -> Settings {
        let (server_name, url) = (Some("example.org".to_owned()), Some("https://matrix.example.org/".to_owned()));
        self.folder.settle(&Wanted { server_name, url, account: None }).expect("settings")
    }

    fn names(&self) -> Names {
        Names::of(&self.checkout, "blue").expect("names")
    }

    fn wrangler(&self, cut: Cut) -> Command {
        let mut shell = Command::new("sh");
        let Cut(call, when) = cut;
        shell.arg(self.checkout.path("wrangler/tasks/src/deploy/stand-in.sh")).current_dir(&self.folder.path);
        shell.env("ACCOUNT", self.home.join("account")).env("CUT", call.to_string()).env("WHEN", when);
        shell
    }

    fn deploy(&self, cut: Cut) -> Result<()> {
        self.deploy_to_address(cut, true)
    }

    fn deploy_to_address(&self, cut: Cut, answers: bool) -> Result<()> {
        let settings = self.settle();
        let program = || self.wrangler(cut);
        let install = Install {
            checkout: &self.checkout,
            folder: &self.folder,
            settings: &settings,
            names: &self.names(),
            wrangler: Wrangler { program: &program },
            revision: Revision::of(&self.checkout)?,
            answers: &|_| Ok(answers),
        };
        self.restart();
        install.run()
    }

    fn destroy(&self, cut: Cut) -> Result<()> {
        let program = || self.wrangler(cut);
        self.restart();
        destroy(&self.folder, &self.names(), &Wrangler { program: &program })
    }

    /// Calls are counted from the beginning of each command, and the power is back.
    fn restart(&self) {
        for file in ["calls", "dead"] {
            let _ = fs::remove_file(self.home.join("account").join(file));
        }
    }

    fn calls(&self) -> usize {
        let text = fs::read_to_string(self.home.join("account/calls")).expect("calls");
        text.trim().parse().expect("a number")
    }

    fn there(&self) -> Vec<String> {
        let mut found = Vec::new();
        for part in ["d1", "kv", "r2", "workers"] {
            let entries = fs::read_dir(self.home.join("account").join(part)).expect("a folder");
            found.extend(
                entries.map(|entry| format!("{part} {}", entry.expect("a file").file_name().to_string_lossy())),
            );
        }
        found.sort();
        found
    }

    fn config(&self, name: &str) -> Value {
        serde_json::from_str(&fs::read_to_string(self.folder.file(name)).expect("a file")).expect("JSON")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.home);
    }
}

#[test]
fn one_command_makes_everything_and_the_second_changes_nothing() {
    let world = World::new();
    world.deploy(UNCUT).expect("a deployment");
    let made = world.there();
    assert_eq!(made.len(), 5 + 1 + 1 + 2, "{made:?}");
    let proxy = world.config("proxy.json");
    assert_eq!(proxy["vars"]["PUBLIC_URL"], "https://matrix.example.org");
    assert_eq!(proxy["routes"][0]["pattern"], "matrix.example.org");
    assert_eq!(proxy["services"][0]["service"], "tern-blue-storage");
    assert_eq!(world.config("storage-worker.json")["d1_databases"][4]["database_id"], "id-of-tern-blue-ev-03");
    let (secrets, record) = (world.config("secrets.json"), Record::read(&world.folder).expect("a record"));
    assert_eq!(record.deployed, Some(Revision::of(&world.checkout).expect("a revision")));
    world.deploy(UNCUT).expect("once more");
    assert_eq!(world.there(), made);
    assert_eq!(world.config("secrets.json"), secrets);
}

#[test]
fn a_deployment_cut_at_any_call_ends_well_when_it_is_run_again() {
    let whole = World::new();
    whole.deploy(UNCUT).expect("a deployment");
    let made = whole.there();
    for call in 1..=whole.calls() {
        for when in ["before", "after"] {
            let world = World::new();
            world.deploy(Cut(call, when)).expect_err("cut");
            assert_eq!(Record::read(&world.folder).expect("a record").deployed, None, "{when} call {call}");
            world.deploy(UNCUT).unwrap_or_else(|error| panic!("cut {when} call {call}: {error:#}"));
            assert_eq!(world.there(), made, "cut {when} call {call}");
        }
    }
}

#[test]
fn a_destruction_cut_at_any_call_ends_well_when_it_is_run_again() {
    let whole = World::new();
    whole.deploy(UNCUT).expect("a deployment");
    whole.destroy(UNCUT).expect("destroyed");
    assert_eq!(whole.there(), Vec::<String>::new());
    for call in 1..=whole.calls() {
        for when in ["before", "after"] {
            let world = World::new();
            world.deploy(UNCUT).expect("a deployment");
            world.destroy(Cut(call, when)).expect_err("cut");
            world.destroy(UNCUT).unwrap_or_else(|error| panic!("cut {when} call {call}: {error:#}"));
            assert_eq!(world.there(), Vec::<String>::new(), "cut {when} call {call}");
        }
    }
    whole.destroy(UNCUT).expect("nothing is left to destroy");
}

#[test]
fn a_server_whose_secrets_are_elsewhere_gets_no_others() {
    let world = World::new();
    world.deploy(UNCUT).expect("a deployment");
    let copy = world.config("secrets.json");
    fs::remove_file(world.folder.file("secrets.json")).expect("lost");
    let told = world.deploy(UNCUT).expect_err("refused").to_string();
    assert!(told.contains("put your copy of secrets.json"), "{told}");
    world.folder.write("secrets.json", &copy).expect("put back");
    world.deploy(UNCUT).expect("goes on");
}

#[test]
fn an_address_that_never_answers_is_not_called_deployed() {
    let world = World::new();
    let told = world.deploy_to_address(UNCUT, false).expect_err("no answer").to_string();
    assert!(told.contains("cargo xtask doctor https://matrix.example.org"), "{told}");
    let record = Record::read(&world.folder).expect("a record");
    assert!(record.begun.is_some() && record.deployed.is_none());
}

#[test]
fn what_the_first_command_fixed_does_not_change() {
    let world = World::new();
    world.settle();
    let other = Wanted { server_name: Some("other.example".to_owned()), ..Wanted::default() };
    assert!(world.folder.settle(&other).expect_err("refused").to_string().contains("can never change"));
    let nowhere = Folder::new(&world.home, "green").expect("a name");
    assert!(nowhere.settle(&Wanted::default()).expect_err("refused").to_string().contains("--server-name"));
    assert!(Folder::new(&world.home, "Not/a name").is_err());
}

#[test]
fn an_upgrade_that_was_cut_counts_as_begun() {
    let world = World::new();
    world.deploy(UNCUT).expect("a deployment");
    super::checked_revision(&world.checkout, &world.folder).expect("the same build");
    let mut record = Record::read(&world.folder).expect("a record");
    let begun = record.begun.as_mut().expect("begun");
    begun.migrations.push("events/9999_of_a_later_build.sql".to_owned());
    world.folder.write("record.json", &record).expect("written");
    let told = super::checked_revision(&world.checkout, &world.folder).expect_err("refused").to_string();
    assert!(told.contains("older than what is deployed") && told.contains("9999"), "{told}");
}

#[test]
fn whoever_is_not_signed_in_is_told_how() {
    let world = World::new();
    world.settle();
    let known = || world.wrangler(UNCUT);
    Wrangler { program: &known }.check_signed_in().expect("signed in");
    let stranger = || Command::new("false");
    let told = Wrangler { program: &stranger }.check_signed_in().expect_err("a stranger").to_string();
    assert!(told.contains("wrangler login"), "{told}");
}
