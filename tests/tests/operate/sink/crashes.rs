//! Kills, restarts of either side and rebalances: at every moment the rows are those of the positions.

use std::time::Duration;

use sinyal_tests::wait_for;

use super::bench::{Bench, metric, piped, until};

/// Many small transactions, so that there is something to break off.
const SMALL: &str = "sink.batch_rows = 40\nsink.interval_ms = 10\n";

/// A database that takes its time over every transaction: a fast machine would be done before anything is killed.
const SLOWLY: &str = "CREATE FUNCTION sinyal.slowly() RETURNS trigger LANGUAGE plpgsql AS \
                      $$ BEGIN PERFORM pg_sleep(0.05); RETURN NULL; END $$; \
                      CREATE TRIGGER slowly AFTER INSERT OR UPDATE ON sinyal.sink_positions \
                      FOR EACH STATEMENT EXECUTE FUNCTION sinyal.slowly()";

#[test]
fn killed_and_restarted_on_either_side_rows_and_positions_agree() {
    let mut bench = Bench::new(piped(), "sink-kill", SMALL);
    bench.postgres.execute(SLOWLY).unwrap();
    let mut before = 0;
    let mut worked = 0;
    for round in 0..10_u64 {
        let mut running = bench.start();
        wait_for("rows to be written", Duration::from_secs(60), || {
            Ok(bench.progress() > before || !running.is_running())
        })
        .unwrap_or_else(|error| panic!("{error:#}; {}", running.log()));
        std::thread::sleep(Duration::from_millis(round * 13));
        match round % 5 {
            // The database ends while it is written to, is restarted, and the same sink goes on.
            2 => {
                bench.postgres.stop().unwrap();
                bench.postgres.restart().unwrap();
            }
            // It is killed.
            3 => {
                bench.postgres.kill();
                bench.postgres.restart().unwrap();
            }
            _ => {}
        }
        running.kill();
        let now = bench.progress();
        worked += usize::from(now > before);
        before = now;
        let left = bench.compare().unwrap();
        eprintln!("round {round}: {left} records are left");
        if left == 0 {
            break;
        }
    }
    assert!(worked >= 3, "only {worked} rounds wrote anything before they were killed");
    bench.postgres.execute("DROP FUNCTION sinyal.slowly() CASCADE").unwrap();
    let running = bench.start();
    bench.until_equal(&running);
    let group = bench.reader.committed("sink-kill", &bench.sinyal.topic("social.alerts")).unwrap();
    assert!(group.values().flatten().sum::<i64>() > 0, "the group's positions show how far it is: {group:?}");
    until("no lag", &running, || {
        metric(&running, "sink_lag_records", &[&bench.sinyal.topic("social.alerts"), "0"]) == 0.0
    });
    assert_eq!(running.terminate().unwrap(), Some(0));
}

#[test]
fn two_sinks_share_the_partitions_and_one_that_slept_overwrites_nothing() {
    let bench = Bench::new(piped(), "sink-two", SMALL);
    let one = bench.start_as("one");
    until("the first to write", &one, || bench.progress() > 0);
    let two = bench.start_as("two");
    let has_some = |ran| metric(ran, "sink_write_seconds_count", &[]) > 0.0;
    let topic = bench.sinyal.topic("social.community.metrics");
    let partitions = |ran: &sinyal_tests::Ran| {
        (0..3).filter(|partition| metric(ran, "sink_lag_records", &[&topic, &partition.to_string()]) >= 0.0).count()
    };
    until("both to have partitions", &two, || partitions(&one) > 0 && partitions(&two) > 0);
    assert!(has_some(&one));
    bench.compare().unwrap();
    // It sleeps longer than a session, with whatever it had read; the other has all of it meanwhile.
    one.freeze(true);
    until("the second to have all", &two, || partitions(&two) == 3);
    bench.until_equal(&two);
    for number in 0..200 {
        let row = super::bench::alert(super::bench::EPISODE + number, "firing", 2);
        bench.send("social.alerts", &row.id.clone(), Some(&super::bench::encoded(&row)));
    }
    bench.until_equal(&two);
    one.freeze(false);
    until("both to have partitions again", &one, || partitions(&one) > 0 && partitions(&two) < 3);
    bench.until_equal(&one);
    assert_eq!(one.terminate().unwrap(), Some(0));
    bench.until_equal(&two);
    assert_eq!(two.terminate().unwrap(), Some(0));
}

#[test]
fn positions_that_are_deleted_are_read_anew_and_nothing_goes_back() {
    let bench = Bench::new(piped(), "sink-again", "");
    let running = bench.start();
    bench.until_equal(&running);
    // Under a sink that works: its next transaction finds its positions gone, and begins anew with what is there.
    bench.postgres.execute("DELETE FROM sinyal.sink_positions").unwrap();
    let row = super::bench::alert(super::bench::EPISODE + 777, "firing", 2);
    bench.send("social.alerts", &row.id.clone(), Some(&super::bench::encoded(&row)));
    until("it to notice", &running, || metric(&running, "sink_errors_total", &["overtaken"]) >= 1.0);
    until("all to be read again", &running, || bench.progress() > 0 && bench.compare().is_ok_and(|left| left == 0));
    assert!(metric(&running, "sink_rows_total", &["panes", "unchanged"]) > 100.0, "{}", running.metrics().unwrap());
    assert_eq!(running.terminate().unwrap(), Some(0));
}
