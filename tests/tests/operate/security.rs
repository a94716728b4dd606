//! Secured listeners of a real Kafka: the whole pipeline through each of them, and what is said to whoever is not let in.

use std::process::Output;
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;
use sinyal_tests::{Authority, Listener, Receiver, Secured, Sinyal, wait_for};

const USER: &str = "sinyal";
const MINUTES_2: Duration = Duration::from_secs(120);

fn secured() -> &'static Secured {
    static SECURED: OnceLock<Secured> = OnceLock::new();
    SECURED.get_or_init(|| Secured::start(&[USER], false).unwrap())
}

/// A configuration that goes in by a listener.
fn sinyal(listener: Listener, prefix: &str, more: &str) -> Sinyal {
    let properties = secured().properties(listener, USER).unwrap();
    Sinyal::new(&secured().bootstrap(listener), prefix, &format!("{properties}{more}")).unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Whatever is said, no secret is in it.
fn check_no_secret(said: &str) {
    let key = secured().tokens.signing_key().unwrap();
    let key = key.lines().nth(1).unwrap().to_owned();
    for secret in [&Secured::password(USER), &Secured::password("client-key"), &key, "rahasia", "eyJ"] {
        assert!(!said.contains(secret), "{secret} is shown: {said}");
    }
}

#[test]
fn the_whole_pipeline_goes_through_tls() {
    whole_pipeline(Listener::Tls, "tls");
}

#[test]
fn the_whole_pipeline_goes_through_mutual_tls() {
    whole_pipeline(Listener::MutualTls, "mtls");
}

#[test]
fn the_whole_pipeline_goes_through_scram() {
    whole_pipeline(Listener::Scram, "scram");
}

#[test]
fn the_whole_pipeline_goes_through_oauthbearer() {
    whole_pipeline(Listener::OauthBearer, "oauth");
}

/// Every client that there is: the administrator's, owners, readers, feeds, subscriptions, and the observer's.
fn whole_pipeline(listener: Listener, prefix: &str) {
    let desk = Receiver::start().unwrap();
    let target = format!(
        "blindness.interval_ms = 500\n[[notify.targets]]\nname = \"desk\"\nkind = \"webhook\"\nurl = \"{}\"\n\
         secret_file = \"desk-secret\"\nqueues = [\"complaint\"]\n",
        desk.url()
    );
    let sinyal = sinyal(listener, prefix, &target);
    std::fs::write(sinyal.file("desk-secret"), "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz").unwrap();
    sinyal.succeed(&["topics", "apply"]).unwrap();
    // Brokers hear of new topics a moment later.
    let mut check = String::new();
    wait_for("check to find all right", MINUTES_2, || {
        let output = sinyal.output(&["check"])?;
        check = said(&output);
        Ok(output.status.success())
    })
    .unwrap_or_else(|error| panic!("{error:#}: {check}"));
    assert!(check.contains("this user may work as classify, as community, as notify"), "{check}");
    let mut running = sinyal.start(&["run"]).unwrap();
    let metric = |running: &mut sinyal_tests::Ran, sample: &str| {
        assert!(running.is_running(), "{}", running.end_of_log());
        running.metrics().is_ok_and(|metrics| metrics.lines().any(|line| line == sample))
    };
    // The observer sees the pipeline, and the target's worker waits for what is routed from now on.
    wait_for("the pipeline to be seen", MINUTES_2, || Ok(metric(&mut running, "sinyal_behind 0"))).unwrap();
    wait_for("the worker of the target", MINUTES_2, || Ok(running.log().matches("partitions assigned").count() >= 3))
        .unwrap();
    let lines = sinyal.succeed(&["sim", "--seed", "3", "--interactions", "300"]).unwrap();
    std::fs::write(sinyal.file("input.jsonl"), lines).unwrap();
    sinyal.succeed(&["ingest", "input.jsonl"]).unwrap();
    wait_for("all to be consumed", MINUTES_2, || Ok(running.consumed("classify")? >= 300)).unwrap();
    wait_for("an item to be told", MINUTES_2, || Ok(!desk.taken().is_empty())).unwrap();
    let tail = sinyal.succeed(&["tail", &sinyal.topic("social.interactions.classified"), "-n", "1"]).unwrap();
    let record: Value = serde_json::from_str(tail.trim()).unwrap();
    assert!(record["value"].is_object(), "{tail}");
    let status = sinyal.output(&["status", "--json"]).unwrap();
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status["groups"][0]["stage"], "classify");
    let list = sinyal.succeed(&["queue", "list", "--queue", "complaint", "--json"]).unwrap();
    assert!(list.contains("complaint"), "{list}");
    assert_eq!(running.terminate().unwrap(), Some(0), "{}", sinyal.log());
    check_no_secret(&sinyal.log());
}

/// What a command says that is not let in: where, why, and nothing secret; and it comes to an end.
fn check_not_let_in(sinyal: &Sinyal, listener: Listener, why: &[&str]) {
    std::fs::write(sinyal.file("one.jsonl"), "{}\n").unwrap();
    for command in [&["check"][..], &["topics", "apply"], &["ingest", "one.jsonl"], &["tail", "any"], &["status"]] {
        let output = sinyal.output(command).unwrap();
        let said = said(&output);
        assert_eq!(output.status.code(), Some(3), "{command:?}: {said}");
        assert!(said.contains(&secured().bootstrap(listener)), "{command:?}: {said}");
        for why in why {
            assert!(said.contains(why), "{command:?} does not say {why:?}: {said}");
        }
        check_no_secret(&said);
    }
}

