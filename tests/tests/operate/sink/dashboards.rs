//! Every query of the dashboards, against the tables: Grafana's variables and macros are put in as Grafana does.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sinyal_tests::workspace;

use super::bench::{Bench, piped};

/// What each panel and each annotation gives: its columns, and whether there must be rows with what the pipeline left.
const COMMUNITIES: &[(&str, &str, bool)] = &[
    ("Quiet or blind", "state", true),
    ("Interactions", "interactions", true),
    ("Harmony", "harmony", true),
    ("Open complaints", "open_complaints", true),
    ("Oldest open complaint", "oldest", true),
    ("Data as of", "age", true),
    ("Volume by label", "time complaints tips experiences praises others", true),
    ("Harmony over time", "time harmony", true),
    ("Members", "time new_members returning_members", true),
    ("Time to first response", "time first_response_ms_p50 first_response_ms_p90", true),
    ("Open complaints over time", "time open_complaints", true),
    (
        "Who speaks to whom",
        "time member_to_brand brand_to_member member_to_member brand_to_all member_to_all direction_unknown",
        true,
    ),
    ("How complete the figures are", "time completeness brand_contact_regularity", true),
    (
        "Alerts of this community",
        "started_at state severity rule observed expected summary_en lasted acknowledged_by",
        true,
    ),
    (
        "All communities",
        "community_id window_end interactions complaints praises harmony open_complaints oldest_open_complaint_ms new_members \
         returning_members alerts_on",
        true,
    ),
    ("annotation Alerts", "time timeend text tags", true),
    ("variable schema", "table_schema", true),
    ("variable community", "community_id", true),
    ("variable window", "window_name", true),
];
const RESPONDERS: &[(&str, &str, bool)] = &[
    ("Waiting", "waiting", true),
    ("Overdue", "overdue", true),
    ("Longest wait", "longest", true),
    ("Nobody has taken", "unclaimed", true),
    ("Alerts on", "alerts_on", true),
    ("Data as of", "age", true),
    ("Queues now", "queue waiting claimed overdue median_wait longest_wait next_due", true),
    ("Waiting time by queue", "queue under_1h under_4h under_1d over_1d", true),
    (
        "Who waits longest",
        "waits queue community_id label priority due_at status claimed_by reason text url item",
        true,
    ),
    ("Queue lengths over time", "time metric value", true),
    ("Time to an answer", "time half nine_of_ten", true),
    ("Answers by queue", "queue answered acknowledged median_wait p90_wait in_time", true),
    ("Fairness by language", "language closed waiting median_wait", true),
    (
        "Alerts that are on",
        "severity state community_id rule started_at observed expected summary_en acknowledged_by silenced_until",
        true,
    ),
    ("annotation Alerts", "time timeend text tags", true),
    ("variable schema", "table_schema", true),
    ("variable queue", "queue", true),
    ("variable community", "community_id", true),
];

