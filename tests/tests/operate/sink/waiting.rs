//! What is the matter with the database is waited for and told, and nothing has to be restarted when it is mended.

use sinyal_tests::Postgres;

use super::bench::{Bench, metric, piped, state, until};

#[test]
fn away_closed_empty_locked_or_full_it_is_waited_for() {
    let mut postgres = Postgres::start(false).unwrap();
    postgres.stop().unwrap();
    let mut bench = Bench::bare(piped(), "sink-wait", postgres, "sink.sslmode = \"disable\"\n");
    let password = bench.sinyal.file("password");
    std::fs::write(&password, "wrong").unwrap();
    let running = bench.start();
    let waits = |what: &str, words: &str| {
        until(what, &running, || {
            let state = state(&running);
            state["ready"] == false
                && state["sink"]["state"] == "waiting for the database"
                && state["sink"]["detail"].as_str().is_some_and(|detail| detail.contains(words))
        });
    };
    waits("that nobody answers", "Connection refused");
    assert_eq!(metric(&running, "sink_connected", &[]), 0.0);
    bench.postgres.restart().unwrap();
    waits("that the password is wrong", "password authentication failed");
    std::fs::write(&password, "owner").unwrap();
    waits("that there are no tables", "`sinyal sink apply`");
    let plan = bench.sinyal.succeed(&["sink", "plan"]).unwrap();
    assert!(plan.contains("to do"), "{plan}");
    assert!(bench.sinyal.succeed(&["sink", "apply"]).unwrap().contains("done"));
    assert!(bench.sinyal.succeed(&["sink", "apply"]).unwrap().contains("ok"));
    bench.until_equal(&running);
    until("it to be ready", &running, || state(&running)["ready"] == true);
    for reason in ["unreachable", "login", "schema"] {
        assert!(metric(&running, "sink_errors_total", &[reason]) >= 1.0, "{reason}: {}", running.metrics().unwrap());
    }

    // The disk is full, in the server's own words.
    bench
        .postgres
        .execute(
            "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$; \
             CREATE TRIGGER full_disk BEFORE INSERT ON sinyal.alerts FOR EACH ROW EXECUTE FUNCTION full_disk()",
        )
        .unwrap();
    let row = super::bench::alert(super::bench::EPISODE + 1, "firing", 2);
    bench.send("social.alerts", &row.id.clone(), Some(&super::bench::encoded(&row)));
    waits("that the disk is full", "No space left on device");
    assert!(metric(&running, "sink_errors_total", &["resources"]) >= 1.0);
    bench.postgres.execute("DROP TRIGGER full_disk ON sinyal.alerts").unwrap();
    bench.until_equal(&running);

    // Somebody holds what is to be written.
    let session = bench.postgres.session("BEGIN; LOCK TABLE sinyal.sink_positions; SELECT pg_sleep(3600)").unwrap();
    until("the lock", &running, || {
        let held = "SELECT count(*)::int FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted \
                    AND relation = 'sinyal.sink_positions'::regclass";
        bench.postgres.value(held).is_ok_and(|held| held == 1)
    });
    let row = super::bench::alert(super::bench::EPISODE + 2, "firing", 2);
    bench.send("social.alerts", &row.id.clone(), Some(&super::bench::encoded(&row)));
    waits("that it takes too long", "SQLSTATE 5");
    session.kill();
    bench.postgres.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()").unwrap();
    bench.until_equal(&running);

    // A database that goes away is noticed though there is nothing to write.
    bench.postgres.stop().unwrap();
    waits("that it is away again", "");
    bench.postgres.restart().unwrap();
    until("it to be ready again", &running, || state(&running)["ready"] == true);
    assert_eq!(running.terminate().unwrap(), Some(0));
    let log = bench.sinyal.log();
    assert!(!log.contains("wrong") && !log.contains("\"owner\""), "no password is in the log: {log}");
}

#[test]
fn a_database_that_is_too_slow_for_a_batch_gets_smaller_ones() {
    let bench = Bench::new(piped(), "sink-slow", "");
    bench
        .postgres
        .execute(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.1); RETURN NEW; END $$; \
             CREATE TRIGGER slow BEFORE INSERT ON sinyal.alerts FOR EACH ROW EXECUTE FUNCTION slow()",
        )
        .unwrap();
    let running = bench.start();
    bench.until_equal(&running);
    assert!(metric(&running, "sink_errors_total", &["timeout"]) >= 1.0, "{}", running.metrics().unwrap());
    assert_eq!(running.terminate().unwrap(), Some(0));
}

