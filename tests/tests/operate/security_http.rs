//! Servers behind TLS and a lock (a schema registry, Alertmanager, a webhook): let in with the right credentials, told plainly
//! without them, and credentials that are replaced while the service runs.

use std::process::Output;
use std::time::Duration;

use kafka_io::Connection;
use kafka_io::feed::Feed;
use serde_json::json;
use sinyal_tests::checks::{kafka, wait_until_committed};
use sinyal_tests::{Alertmanager, Authority, Guard, Proxy, Reader, Receiver, Registry, Sinyal, wait_for};

const LONG: Duration = Duration::from_secs(120);
const PASSWORD: &str = "rahasia-satu-77";
const TOKEN: &str = "rahasia-dua-88";

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// What a command says that fails because of something outside; no secret is in it.
fn refused(sinyal: &Sinyal, arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let output = sinyal.output_with(arguments, variables).unwrap();
    let said = said(&output);
    assert_eq!(output.status.code(), Some(3), "{arguments:?}: {said}");
    assert!(!said.contains("rahasia"), "{said}");
    said
}

#[test]
fn a_registry_behind_tls_and_a_password_or_a_token() {
    let registry = Registry::start().unwrap();
    let authority = Authority::new("Sinyal tests").unwrap();
    let by_password = Proxy::start(&authority, registry.port(), Guard::Password("sinyal", PASSWORD)).unwrap();
    let by_token = Proxy::start(&authority, registry.port(), Guard::Token(TOKEN)).unwrap();
    let address = |proxy: &Proxy| format!("{}/apis/ccompat/v7", proxy.url());
    let more = format!(
        "registry.url = \"{}\"\nregistry.username = \"sinyal\"\nregistry.password_file = \"password\"\nregistry.ca_file = \"{}\"\n",
        address(&by_password),
        authority.certificate().display()
    );
    let sinyal = Sinyal::new(&kafka().bootstrap(), "locked", &more).unwrap();
    let write = |name: &str, text: &str| std::fs::write(sinyal.file(name), text).unwrap();
    write("password", &format!("{PASSWORD}\n"));
    write("token", &format!("{TOKEN}\n"));
    write("empty", "");
    sinyal.succeed(&["topics", "apply"]).unwrap();
    sinyal.succeed(&["schemas", "register"]).unwrap();
    // The same by a token.
    let token_url = address(&by_token);
    let token = [
        ("SINYAL__REGISTRY__URL", token_url.as_str()),
        ("SINYAL__REGISTRY__USERNAME", ""),
        ("SINYAL__REGISTRY__PASSWORD_FILE", ""),
        ("SINYAL__REGISTRY__TOKEN_FILE", "token"),
    ];
    let output = sinyal.output_with(&["schemas", "check"], &token).unwrap();
    assert!(output.status.success(), "{}", said(&output));
    // The hot path through it: records are framed by its ids.
    let running = &mut sinyal.start(&["run"]).unwrap();
    let lines = sinyal.succeed(&["sim", "--seed", "5", "--interactions", "100"]).unwrap();
    std::fs::write(sinyal.file("input.jsonl"), lines).unwrap();
    sinyal.succeed(&["ingest", "input.jsonl"]).unwrap();
    wait_for("all to be consumed", LONG, || Ok(running.consumed("classify")? >= 100)).unwrap();
    wait_for("something to be counted", LONG, || Ok(running.consumed("community")? >= 100)).unwrap();
    assert!(!running.log().contains("rahasia"));

    write("password", "rahasia-yang-lain\n");
    let said = refused(&sinyal, &["schemas", "check"], &[]);
    assert!(
        said.contains(&by_password.url()) && said.contains("status 401") && said.contains("registry.password_file"),
        "{said}"
    );
    let said = refused(&sinyal, &["check"], &[]);
    assert!(said.contains("TO DO subject") && said.contains("does not let us in (status 401)"), "{said}");
    write("password", &format!("{PASSWORD}\n"));
    let said = refused(&sinyal, &["schemas", "check"], &[("SINYAL__REGISTRY__CA_FILE", "")]);
    assert!(said.contains(&by_password.url()) && said.contains("ca_file"), "{said}");
}

