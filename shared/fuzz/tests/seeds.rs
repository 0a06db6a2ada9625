//! Every target over its seeds, and over what is left when they are cut.

use std::{fs, path::Path};

#[test]
fn every_target_stands_its_seeds_whole_and_cut() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    for (name, target) in tern_fuzz::TARGETS {
        let folder = fs::read_dir(seeds.join(name)).expect("the target has seeds");
        let mut count = 0;
        for entry in folder {
            let data = fs::read(entry.expect("its entries can be read").path()).expect("a seed can be read");
            for end in (0..=data.len()).step_by(data.len() / 64 + 1).chain([data.len()]) {
                target(data.get(..end).unwrap_or_default());
            }
            count += 1;
        }
        assert!(count > 0, "no seeds for {name}");
    }
}
