//! What a statement assigns.

use tern_testkit::billed_rows::assigned;

#[test]
fn the_columns_that_are_assigned_are_known() {
    let set = assigned("UPDATE t SET a = max(b, ?), c = (SELECT d FROM e WHERE f = 1), g=2 WHERE h = 3");
    assert_eq!(set.into_iter().collect::<Vec<_>>(), ["a", "c", "g"]);
}
