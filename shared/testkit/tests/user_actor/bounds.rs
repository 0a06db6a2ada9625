//! What others send fills nobody's hub.

use tern_ports::{ObjectHost as _, Sql as _};

use crate::support::Hub;

#[test]
fn of_the_threads_that_somebody_has_read_a_hub_keeps_the_newest() {
    let hub = Hub::new();
    hub.login("D");
    hub.joins("r");
    for number in 0..250 {
        hub.reads("m.read", Some(&format!("$root{number}")), 1, number);
    }
    let count = |wanted: &str| {
        let sql = format!("SELECT count(*) FROM receipt WHERE thread_id LIKE '{wanted}'");
        hub.host.sql().query(&sql, &[]).unwrap()[0].int(0).unwrap()
    };
    assert_eq!([count("%"), count("$root0"), count("$root249")], [200, 0, 1]);
}
