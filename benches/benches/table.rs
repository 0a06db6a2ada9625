//! Not timed: what each request costs at the edge, as a table.

use tern_benches::{cost::table, counting::Counting, workloads::Costs};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() {
    let costs = Costs::of_everything();
    println!("\n{}", table(costs.0.iter().map(|(name, cost)| (name.as_str(), *cost))));
}