#[test]
fn a_wrong_password_is_told() {
    let properties = secured().properties(Listener::Scram, USER).unwrap();
    let wrong = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(wrong.path(), "rahasia-lain").unwrap();
    let right = secured().secret(USER).unwrap();
    let properties = properties.replace(&right.display().to_string(), &wrong.path().display().to_string());
    let sinyal = Sinyal::new(&secured().bootstrap(Listener::Scram), "wrong-password", &properties).unwrap();
    check_not_let_in(&sinyal, Listener::Scram, &["SASL authentication error", "SCRAM-SHA-512"]);
    // Asking again would be refused again.
    let mut running = sinyal.start(&["run"]).unwrap();
    assert_eq!(running.wait(MINUTES_2).unwrap(), Some(3), "{}", running.end_of_log());
    assert!(running.log().contains("SASL authentication error"), "{}", running.log());
    check_no_secret(&running.log());
}

#[test]
fn a_broker_that_nobody_vouches_for_is_told() {
    let other = Authority::new("somebody else").unwrap();
    let right = secured().authority.certificate().display().to_string();
    let wrong = other.certificate().display().to_string();
    let properties = secured().properties(Listener::Tls, USER).unwrap().replace(&right, &wrong);
    let sinyal = Sinyal::new(&secured().bootstrap(Listener::Tls), "distrust", &properties).unwrap();
    check_not_let_in(&sinyal, Listener::Tls, &["certificate verify failed", "ssl.ca.location"]);
    // It may be the broker's certificate that is to be replaced: the service waits, and says for what.
    let mut running = sinyal.start(&["run"]).unwrap();
    wait_for("the reason in the log", MINUTES_2, || Ok(running.log().contains("certificate verify failed"))).unwrap();
    assert!(running.is_running(), "{}", running.end_of_log());
    assert_eq!(running.terminate().unwrap(), Some(0));
}

#[test]
fn a_client_that_nobody_vouches_for_is_told() {
    // It trusts the broker, and has nothing to show.
    let properties = secured().properties(Listener::Tls, USER).unwrap();
    let sinyal = Sinyal::new(&secured().bootstrap(Listener::MutualTls), "unknown", &properties).unwrap();
    check_not_let_in(&sinyal, Listener::MutualTls, &["alert bad certificate"]);
}

#[test]
fn a_wrong_secret_and_an_expired_token_are_told_and_waited_for() {
    let wrong = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(wrong.path(), "rahasia-lain").unwrap();
    // A giver of tokens of its own: the other tests want tokens that are good.
    let secured = Secured::start(&[USER], false).unwrap();
    let right = secured.properties(Listener::OauthBearer, USER).unwrap();
    let path = secured.secret("sinyal-client").unwrap().display().to_string();
    let bootstrap = secured.bootstrap(Listener::OauthBearer);
    let check = |properties: &str, why: &str| {
        let sinyal = Sinyal::new(&bootstrap, "token", properties).unwrap();
        let output = sinyal.output(&["check"]).unwrap();
        let said = said(&output);
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.contains(&bootstrap) && said.contains("SASL OAUTHBEARER token") && said.contains(why), "{said}");
        assert!(!said.contains("rahasia") && !said.contains("eyJ"), "{said}");
    };
    check(&right.replace(&path, &wrong.path().display().to_string()), "invalid_client");
    secured.tokens.set_lifetime_s(-60);
    check(&right, "expired");
    // Whoever gives tokens may be right again in a moment: the service waits, and goes on by itself.
    let sinyal = Sinyal::new(&bootstrap, "token", &right).unwrap();
    let mut running = sinyal.start(&["run", "--role", "classify"]).unwrap();
    wait_for("the reason in the log", MINUTES_2, || {
        assert!(running.is_running(), "{}", running.end_of_log());
        Ok(running.log().contains("Failed to acquire SASL OAUTHBEARER token"))
    })
    .unwrap();
    // So short that several are needed within the test: the client asks for the next by itself, and brokers end who does not.
    secured.tokens.set_lifetime_s(15);
    let topics = Sinyal::new(&secured.kafka.bootstrap(), "token", "").unwrap();
    topics.succeed(&["topics", "apply"]).unwrap();
    wait_for("partitions", MINUTES_2, || Ok(running.log().contains("partitions assigned"))).unwrap();
    let given = secured.tokens.given();
    wait_for("three more tokens", MINUTES_2, || Ok(secured.tokens.given() >= given + 6)).unwrap();
    let lines = topics.succeed(&["sim", "--seed", "3", "--interactions", "100"]).unwrap();
    std::fs::write(topics.file("input.jsonl"), lines).unwrap();
    topics.succeed(&["ingest", "input.jsonl"]).unwrap();
    wait_for("all to be consumed", MINUTES_2, || Ok(running.consumed("classify")? >= 100)).unwrap();
    assert_eq!(running.terminate().unwrap(), Some(0), "{}", sinyal.log());
    assert!(!sinyal.log().contains("rahasia") && !sinyal.log().contains("eyJ"), "{}", sinyal.log());
}
