//! Routing by labels and by rules: where each goes, why, and what is wrong with a list.

use super::*;
use crate::{Communities, CommunitySpec, SlaClock};

fn spec(name: &str, takes: Takes) -> QueueSpec {
    QueueSpec { name: name.to_owned(), takes, department: "desk".to_owned(), sla: None }
}

fn routable(label: Label, abstained: bool, author_role: Role, deleted: bool) -> Routable<'static> {
    Routable {
        label,
        confidence: 0.8,
        abstained,
        language: Language::Indonesian,
        community_id: "warga-depok",
        direction: Direction::MemberToAll,
        content_kinds: [record::ContentKind::Text].into_iter().collect(),
        author_role,
        deleted,
    }
}

fn rule(name: &str, when: Conditions, queue: &str) -> RuleSpec {
    RuleSpec { name: name.to_owned(), when, queue: queue.to_owned(), department: None, sla: None }
}

#[test]
fn routes_by_label_and_doubt() {
    let routing = Routing::standard();
    let name = |label, abstained, role, deleted| match routing.route(&routable(label, abstained, role, deleted)) {
        Routed::Queue(route) => Some(route.queue.spec.name.clone()),
        Routed::Unqueued => None,
    };
    assert_eq!(name(Label::Tip, false, Role::Unknown, false).as_deref(), Some("tip"));
    assert_eq!(name(Label::Other, true, Role::Member, false).as_deref(), Some("review"));
    assert_eq!(name(Label::Other, false, Role::Member, false), None);
    assert_eq!(name(Label::Praise, false, Role::Member, true), None);
    assert_eq!(name(Label::Praise, true, Role::Brand, false), None);
}

#[test]
fn names_what_is_wrong() {
    let check = |specs, expected| assert_eq!(Routing::new(specs).err(), Some(expected));
    let tip = || spec("tip", Takes::Label(Label::Tip));
    check(vec![spec("a b", Takes::Review)], RoutingError::Name("a b".into()));
    check(vec![spec("state", Takes::Review)], RoutingError::Reserved("state".into()));
    check(vec![tip(), spec("tip", Takes::Review)], RoutingError::DuplicateName("tip".into()));
    check(vec![tip(), spec("ideas", Takes::Label(Label::Tip))], RoutingError::Overlap("ideas".into(), "tip".into()));
    let nobody = QueueSpec { department: " ".into(), ..tip() };
    check(vec![nobody], RoutingError::NoDepartment("tip".into()));
}

