//! Rate limits: what a bucket lets through, over any course of time.

mod config;

use proptest::prelude::*;
use ruma::user_id;
use tern_auth::limit::{Bucket, Meters, address};
use tern_model::{Class, Config, Limits, Millis, Rate};

const START: Millis = Millis(1_700_000_000_000);

fn config(unlimited: bool) -> Config {
    Config { unlimited, ..config::config() }
}

fn rates() -> impl Strategy<Value = Rate> {
    (1_u32..200, 1_u32..100_000).prop_map(|(burst, per_hour)| Rate { burst, per_hour })
}

proptest! {
    #[test]
    fn in_any_span_no_more_passes_than_a_burst_and_the_rate(
        rate in rates(),
        pauses in prop::collection::vec(0_u64..20_000, 1..300),
    ) {
        let (mut bucket, mut now, mut passed) = (Bucket::default(), START, Vec::new());
        for pause in pauses {
            now = now.plus(pause);
            if let Ok(taken) = bucket.take(rate, now) {
                bucket = taken;
                passed.push(now);
            }
        }
        for (i, from) in passed.iter().enumerate() {
            for (j, to) in passed.iter().enumerate().skip(i) {
                let fresh = to.since(*from) * u64::from(rate.per_hour) / 3_600_000;
                // One for the rounding of the interval.
                prop_assert!((j - i) as u64 <= u64::from(rate.burst) + fresh + 1);
            }
        }
    }

    #[test]
    fn a_refusal_says_exactly_when_it_would_pass_and_costs_nothing(rate in rates(), pause in 0_u64..1_000) {
        let (mut bucket, now) = (Bucket::default(), START.plus(pause));
        let mut passed = 0;
        let wait = loop {
            match bucket.take(rate, now) {
                Ok(taken) => bucket = taken,
                Err(wait) => break wait,
            }
            passed += 1;
        };
        prop_assert_eq!(passed, rate.burst);
        prop_assert!(bucket.take(rate, now.plus(wait)).is_ok());
        prop_assert!(wait == 1 || bucket.take(rate, now.plus(wait - 1)).is_err());
    }

    #[test]
    fn a_full_bucket_is_a_new_one_and_time_that_goes_back_breaks_nothing(rate in rates(), back in 0_u64..10_000_000) {
        let used = Bucket::default().take(rate, START).unwrap();
        let later = used.full_at();
        prop_assert_eq!(used.take(rate, later), Bucket::default().take(rate, later));
        let earlier = Millis(START.0 - back);
        if let Err(wait) = used.take(rate, earlier) {
            prop_assert!(used.take(rate, earlier.plus(wait)).is_ok());
        }
    }
}

#[test]
fn a_class_can_be_closed() {
    for rate in [Rate { burst: 0, per_hour: 9 }, Rate { burst: 9, per_hour: 0 }] {
        assert_eq!(Bucket::default().take(rate, START), Err(3_600_000));
    }
}

#[test]
fn users_classes_and_addresses_are_counted_apart() {
    let config = config(false);
    let (alice, bob) = (user_id!("@alice:example.org"), user_id!("@bob:example.org"));
    let mut meters = Meters::default();
    for _ in 0..config.limits.create_room.burst {
        meters.user(&config, Class::CreateRoom, alice, START).unwrap();
    }
    let refused = meters.user(&config, Class::CreateRoom, alice, START).unwrap_err();
    assert_eq!((refused.status, &*refused.errcode, refused.retry_after_ms), (429, "M_LIMIT_EXCEEDED", Some(30_000)));
    meters.user(&config, Class::CreateRoom, alice, START.plus(30_000)).unwrap();
    meters.user(&config, Class::Message, alice, START).unwrap();
    meters.user(&config, Class::CreateRoom, bob, START).unwrap();
    for _ in 0..config.limits.public.burst {
        meters.address(&config, Class::Public, "192.0.2.1", START).unwrap();
    }
    assert!(meters.address(&config, Class::Public, "192.0.2.1", START).is_err());
    meters.address(&config, Class::Public, "192.0.2.2", START).unwrap();
}

#[test]
fn whoever_does_many_things_at_once_waits_for_all_of_them() {
    let config = config(false);
    let alice = user_id!("@alice:example.org");
    let mut meters = Meters::default();
    let Rate { burst, per_hour } = config.limits.invite;
    meters.user_many(&config, (Class::Invite, 0), alice, START).unwrap();
    meters.user_many(&config, (Class::Invite, burst + 20), alice, START).unwrap();
    let refused = meters.user(&config, Class::Invite, alice, START).unwrap_err();
    let each = 3_600_000 / u64::from(per_hour);
    assert_eq!(refused.retry_after_ms, Some(21 * each));
    assert!(meters.user_many(&config, (Class::Invite, 2), alice, START).is_err());
    meters.user(&config, Class::Invite, alice, START.plus(21 * each)).unwrap();
}

#[test]
fn nobody_is_limited_where_limits_are_off() {
    let config = config(true);
    let mut meters = Meters::default();
    for _ in 0..10_000 {
        meters.user(&config, Class::CreateRoom, user_id!("@alice:example.org"), START).unwrap();
    }
}

#[test]
fn a_person_has_one_address() {
    assert_eq!(address(Some("192.0.2.1")), "192.0.2.1");
    assert_eq!(address(Some("::ffff:192.0.2.1")), "192.0.2.1");
    assert_eq!(address(Some("2001:db8:1:2:3:4:5:6")), address(Some("2001:db8:1:2::9")));
    assert_ne!(address(Some("2001:db8:1:2::")), address(Some("2001:db8:1:3::")));
    for odd in [None, Some(""), Some("nonsense"), Some("1.2.3.4, 5.6.7.8")] {
        assert_eq!(address(odd), "unknown");
    }
}

#[test]
fn an_operator_changes_what_he_names_and_misspells_nothing() {
    let limits: Limits = serde_json::from_str(r#"{"message":{"burst":1,"per_hour":2}}"#).unwrap();
    assert_eq!(limits.message, Rate { burst: 1, per_hour: 2 });
    assert_eq!(limits.join, Limits::default().join);
    for odd in [r#"{"mesage":{"burst":1,"per_hour":2}}"#, r#"{"message":{"burst":1}}"#, r#"{"message":5}"#] {
        assert!(serde_json::from_str::<Limits>(odd).is_err(), "{odd}");
    }
    for class in Class::ALL {
        assert!(Limits::default().of(*class).burst > 0, "{}", class.name());
    }
}

#[test]
fn a_refresh_is_counted_for_its_session_and_for_nobody_else() {
    let limits = Limits { refresh: Rate { burst: 2, per_hour: 60 }, ..Limits::default() };
    let config = Config { limits, ..config(false) };
    let mut meters = Meters::default();
    for _ in 0..2 {
        assert!(meters.refresh(&config, "one", START).is_ok());
    }
    let refused = meters.refresh(&config, "one", START).map_err(|error| error.retry_after_ms);
    assert_eq!(refused, Err(Some(60_000)));
    assert!(meters.refresh(&config, "two", START).is_ok());
    assert!(meters.refresh(&config, "one", START.plus(60_000)).is_ok());
    assert!((0..99).all(|_| meters.refresh(&Config { unlimited: true, ..config.clone() }, "one", START).is_ok()));
}