#[test]
fn every_query_gives_rows_of_what_the_panels_show() {
    let bench = Bench::new(piped(), "sink-boards", "");
    let running = bench.start();
    bench.until_equal(&running);
    super::bench::until("what is written to be noted", &running, || {
        let noted = "SELECT bool_and(caught_up_at IS NOT NULL) AS noted FROM sinyal.sink_positions";
        bench.postgres.value(noted).is_ok_and(|noted| noted == true)
    });
    // What the sample alert is of is the community that has most of all the figures: one with as many panes need not have had the
    // answers that a regularity is of.
    let community = bench.postgres.value(
        "SELECT community_id FROM sinyal.panes WHERE window_name = '1h' GROUP BY community_id \
         ORDER BY least(count(brand_contact_regularity), count(first_response_ms_p50), count(harmony)) DESC, count(*) DESC, community_id LIMIT 1",
    );
    let community = community.unwrap().as_str().unwrap().to_owned();
    bench.postgres.execute(&format!("UPDATE sinyal.alerts SET community_id = '{community}'")).unwrap();
    let range = bench
        .postgres
        .query(
            "SELECT to_char(least(min(window_start), (SELECT min(started_at) FROM sinyal.alerts)), 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS begins, \
             to_char(max(window_end), 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS ends FROM sinyal.panes WHERE window_name = '1h'",
        )
        .unwrap();
    let values = Values {
        from: range[0]["begins"].as_str().unwrap().to_owned(),
        to: range[0]["ends"].as_str().unwrap().to_owned(),
        variables: BTreeMap::from([
            ("schema", "sinyal".to_owned()),
            ("window", "'1h'".to_owned()),
            ("community", format!("'{community}'")),
            ("queue", "'complaint','tip','experience','praise','review'".to_owned()),
        ]),
    };
    for (file, expected) in [("communities", COMMUNITIES), ("responders", RESPONDERS)] {
        let path = workspace().join(format!("deploy/grafana/{file}.json"));
        let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let queries = queries(&dashboard);
        let names: BTreeSet<&str> = queries.keys().map(String::as_str).collect();
        assert_eq!(names, expected.iter().map(|(name, ..)| *name).collect(), "{file}");
        for (name, columns, has_rows) in expected {
            let (format, sql) = &queries[*name];
            let sql = values.put_in(sql);
            let rows = bench.postgres.query(&sql).unwrap_or_else(|error| panic!("{file}: {name}: {error:#}"));
            assert!(!has_rows || !rows.is_empty(), "{file}: {name} gives no row: {sql}");
            for row in &rows {
                let found: BTreeSet<&str> = row.as_object().unwrap().keys().map(String::as_str).collect();
                assert_eq!(found, columns.split_whitespace().collect(), "{file}: {name}");
            }
            if format == "time_series" {
                let times: Vec<&str> = rows.iter().map(|row| row["time"].as_str().unwrap()).collect();
                assert!(times.is_sorted(), "{file}: {name}: {times:?}");
            }
            // A statistic that is null everywhere would be an empty panel.
            let empty = |column: &str| rows.iter().all(|row| row[column].is_null());
            let often_empty = [
                "text",
                "url",
                "claimed_by",
                "due_at",
                "next_due",
                "acknowledged_by",
                "silenced_until",
                "in_time",
                "oldest",
            ];
            let all_null: Vec<&str> =
                columns.split_whitespace().filter(|column| empty(column) && !often_empty.contains(column)).collect();
            assert!(rows.is_empty() || all_null.is_empty(), "{file}: {name}: {all_null:?} are null in every row");
        }
    }
    assert_eq!(running.terminate().unwrap(), Some(0));
}

/// All that a dashboard asks, by the panel, annotation or variable: the format, and the query.
fn queries(dashboard: &Value) -> BTreeMap<String, (String, String)> {
    let mut queries = BTreeMap::new();
    let mut add = |name: String, target: &Value| {
        let text = |field: &str| target[field].as_str().unwrap_or_else(|| panic!("{name} has no {field}")).to_owned();
        let query = (text("format"), text("rawSql"));
        assert!(queries.insert(name.clone(), query).is_none(), "{name} is there twice");
    };
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            add(panel["title"].as_str().unwrap().to_owned(), target);
        }
    }
    for annotation in dashboard["annotations"]["list"].as_array().unwrap() {
        add(format!("annotation {}", annotation["name"].as_str().unwrap()), &annotation["target"]);
    }
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        if variable["type"] == "query" {
            let query = ("table".to_owned(), variable["query"].as_str().unwrap().to_owned());
            queries.insert(format!("variable {}", variable["name"].as_str().unwrap()), query);
        }
    }
    queries
}

/// What Grafana knows when it asks.
struct Values {
    from: String,
    to: String,
    variables: BTreeMap<&'static str, String>,
}

impl Values {
    /// Variables first, as Grafana's front end has it; then macros, whose arguments end at the first parenthesis.
    fn put_in(&self, sql: &str) -> String {
        let mut sql = sql.replace("$__interval_ms", "60000");
        for (name, value) in &self.variables {
            sql = sql.replace(&format!("${{{name}:sqlstring}}"), value);
            sql = sql.replace(&format!("${name}"), value);
        }
        let (from, to) = (&self.from, &self.to);
        while let Some(at) = sql.find("$__") {
            let open = at + sql[at..].find('(').expect("a macro has arguments");
            let close = open + sql[open..].find(')').expect("they end");
            let arguments: Vec<&str> = sql[open + 1..close].split(',').map(str::trim).collect();
            let value = match &sql[at + 3..open] {
                "timeFilter" => format!("{} BETWEEN '{from}' AND '{to}'", arguments[0]),
                "timeFrom" => format!("'{from}'"),
                "timeTo" => format!("'{to}'"),
                other => panic!("no macro is called {other}: {sql}"),
            };
            sql.replace_range(at..=close, &value);
        }
        assert!(!sql.contains('$'), "{sql}");
        sql
    }
}