#[test]
fn credentials_of_a_registry_that_are_none_are_mistakes_of_the_configuration() {
    let sinyal = Sinyal::new(
        "127.0.0.1:1",
        "none",
        "registry.url = \"https://me:rahasia@registry/\"\nregistry.username = \"a:b\"\nregistry.token_file = \"secret\"\n\
         registry.ca_file = \"secret\"\nkafka.properties.\"sasl.password\" = \"rahasia\"\n",
    )
    .unwrap();
    let output = sinyal.output(&["check"]).unwrap();
    let said = said(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    for expected in [
        "registry.url is no address",
        "registry: username and password_file, or token_file alone, or none of them is right",
        "registry.username holds a colon",
        "registry.token_file: what \"secret\" holds is none; a token of visible ASCII characters is right",
        "registry.ca_file is \"secret\"; a file of certificates in PEM is right (it holds no certificate)",
        "kafka.properties.\"sasl.password\" is a secret, which has no place in this file",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    assert!(!said.contains("rahasia"), "{said}");
}

#[test]
fn alertmanager_behind_tls_and_a_password() {
    let alertmanager = Alertmanager::start().unwrap();
    let port: u16 = alertmanager.url().rsplit(':').next().unwrap().parse().unwrap();
    let authority = Authority::new("Sinyal tests").unwrap();
    let proxy = Proxy::start(&authority, port, Guard::Password("sinyal", PASSWORD)).unwrap();
    let target = |ca_file: &str| {
        format!(
            "[[notify.targets]]\nname = \"pager\"\nkind = \"alertmanager\"\nurl = \"{}\"\nusername = \"sinyal\"\n\
             password_file = \"password\"\n{ca_file}",
            proxy.url()
        )
    };
    let ca_file = format!("ca_file = \"{}\"\n", authority.certificate().display());
    let sinyal = Sinyal::new(&kafka().bootstrap(), "pager", &target(&ca_file)).unwrap();
    std::fs::write(sinyal.file("password"), PASSWORD).unwrap();
    sinyal.succeed(&["topics", "apply"]).unwrap();
    let check = said(&sinyal.output(&["check"]).unwrap());
    assert!(check.contains("ok    target pager: Alertmanager answers"), "{check}");
    std::fs::write(sinyal.file("password"), "rahasia-yang-lain").unwrap();
    let check = refused(&sinyal, &["check"], &[]);
    assert!(check.contains("TO DO target pager: status 401"), "{check}");
    let sinyal = Sinyal::new(sinyal.bootstrap(), "pager", &target("")).unwrap();
    std::fs::write(sinyal.file("password"), PASSWORD).unwrap();
    let check = refused(&sinyal, &["check"], &[]);
    assert!(check.contains("TO DO target pager: no answer") && check.contains("`ca_file`"), "{check}");
}

#[test]
fn a_webhook_is_told_while_its_certificate_its_token_and_its_secret_are_replaced() {
    let desk = Receiver::start().unwrap();
    let port: u16 = desk.url().trim_end_matches("/hook").rsplit(':').next().unwrap().parse().unwrap();
    let first = Authority::new("first").unwrap();
    let proxy = Proxy::start(&first, port, Guard::Token("rahasia-lama")).unwrap();
    let proxy_port = proxy.port();
    let more = format!(
        "notify.backoff_ms = 100\nnotify.backoff_max_ms = 1000\nnotify.circuit_open_ms = 200\nnotify.attempts_max = 1000\n\
         [[notify.targets]]\nname = \"desk\"\nkind = \"webhook\"\nurl = \"{}/hook\"\nsecret_file = \"signing\"\ntoken_file = \"token\"\n\
         ca_file = \"authority.pem\"\nalerts = false\nqueues = [\"complaint\"]\n",
        proxy.url()
    );
    let sinyal = Sinyal::new(&kafka().bootstrap(), "hook", &more).unwrap();
    let write = |name: &str, text: &str| std::fs::write(sinyal.file(name), text).unwrap();
    let old_secret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz";
    write("signing", old_secret);
    write("token", "rahasia-lama");
    std::fs::copy(first.certificate(), sinyal.file("authority.pem")).unwrap();
    sinyal.succeed(&["topics", "apply"]).unwrap();
    let running = sinyal.start(&["run"]).unwrap();
    wait_for("the worker of the target", LONG, || Ok(running.log().matches("partitions assigned").count() >= 3))
        .unwrap();
    let complain = |number: u32| {
        let line = json!({
            "kind": "comment", "id": format!("keluhan-{number}"), "community_id": "warga", "post_id": "p",
            "text": "Kecewa sekali, paket saya hilang dan tidak ada yang menjawab keluhan!", "created_at": "2026-01-05T08:00:00Z",
            "observed_at": "2026-01-05T08:00:00Z", "author": { "id": "a", "role": "member" },
        });
        std::fs::write(sinyal.file("one.jsonl"), line.to_string()).unwrap();
        sinyal.succeed(&["ingest", "one.jsonl"]).unwrap();
        wait_for(&format!("complaint {number} to be told"), LONG, || {
            Ok(desk.deliveries().iter().any(|delivery| delivery.body.contains(&format!("keluhan-{number}"))))
        })
        .unwrap_or_else(|error| panic!("{error:#}: {}", sinyal.log()));
    };
    complain(1);
    desk.verify(old_secret).unwrap();
    // Another authority, another token, another secret: nothing is started anew.
    let second = Authority::new("second").unwrap();
    drop(proxy);
    let _proxy = Proxy::start_at(proxy_port, &second, port, Guard::Token(TOKEN)).unwrap();
    std::fs::copy(second.certificate(), sinyal.file("authority.pem")).unwrap();
    write("token", TOKEN);
    write("signing", "whsec_YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXoxMjM0NTY=");
    complain(2);
    let last = desk.deliveries().into_iter().next_back().unwrap();
    assert_eq!(last.authorization, format!("Bearer {TOKEN}"));
    assert!(desk.verify(old_secret).is_err(), "the last was signed by the new secret");
    assert!(!running.log().contains("rahasia") && !running.log().contains("whsec_"), "{}", running.log());
    assert_eq!(running.terminate().unwrap(), Some(0));
}

#[test]
fn what_is_served_is_served_where_it_is_configured_and_nowhere_else() {
    let sinyal = Sinyal::new("127.0.0.1:1", "served", "").unwrap();
    let running = sinyal.start(&["run", "--role", "classify"]).unwrap();
    wait_for("something to be served", LONG, || Ok(running.metrics().is_ok())).unwrap();
    let address = running.address().unwrap();
    let port: u16 = address.rsplit(':').next().unwrap().parse().unwrap();
    // All of 127.0.0.0/8 is this machine.
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    assert!(std::net::TcpStream::connect(("127.0.0.2", port)).is_err());
    running.kill();
    let running = sinyal.start_with(&["run", "--role", "classify"], &[("SINYAL__HTTP__LISTEN", "")]).unwrap();
    wait_for("the role to look for brokers", LONG, || Ok(running.log().contains("no broker"))).unwrap();
    assert!(!running.log().contains("http is served"), "{}", running.log());
    running.kill();
}

/// Every word that is a person's: who somebody is, and what somebody wrote.
fn personal(lines: &str) -> Vec<String> {
    let mut words = Vec::new();
    for line in lines.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        words.extend(line["text"].as_str().filter(|text| text.len() >= 12).map(str::to_owned));
        for who in ["author", "post_author", "parent_author"] {
            for field in ["id", "handle", "name", "display_name"] {
                words.extend(line[who][field].as_str().filter(|word| word.len() >= 4).map(str::to_owned));
            }
        }
    }
    words.sort();
    words.dedup();
    words
}

#[test]
fn nothing_personal_is_in_metrics_and_logs() {
    let more = "blindness.interval_ms = 500\nnotify.acknowledge_token_file = \"secret\"\n[[notify.targets]]\nname = \"desk\"\n\
                kind = \"webhook\"\nurl = \"http://127.0.0.1:1/\"\nsecret_file = \"signing\"\nqueues = [\"complaint\"]\n";
    let sinyal = Sinyal::new(&kafka().bootstrap(), "personal", more).unwrap();
    std::fs::write(sinyal.file("signing"), "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz").unwrap();
    sinyal.succeed(&["topics", "apply"]).unwrap();
    // All that it may ever log.
    let mut running = sinyal.start_with(&["run"], &[("SINYAL__TELEMETRY__LOG", "trace,hyper=off")]).unwrap();
    wait_for("the worker of the target", LONG, || Ok(running.log().matches("partitions assigned").count() >= 3))
        .unwrap();
    let lines = sinyal.succeed(&["sim", "--seed", "8", "--interactions", "600"]).unwrap();
    let words = personal(&lines);
    assert!(words.len() > 300, "only {} words are personal", words.len());
    std::fs::write(sinyal.file("input.jsonl"), lines).unwrap();
    sinyal.succeed(&["ingest", "input.jsonl"]).unwrap();
    // What is refused is a person's too: by its bytes, by its times, as a correction, as an action.
    let feed = Feed::open(
        &Connection { bootstrap: kafka().bootstrap(), client_id: "test".to_owned(), properties: Vec::new() },
        1_048_576,
    )
    .unwrap();
    for topic in ["social.posts.raw", "social.comments.raw", "social.corrections", "social.actions", "social.alerts"] {
        feed.send(&sinyal.topic(topic), Some(b"orang-pribadi-77"), Some(b"isi pribadi 88 dari seseorang"), None)
            .unwrap();
    }
    feed.flush(Duration::from_secs(30)).unwrap();
    assert_eq!(feed.failed(), 0);
    let wrong = json!({ "kind": "post", "id": "isi pribadi 88", "text": "isi pribadi 88 dari seseorang", "created_at": "isi pribadi 88" });
    std::fs::write(sinyal.file("wrong.jsonl"), wrong.to_string()).unwrap();
    let ingest = sinyal.output(&["ingest", "wrong.jsonl"]).unwrap();
    assert_eq!(ingest.status.code(), Some(4), "{}", said(&ingest));
    let reader = Reader::new(sinyal.bootstrap()).unwrap();
    wait_until_committed(&sinyal, kafka(), &reader)
        .unwrap_or_else(|error| panic!("{error:#}: {}", running.end_of_log()));
    wait_for("a target that does not answer to be told of", LONG, || {
        Ok(running.log().contains("an attempt to notify failed"))
    })
    .unwrap();
    let shown = format!("{}\n{}\n{}", running.metrics().unwrap(), sinyal.log(), said(&ingest));
    assert!(shown.len() > 10_000, "{shown}");
    for word in words.iter().map(String::as_str).chain(["orang-pribadi", "isi pribadi 88 dari"]) {
        if let Some(at) = shown.find(word) {
            let from = shown[..at].rfind('\n').map_or(0, |at| at + 1);
            panic!("{word:?} is shown: {}", &shown[from..(at + word.len())]);
        }
    }
    running.kill();
}