#[test]
fn names_what_is_wrong_with_a_rule() {
    let check = |specs: Vec<RuleSpec>, expected: &str| {
        let error = Routing::standard().with_rules(specs).unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    let any = Conditions::default;
    check(
        vec![rule("a", any(), "tips")],
        "rule \"a\" sends to queue \"tips\", which is not there; complaint, tip, experience, praise, review is right, or none",
    );
    check(vec![rule("a", any(), "tip"), rule("a", any(), "tip")], "rule \"a\" is listed twice; each name once");
    check(vec![rule("", any(), "tip")], "rule name \"\": 1 to 64 bytes are right");
    let wide = Conditions { confidence_min: Some(1.5), ..any() };
    check(vec![rule("a", wide, "tip")], "rule \"a\": confidence_min is 1.5; 0 to 1 is right");
    let empty = Conditions { confidence_min: Some(0.5), confidence_below: Some(0.5), ..any() };
    check(
        vec![rule("a", empty, "tip")],
        "rule \"a\": no confidence is at least 0.5 and below 0.5; a confidence_min below it is right",
    );
    let many = (0..257).map(|number| rule(&number.to_string(), any(), "tip")).collect();
    check(many, "257 rules; at most 256");
}

#[test]
fn the_first_rule_that_matches_decides() {
    let mut queues: Vec<QueueSpec> = Routing::standard().queues().iter().map(|queue| queue.spec.clone()).collect();
    queues[0].sla = Sla::new(240, SlaClock::Business);
    queues.push(spec("vip-line", Takes::Rules));
    let depok = Conditions {
        labels: vec![Label::Complaint, Label::Tip],
        communities: ["warga-depok".to_owned()].into(),
        ..Conditions::default()
    };
    let rules = vec![
        rule(
            "nothing in a language not served",
            Conditions { languages: vec![Language::Other], ..Default::default() },
            "none",
        ),
        RuleSpec {
            department: Some("depok desk".to_owned()),
            sla: Sla::new(30, SlaClock::Always),
            ..rule("depok", depok.clone(), "vip-line")
        },
        rule("never reached", depok, "tip"),
    ];
    let routing = Routing::new(queues).unwrap().with_rules(rules).unwrap();
    let complaint = routable(Label::Complaint, false, Role::Member, false);

    let Routed::Queue(route) = routing.route(&complaint) else { panic!("not queued") };
    assert_eq!((route.queue.spec.name.as_str(), route.sla), ("vip-line", Sla::new(30, SlaClock::Always)));
    assert_eq!(route.index, 5);
    assert_eq!(
        route.reason(),
        "rule \"depok\" matches: label complaint or tip, community warga-depok; it sends to queue vip-line"
    );
    assert_eq!(route.department(Communities::standard().default_community()), "depok desk");

    let elsewhere = Routable { community_id: "warga-bogor", ..complaint };
    let Routed::Queue(route) = routing.route(&elsewhere) else { panic!("not queued") };
    assert_eq!((route.queue.spec.name.as_str(), route.sla), ("complaint", Sla::new(240, SlaClock::Business)));
    assert!(route.rule.is_none() && route.reason().contains("label complaint"));

    assert_eq!(routing.route(&Routable { language: Language::Other, ..complaint }), Routed::Unqueued);
    // Whatever a rule says, the brand's own words and what was taken back wait nowhere.
    assert_eq!(routing.route(&Routable { author_role: Role::Brand, ..complaint }), Routed::Unqueued);
    assert_eq!(routing.route(&Routable { deleted: true, ..complaint }), Routed::Unqueued);

    let against: Vec<Vec<String>> = routing.verdicts(&elsewhere).into_iter().map(|verdict| verdict.against).collect();
    let other_community = "community is warga-bogor; it wants warga-depok";
    assert_eq!(against, [vec!["language is id; it wants other"], vec![other_community], vec![other_community]]);
}

#[test]
fn a_department_is_the_rules_then_the_communitys_then_the_queues() {
    let owned = CommunitySpec {
        id: "warga-depok".to_owned(),
        department: Some("jabar desk".to_owned()),
        ..CommunitySpec::default()
    };
    let communities = Communities::new(&CommunitySpec::default(), &[owned]).unwrap();
    let routing = Routing::standard();
    let Routed::Queue(route) = routing.route(&routable(Label::Tip, false, Role::Member, false)) else {
        panic!("not queued")
    };
    assert_eq!(route.department(communities.get("warga-depok")), "jabar desk");
    assert_eq!(route.department(communities.get("warga-bogor")), "product");
}

/// Every condition alone: what it lets through, and what is said against the rest.
#[test]
fn each_condition_holds_by_itself() {
    let base = routable(Label::Complaint, false, Role::Member, false);
    let photo: ContentKinds = [record::ContentKind::Photo].into_iter().collect();
    let any = Conditions::default;
    let cases: [(Conditions, Routable<'_>, Routable<'_>, &str); 8] = [
        (
            Conditions { labels: vec![Label::Praise], ..any() },
            Routable { label: Label::Praise, ..base },
            base,
            "label is complaint; it wants praise",
        ),
        (
            Conditions { languages: vec![Language::Javanese, Language::Sundanese], ..any() },
            Routable { language: Language::Sundanese, ..base },
            base,
            "language is id; it wants jv or su",
        ),
        (
            Conditions { communities: ["a".to_owned()].into(), ..any() },
            Routable { community_id: "a", ..base },
            base,
            "community is warga-depok; it wants a",
        ),
        (
            Conditions { directions: vec![Direction::MemberToBrand], ..any() },
            Routable { direction: Direction::MemberToBrand, ..base },
            base,
            "direction is member_to_all; it wants member_to_brand",
        ),
        (
            Conditions { content_kinds: photo, ..any() },
            Routable { content_kinds: photo, ..base },
            base,
            "content is text; it wants photo",
        ),
        (
            Conditions { abstained: Some(true), ..any() },
            Routable { abstained: true, ..base },
            base,
            "the classifier is sure; it wants unsure",
        ),
        (
            Conditions { confidence_min: Some(0.9), ..any() },
            Routable { confidence: 0.9, ..base },
            base,
            "confidence is 0.800; it wants at least 0.9",
        ),
        (
            Conditions { confidence_below: Some(0.8), ..any() },
            Routable { confidence: 0.79, ..base },
            base,
            "confidence is 0.800; it wants below 0.8",
        ),
    ];
    for (when, inside, outside, against) in cases {
        let routing = Routing::standard().with_rules(vec![rule("a", when, "review")]).unwrap();
        let of = |routable: &Routable<'_>| routing.verdicts(routable).remove(0);
        assert!(of(&inside).against.is_empty() && of(&inside).rule.matches(&inside), "{against}");
        assert_eq!(of(&outside).against, [against]);
        assert!(!of(&outside).rule.matches(&outside));
    }
}