#[test]
fn tls_is_checked_and_what_is_granted_is_enough() {
    let postgres = Postgres::start(true).unwrap();
    let (right, other) = (postgres.file("ca.pem"), postgres.file("other-ca.pem"));
    let bench = Bench::bare(piped(), "sink-tls", postgres, &format!("sink.ca_file = \"{}\"\n", right.display()));
    let refused = |mode: &str, ca: &std::path::Path, url: &str| {
        let variables = [
            ("SINYAL__SINK__SSLMODE", mode),
            ("SINYAL__SINK__CA_FILE", ca.to_str().unwrap()),
            ("SINYAL__SINK__URL", url),
        ];
        let output = bench.sinyal.output_with(&["sink", "plan"], &variables).unwrap();
        (output.status.code() != Some(0)).then(|| String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let url = bench.postgres.url("owner");
    let by_address = url.replace("localhost", "127.0.0.1");
    assert_eq!(refused("verify-full", &right, &url), None);
    assert!(refused("verify-full", &other, &url).unwrap().contains("certificate verify failed"));
    assert!(refused("verify-ca", &other, &url).unwrap().contains("certificate verify failed"));
    assert!(refused("verify-full", &right, &by_address).unwrap().contains("mismatch"));
    assert_eq!(refused("verify-ca", &right, &by_address), None);
    assert_eq!(refused("require", &other, &by_address), None);
    assert!(refused("disable", &right, &url).unwrap().contains("pg_hba.conf"));

    // The owner makes the tables; the sink may write, dashboards may read, and neither more.
    bench.sinyal.succeed(&["sink", "apply"]).unwrap();
    bench.postgres.execute("CREATE ROLE writer LOGIN PASSWORD 'owner'; CREATE ROLE reader LOGIN; REVOKE ALL ON SCHEMA public FROM PUBLIC").unwrap();
    let grants =
        bench.sinyal.succeed(&["sink", "plan", "--grants", "--writer", "writer", "--reader", "reader"]).unwrap();
    bench.postgres.execute(&grants).unwrap();
    let writer = bench.postgres.url("writer");
    let run = |instance: &str| {
        let variables = [("SINYAL__SINK__URL", writer.as_str()), ("SINYAL__INSTANCE__ID", instance)];
        bench.sinyal.start_with(&["run", "--role", "sink"], &variables).unwrap()
    };
    let old = "INSERT INTO sinyal.alerts SELECT (jsonb_populate_record(null::sinyal.alerts, jsonb_build_object(\
               'id', 'old', 'rule', 'r', 'community_id', 'c', 'state', 'resolved', 'severity', 'info', \
               'started_at', now() - interval '12 years', 'updated_at', now(), 'resolved_at', now() - interval '11 years', \
               'window_name', 'now', 'observed', 1, 'coordinated', false, 'samples', '[]'::jsonb, 'summary_id', '', 'summary_en', '', \
               'links', '[]'::jsonb, 'transition', 1, 'source_partition', 9, 'source_offset', 1))).*";
    bench.postgres.execute(old).unwrap();
    let running = run("one");
    until("the old row to go", &running, || metric(&running, "sink_retired_rows_total", &["alerts"]) == 1.0);
    bench.until_equal(&running);
    assert_eq!(metric(&running, "sink_errors_total", &["permission"]), 0.0);
    let tls = "SELECT bool_and(s.ssl) AS ssl FROM pg_stat_ssl AS s JOIN pg_stat_activity AS a USING (pid) WHERE a.usename = 'writer'";
    assert_eq!(bench.postgres.value(tls).unwrap(), true);
    let count = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'writer'";
    assert_eq!(bench.postgres.value(count).unwrap(), 1, "one connection");
    assert_eq!(running.terminate().unwrap(), Some(0));
    let may = |user: &str, sql: &str| bench.postgres.execute_as(user, sql).is_ok();
    assert!(may(
        "reader",
        "SELECT count(*) FROM sinyal.panes, sinyal.waiting_items, sinyal.sink_positions WHERE false"
    ));
    for sql in [
        "DELETE FROM sinyal.alerts",
        "UPDATE sinyal.sink_positions SET next_offset = 0",
        "SELECT * FROM sinyal.sink_migrations",
    ] {
        assert!(!may("reader", sql), "{sql}");
    }
    for sql in [
        "DROP TABLE sinyal.alerts",
        "CREATE TABLE sinyal.mine ()",
        "DELETE FROM sinyal.sink_positions",
        "TRUNCATE sinyal.panes",
    ] {
        assert!(!may("writer", sql), "{sql}");
    }
    // Of what the writer is granted nothing can go.
    for (number, line) in
        grants.lines().filter(|line| line.starts_with("GRANT") && line.contains("\"writer\"")).enumerate()
    {
        if line.contains("CONNECT") {
            // Everybody may, by default.
            continue;
        }
        bench.postgres.execute(&line.replace("GRANT", "REVOKE").replace(" TO ", " FROM ")).unwrap();
        let running = run(&format!("without-{number}"));
        until("that it is not permitted", &running, || metric(&running, "sink_errors_total", &["permission"]) >= 1.0);
        running.kill();
        bench.postgres.execute(line).unwrap();
    }
}
